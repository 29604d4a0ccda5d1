"""The inline backend keeps the part of the contract that it can, and runs in order when told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.compute.inline import InlineBackend
from skylift.ports.compute import Cancelled, Succeeded
from skylift.stores.open import open_blobs
from skylift.testing.backends import BackendConformance, Harness, Outcomes, call


class TestInlineInOrder(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        outcomes = Outcomes()
        backend = InlineBackend(outcomes, blobs=open_blobs(str(tmp_path / "blobs")))
        yield Harness(backend=backend, outcomes=outcomes, folder=tmp_path, drive=backend.run_pending)
        backend.close()


class TestInlineInThreads(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        outcomes = Outcomes()
        backend = InlineBackend(outcomes, blobs=open_blobs(str(tmp_path / "blobs")), threads=2)
        yield Harness(backend=backend, outcomes=outcomes, folder=tmp_path)
        backend.close()


def test_calls_run_in_order_and_only_when_told() -> None:
    outcomes = Outcomes()
    backend = InlineBackend(outcomes)
    calls = [call("add", a=number, b=1) for number in range(4)]
    backend.submit(calls)
    assert outcomes.order == []
    assert backend.poll([one.token for one in calls]) == {one.token: "queued" for one in calls}
    assert backend.run_pending(limit=1) == 1
    backend.cancel([calls[1].token])
    assert backend.run_pending() == 2
    assert outcomes.order == [one.token for one in calls]
    assert isinstance(outcomes.by_token[calls[1].token], Cancelled)
    assert isinstance(outcomes.by_token[calls[3].token], Succeeded)
