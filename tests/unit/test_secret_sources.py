"""How workers are told where a secret is."""

from __future__ import annotations

from pathlib import Path

import pytest

from skylift.config import SecretSource
from skylift.wiring import secret_source

PROJECT = Path("/work/project")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (SecretSource(env="TOKEN"), "env:TOKEN"),
        (SecretSource(file="secrets/token"), "file:/work/project/secrets/token"),
        (SecretSource(file="/run/secrets/token"), "file:/run/secrets/token"),
        (SecretSource(file="~/token"), f"file:{Path.home()}/token"),
        (SecretSource(command="pass show x"), "command:pass show x"),
    ],
)
def test_files_are_looked_for_in_the_project(source: SecretSource, told: str) -> None:
    assert secret_source(source, PROJECT) == told
