"""Commands whose packages are not installed say how to get them."""

from __future__ import annotations

import importlib.util

import pytest
from click.testing import CliRunner

from skylift.cli.extras import check_installed
from skylift.cli.keys import keys
from skylift.errors import SetupError


def test_missing_packages_are_named() -> None:
    check_installed("this needs", ("json",), "serve")
    with pytest.raises(SetupError, match="this needs packages that are not installed: no_such_a, no_such_b") as caught:
        check_installed("this needs", ("no_such_a", "json", "no_such_b"), "serve")
    assert caught.value.hint == "pip install 'skylift[serve]'"


@pytest.mark.parametrize("command", ["list", "create", "master"])
def test_keys_need_cryptography(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    problem = CliRunner().invoke(keys, [command]).exception
    assert isinstance(problem, SetupError)
    assert problem.hint == "pip install 'skylift[serve]'"


def test_traces_need_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = pytest.importorskip("skylift.server.observability.traces")

    def no_parent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'opentelemetry'")

    monkeypatch.setattr(importlib.util, "find_spec", no_parent)
    with pytest.raises(SetupError, match="OpenTelemetry") as caught:
        traces.Tracing(None)
    assert caught.value.hint == "pip install 'skylift[otel]'"
