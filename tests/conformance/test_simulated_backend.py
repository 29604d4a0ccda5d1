"""The backend's contract, for the simulated cloud in virtual time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.config.backends import SimulatedSettings
from skylift.testing.backends import BackendConformance, Harness, Outcomes
from skylift.testing.cloud import SimulatedCloud


class TestSimulatedBackend(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        outcomes = Outcomes()
        settings = SimulatedSettings(functions=8)
        cloud = SimulatedCloud(
            outcomes,
            settings=settings,
            start_ms=int(time.time() * 1000),
            cache_dir=str(tmp_path / "bundles"),
            blobs=str(tmp_path / "blobs"),
            workers=2,
        )
        folder = tmp_path / "folder"
        folder.mkdir()
        yield Harness(backend=cloud.backend, outcomes=outcomes, folder=folder)
        cloud.close()
