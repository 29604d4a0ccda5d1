"""Following a run: what is shown at its end is all of it."""

from __future__ import annotations

import json

from skylift.asl.events import RunStarted, TimerFired
from skylift.asl.limits import LOCAL
from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.engine.observe import Subscription
from skylift.ports.journal import Append, Batch, Entry, RunRecord, RunUpdate
from skylift.stores.memory import MemoryJournal
from skylift.watching import Watch

DOCUMENT = {
    "StartAt": "Pause",
    "States": {
        "Pause": {"Type": "Wait", "Seconds": 1, "Next": "Told"},
        "Told": {"Type": "Wait", "Seconds": 0, "End": True},
    },
}
OWNER = "engine-1"


def _never_tells(run_id: str, _callback: object) -> Subscription:
    return Subscription(run_id, lambda _: None, lambda _: None)


def test_an_end_that_is_durable_before_it_is_told_is_shown_whole() -> None:
    journal = MemoryJournal()
    definition = journal.put_document(json.dumps(DOCUMENT).encode())
    machine = Machine(load(json.dumps(DOCUMENT)), LOCAL)
    record = RunRecord(
        run_id="r", name="r", pipeline="p", definition=definition, input_digest="", created_ms=0, owner=OWNER
    )
    begun = Entry(1, 0, RunStarted(input={}, seed=0, context={}))
    journal.commit(Batch(owner=OWNER, created=[record], appends=[Append(run_id="r", entries=[begun])]))
    watch = Watch(journal, machine, "r", _never_tells)
    assert watch.poll(0) is None
    assert watch.fold.steps["Pause"].exited == 0

    rest = [Entry(2, 1_000, TimerFired(timer=1)), Entry(3, 1_000, TimerFired(timer=2))]
    ended = RunUpdate(status="SUCCEEDED", stopped_ms=1_000)
    journal.commit(Batch(owner=OWNER, appends=[Append(run_id="r", entries=rest, update=ended)]))

    stopped = watch.poll(0)
    assert stopped is not None
    assert stopped.status == "SUCCEEDED"
    assert [(step.name, step.exited) for step in watch.fold.steps.values()] == [("Pause", 1), ("Told", 1)]
