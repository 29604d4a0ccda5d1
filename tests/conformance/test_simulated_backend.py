"""The backend's contract, for the simulated cloud in virtual time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.compute.worker.current import NOTICE_S
from skylift.config.backends import SimulatedSettings
from skylift.testing.backends import BackendConformance, GivenImage, Harness, Outcomes
from skylift.testing.cloud import SimulatedCloud


def warn(cloud: SimulatedCloud, token: str) -> None:
    """As it happens two minutes before its market takes the machine away."""
    entry = cloud.backend._held[token]
    assert entry.lost_at_ms is not None
    cloud.backend._happen(entry, entry.lost_at_ms - int(NOTICE_S * 1000), "warn")


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
        yield Harness(
            backend=cloud.backend,
            outcomes=outcomes,
            folder=folder,
            blobs=str(tmp_path / "blobs"),
            image=GivenImage(name="registry.example/anything:1", absent=None),
            warn=lambda token: warn(cloud, token),
        )
        cloud.close()
