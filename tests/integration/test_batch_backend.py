"""The batch backend keeps the contract, on machines that are shares of this box."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_pool import Pool

from skylift.compute.batch.local_files import MachineFolder
from skylift.testing.backends import BackendConformance, Harness, Outcomes


def warn_machines(pool: Pool) -> None:
    """Their only attempt is on one of them; the others have nothing to lose."""
    for path in (pool.root / "machines").iterdir():
        folder = MachineFolder(path)
        if folder.alive and folder.assignments() and folder.pid is not None:
            os.kill(folder.pid, signal.SIGTERM)


class TestBatchBackend(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        pool = Pool(tmp_path)
        outcomes = Outcomes()
        folder = tmp_path / "folder"
        folder.mkdir()
        backend = pool.make(outcomes)
        yield Harness(
            backend=backend,
            outcomes=outcomes,
            folder=folder,
            successor=pool.make,
            blobs=str(tmp_path / "blobs"),
            warn=lambda _: warn_machines(pool),
            patience=2.0,
            many=100,
        )
        pool.close()
