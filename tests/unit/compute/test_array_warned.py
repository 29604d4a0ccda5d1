"""An array job whose machine is about to go: each child has its own time to save, whoever is done first."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from skylift.compute.jobs import batch
from skylift.compute.worker.current import Preempted


def test_a_child_that_has_saved_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    other_runs, one_is_done, saved = threading.Event(), threading.Event(), []

    def tries(_order: object, index: int) -> list[Any]:
        if index == 0:
            assert other_runs.wait(60)
            one_is_done.set()
        else:
            other_runs.set()
            assert one_is_done.wait(60)
            saved.append(index)
        raise Preempted("its machine is about to be taken away")

    monkeypatch.setattr(batch, "_tries", tries)
    monkeypatch.setattr(batch, "end_all", lambda: pytest.fail("a child that saves was ended"))
    with pytest.raises(Preempted):
        batch._run_array(cast("Any", None), 2)
    assert saved == [1]
