"""Several engines on one journal: answers through any of them, and runs of the dead."""

from __future__ import annotations

from typing import Any

import pytest
from engine_world import SKYLIFT, World

from skylift.asl.events import RedriveRequested, StopRequested
from skylift.engine.inputs import Callback, Heartbeat, Send
from skylift.errors import SetupError
from skylift.ports.compute import Failed, Succeeded
from skylift.stores.memory import MemoryJournal

WAITS = f"{SKYLIFT}approve.waitForTaskToken"
DOUBLE = f"{SKYLIFT}double"


class Connection:
    """One engine's own way to the journal: when in doubt the other one has written."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def changed(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


class Two:
    """Two engines that both live; `dead` names those that do not."""

    def __init__(self) -> None:
        self.dead: set[str] = set()
        self.one = World({"double": None}, journal=Connection(MemoryJournal()), is_alive=self.is_alive)
        self.other = World({"double": None}, journal=self.one.journal, clock=self.one.clock, is_alive=self.is_alive)
        self.other.lives = 10
        self.other.restart(adopting=True)

    def is_alive(self, owner: str) -> bool:
        return owner not in self.dead

    def kill_one(self) -> None:
        self.dead.add(self.one.owner)

    def settle(self) -> None:
        for _ in range(3):
            self.one.settle()
            self.other.settle()


def task(**fields: Any) -> dict[str, Any]:
    return {"A": {"Type": "Task", "Resource": WAITS, **fields}}


def test_an_answer_through_the_other_engine() -> None:
    two = Two()
    run_id = two.one.start(task())
    two.other.ask(lambda reply: Callback(token=f"{run_id}:1-1", outcome=Succeeded(output=5), reply=reply))
    two.settle()
    assert two.one.record(run_id).output == 5


def test_an_answer_that_nobody_waits_for_is_refused_by_the_other_engine() -> None:
    two = Two()
    run_id = two.one.start(task(Retry=[{"ErrorEquals": ["E"], "IntervalSeconds": 5}]))

    def refused(token: str) -> str:
        with pytest.raises(SetupError) as caught:
            two.other.ask(lambda reply: Callback(token=token, outcome=Succeeded(output=5), reply=reply))
        return caught.value.code

    assert refused("nonsense") == "TOKEN-INVALID"
    assert refused("nobody:1-1") == "TASK-UNKNOWN"
    assert refused(f"{run_id}:9-1") == "TASK-TIMED-OUT"
    two.other.ask(lambda reply: Callback(token=f"{run_id}:1-1", outcome=Failed(error="E"), reply=reply))
    assert refused(f"{run_id}:1-1") == "TASK-TIMED-OUT"
    two.settle()
    assert refused(f"{run_id}:1-1") == "TASK-TIMED-OUT"
    two.one.wait(5)
    two.other.ask(lambda reply: Callback(token=f"{run_id}:1-2", outcome=Succeeded(output=5), reply=reply))
    two.settle()
    assert two.one.record(run_id).output == 5


def test_heartbeats_through_the_other_engine() -> None:
    two = Two()
    run_id = two.one.start(task(HeartbeatSeconds=5))
    for _ in range(4):
        two.one.clock.advance(4_000)
        two.other.ask(lambda reply: Heartbeat(token=f"{run_id}:1-1", reply=reply))
        two.settle()
    assert two.one.record(run_id).status == "RUNNING"
    assert two.one.events(run_id) == ["RunStarted"]
    two.one.wait(6)
    assert two.one.record(run_id).error == "States.HeartbeatTimeout"


def test_the_runs_of_a_dead_engine_are_adopted_some_at_a_time() -> None:
    two = Two()
    for number in range(450):
        two.one.start(DOUBLE, number, name=str(number))
    two.kill_one()
    two.one.clock.advance(1_000)
    now = two.one.clock.now_ms()
    assert two.other.turn() == now, "the next turn takes more"
    assert len(two.other.engine.live_runs()) == 200
    two.other.turn()
    assert two.other.turn() is None
    assert len(two.other.engine.live_runs()) == 450
    assert len(two.other.backend.calls) == 450


def test_an_engine_that_was_believed_dead_lets_go() -> None:
    two = Two()
    lost = two.one.start(DOUBLE, 1, name="lost")
    two.kill_one()
    two.other.wait(1)
    two.dead.clear()
    kept = two.one.start(DOUBLE, 2, name="kept")
    tokens = {token.partition(":")[0]: token for token in two.one.backend.calls}
    two.one.answer(7, tokens[lost])
    two.one.answer(8, tokens[kept])
    assert two.one.record(lost).status == "RUNNING"
    assert two.one.record(kept).output == 8
    assert two.one.engine.live_runs() == []
    two.other.answer(9)
    assert two.one.record(lost).output == 9


def test_the_tasks_of_a_run_that_was_taken_are_stopped() -> None:
    two = Two()
    branches = [{"StartAt": name, "States": {name: {"Type": "Task", "Resource": DOUBLE, "End": True}}} for name in "XY"]
    run_id = two.one.start({"P": {"Type": "Parallel", "Branches": branches}})
    two.kill_one()
    two.other.wait(1)
    first, second = two.one.backend.calls
    two.one.answer(7, first)
    assert two.one.engine.live_runs() == []
    assert two.one.backend.cancelled == [second]
    for token in list(two.other.backend.calls):
        two.other.answer(1, token)
    assert two.one.record(run_id).output == [1, 1]


def test_what_has_ended_may_be_redriven_by_any_engine() -> None:
    two = Two()
    run_id = two.one.start(task())
    two.one.ask(lambda reply: Send(run_id=run_id, event=StopRequested(), reply=reply))
    two.other.ask(lambda reply: Send(run_id=run_id, event=RedriveRequested(), reply=reply))
    assert two.one.record(run_id).status == "RUNNING"
    assert two.other.engine.live_runs() == [run_id]
