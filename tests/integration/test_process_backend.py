"""The process backend keeps the contract, with real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.compute.process import ProcessBackend
from skylift.testing.backends import BackendConformance, Harness, Outcomes


class TestProcessBackend(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        outcomes = Outcomes()
        backend = ProcessBackend(
            outcomes,
            workers=2,
            blobs=str(tmp_path / "blobs"),
            environments=str(tmp_path / "environments"),
            state=str(tmp_path / "state"),
            grace_ms=300,
        )
        folder = tmp_path / "folder"
        folder.mkdir()
        yield Harness(backend=backend, outcomes=outcomes, folder=folder, blobs=str(tmp_path / "blobs"))
        backend.close()
