"""The container backend keeps the contract, with real containers of podman."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from container_parts import container_backend
from podman import podman_variables  # noqa: F401  # a fixture

from skylift.compute.container.backend import ContainerBackend
from skylift.ports.compute import OutOfMemory, Requirements
from skylift.testing.backend_harness import call
from skylift.testing.backends import BackendConformance, Harness, Outcomes


class TestContainerBackend(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path, podman_variables: dict[str, str]) -> Iterator[Harness]:  # noqa: F811
        outcomes = Outcomes()
        backends = [container_backend(outcomes, tmp_path)]

        def successor(later: Outcomes) -> ContainerBackend:
            backends.append(container_backend(later, tmp_path))
            return backends[-1]

        yield Harness(
            backend=backends[0],
            outcomes=outcomes,
            folder=tmp_path / "folder",
            successor=successor,
            patience=6.0,
            many=24,
        )
        last = successor(Outcomes())
        last.end(last.leased())
        for backend in backends:
            backend.close()

    def test_nothing_is_left_where_the_engine_was_started(
        self, harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """podman leaves a file there by itself when an attempt meets its memory limit."""
        here = tmp_path / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        [outcome] = harness.run(call("allocate", mib=400, requirements=Requirements(memory_mib=100)))
        assert isinstance(outcome, OutOfMemory), outcome
        assert list(here.iterdir()) == []
