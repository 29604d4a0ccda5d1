"""The batch backend keeps the contract, on machines that are shares of this box."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_pool import Pool

from skylift.testing.backends import BackendConformance, Harness, Outcomes


class TestBatchBackend(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        pool = Pool(tmp_path)
        outcomes = Outcomes()
        folder = tmp_path / "folder"
        folder.mkdir()
        backend = pool.make(outcomes)
        yield Harness(backend=backend, outcomes=outcomes, folder=folder, successor=pool.make, patience=2.0, many=100)
        pool.close()
