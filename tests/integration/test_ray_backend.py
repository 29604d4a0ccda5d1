"""The Ray backend keeps the contract, on a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_backends import RayParts, make
from ray_cluster import RayCluster, lonely, ray_cluster

from skylift.testing.backends import BackendConformance, Harness, Outcomes

__all__ = ["lonely", "ray_cluster"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, so that the supervisor and its places stay warm."""
    return tmp_path_factory.mktemp("home")


class TestRayBackend(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path, home: Path, ray_cluster: RayCluster) -> Iterator[Harness]:
        folder = tmp_path / "folder"
        folder.mkdir()
        parts = RayParts(home, address=ray_cluster.address)
        outcomes = Outcomes()
        backend = make(parts, outcomes)
        backend.connect()
        made = [backend]

        def successor(heard: Outcomes) -> object:
            made.append(make(parts, heard))
            return made[-1]

        yield Harness(
            backend=backend,
            outcomes=outcomes,
            folder=folder,
            successor=successor,  # type: ignore[arg-type]
            abandon=backend.abandon,
            blobs=parts.blobs,
            patience=3.0,
        )
        last = made[-1]
        last.end([leased for leased in last.leased() if leased.token is not None])
        for one in made:
            one.close()
