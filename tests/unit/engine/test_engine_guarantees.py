"""What DESIGN promises of the engine, one test for each promise that no other file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_world import SKYLIFT, World

from skylift.asl.events import RunStarted, StopRequested, TaskFailed, TaskSucceeded
from skylift.engine.inputs import Recover, Reported, Send, StartRun, Watch
from skylift.engine.items import Done, InlineItems, Job
from skylift.engine.reply import Reply
from skylift.ports.compute import Failed, Succeeded, TimedOut
from skylift.ports.journal import Batch
from skylift.ports.tasks import TaskSpec
from skylift.stores.memory import MemoryJournal
from skylift.stores.sqlite import SqliteJournal

DOUBLE = SKYLIFT + "double"
FLOW = {"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": DOUBLE, "End": True}}}


class Counting(MemoryJournal):
    commits = 0

    def commit(self, batch: Batch) -> None:
        self.commits += 1
        super().commit(batch)


def wide(count: int) -> dict[str, Any]:
    return {"M": {"Type": "Map", "Items": f"{{% [1..{count}] %}}", "ItemProcessor": FLOW}}


# -- group commit ------------------------------------------------------------------------------------------------------


def test_many_transitions_are_one_transaction() -> None:
    journal = Counting()
    world = World({"double": None}, journal=journal)
    run_id = world.start(wide(500))
    assert journal.commits == 1
    world.turn(*(Reported(token, Succeeded(output=1)) for token in list(world.backend.calls)))
    assert journal.commits == 2
    assert world.record(run_id).status == "SUCCEEDED"
    assert len(world.events(run_id)) == 501


def test_many_runs_are_one_transaction() -> None:
    journal = Counting()
    world = World({"double": None}, journal=journal)
    definition, table = world.document(DOUBLE), world.table()
    starts = [
        StartRun(definition=definition, tasks=table, pipeline="p", name=str(n), run_id=f"r{n}") for n in range(200)
    ]
    world.turn(*starts)
    assert journal.commits == 1
    world.turn(*(Reported(token, Succeeded(output=1)) for token in list(world.backend.calls)))
    assert journal.commits == 2
    assert {run.status for run in journal.runs(limit=1_000)} == {"SUCCEEDED"}


def test_a_turn_with_nothing_to_keep_commits_nothing() -> None:
    journal = Counting()
    world = World({"double": None}, journal=journal)
    world.start(DOUBLE)
    before = journal.commits
    world.turn()
    world.turn(Reported("run1:99-9", Succeeded(output=1)))
    assert journal.commits == before


def test_one_turn_is_one_transaction_in_sqlite(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    statements: list[str] = []
    world = World({"double": None}, journal=journal)
    world.start(wide(300))
    journal._db.set_trace_callback(statements.append)  # type: ignore[attr-defined]
    world.turn(*(Reported(token, Succeeded(output=1)) for token in list(world.backend.calls)))
    journal._db.set_trace_callback(None)  # type: ignore[attr-defined]
    assert sum(text.startswith("COMMIT") for text in statements) == 1
    assert len(statements) < 20
    journal.close()


# -- durable before its effect -----------------------------------------------------------------------------------------


class Effects:
    """Everything that a turn may do outside, as it happens."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def check(self) -> list[str]:
        found, self.seen = self.seen, []
        return found


class Watched(MemoryJournal):
    effects: Effects

    def commit(self, batch: Batch) -> None:
        assert self.effects.seen == [], "an effect came before the commit"
        super().commit(batch)


class WatchedItems(InlineItems):
    def __init__(self, effects: Effects) -> None:
        super().__init__()
        self.effects = effects

    def submit(self, job: Job, done: Done) -> None:
        self.effects.seen.append("items")


def watched_world() -> tuple[World, Effects]:
    effects = Effects()
    journal = Watched()
    journal.effects = effects
    world = World({"double": None}, journal=journal, items=WatchedItems(effects))
    submit, cancel = world.backend.submit, world.backend.cancel
    world.backend.submit = lambda calls: (effects.seen.append("submit"), submit(calls))[1]  # type: ignore[method-assign]
    world.backend.cancel = lambda tokens: (effects.seen.append("cancel"), cancel(tokens))[1]  # type: ignore[method-assign]
    return world, effects


def test_no_effect_of_any_kind_comes_before_its_cause_is_durable(tmp_path: Path) -> None:
    world, effects = watched_world()
    subscription = world.engine.subscribe(None, lambda progress: effects.seen.append("progress"))

    def told(what: str) -> Reply[Any]:
        reply: Reply[Any] = Reply()
        reply.then(lambda _: effects.seen.append(what))
        return reply

    start = StartRun(
        definition=world.document(DOUBLE), tasks=world.table(), pipeline="p", name="a", started=told("started")
    )
    world.turn(start)
    assert set(effects.check()) == {"submit", "started", "progress"}
    world.turn(Watch(run_id="run1", reply=told("ended")))
    world.turn(Send(run_id="run1", event=StopRequested(), reply=told("stopped")))
    assert set(effects.check()) == {"cancel", "stopped", "ended", "progress"}

    reader = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"}}
    state = {
        "Type": "Map",
        "ItemReader": {**reader, "Arguments": {"Bucket": str(tmp_path), "Key": "k"}},
        "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **FLOW},
    }
    world.turn(StartRun(definition=world.document({"M": state}), pipeline="p", name="b", started=told("started")))
    assert set(effects.check()) == {"items", "started", "progress"}
    subscription.close()


# -- fencing -----------------------------------------------------------------------------------------------------------


def test_a_result_that_comes_after_its_attempt_was_given_up_is_fenced() -> None:
    world = World({"double": None})
    retry = [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    run_id = world.start({"A": {"Type": "Task", "Resource": DOUBLE, "TimeoutSeconds": 5, "Retry": retry}})
    (late,) = world.backend.calls
    world.answer(TimedOut())
    world.wait(1)
    (token,) = world.backend.calls
    assert token != late
    world.turn(Reported(late, Succeeded(output="late")))
    world.settle()
    assert world.record(run_id).status == "RUNNING"
    world.answer("in time")
    world.turn(Reported(late, Succeeded(output="very late")))
    assert world.record(run_id).output == "in time"
    assert world.events(run_id).count("TaskSucceeded") == 1


def test_a_late_result_of_a_stopped_run_is_fenced() -> None:
    world = World({"double": None})
    run_id = world.start(DOUBLE)
    (token,) = world.backend.calls
    world.ask(lambda reply: Send(run_id=run_id, event=StopRequested(), reply=reply))
    world.turn(Reported(token, Succeeded(output="late")))
    assert (world.record(run_id).status, world.events(run_id)) == ("ABORTED", ["RunStarted", "StopRequested"])


# -- recovery ----------------------------------------------------------------------------------------------------------


def test_tasks_in_flight_are_tried_again_with_the_token_they_had_and_recorded_ones_are_not() -> None:
    world = World({"double": None})
    run_id = world.start(wide(10))
    tokens = list(world.backend.calls)
    for token in tokens[:4]:
        world.answer(1, token)
    world.backend.calls.clear()
    world.backend.batches.clear()
    world.restart(is_alive=lambda owner: False)
    world.ask(lambda reply: Recover(reply=reply))
    assert sorted(world.backend.calls) == sorted(tokens[4:])
    for token in tokens[4:]:
        world.answer(1, token)
    assert world.record(run_id).output == [1] * 10
    outcomes = [entry.event.token for entry in world.journal.entries(run_id) if isinstance(entry.event, TaskSucceeded)]
    assert len(outcomes) == len(set(outcomes)) == 10


def test_a_run_that_is_too_long_times_out_also_after_a_restart() -> None:
    world = World({"double": None})
    definition = world.document(DOUBLE, TimeoutSeconds=100)
    run_id = world.start({}, definition=definition)
    world.wait(60)
    world.restart(is_alive=lambda owner: False)
    world.ask(lambda reply: Recover(reply=reply))
    assert world.record(run_id).status == "RUNNING"
    world.wait(39)
    assert world.record(run_id).status == "RUNNING"
    world.wait(1)
    assert world.record(run_id).status == "TIMED_OUT"
    assert world.backend.calls == {}, "the worker is told"


def test_a_retry_that_waits_goes_on_after_a_restart() -> None:
    world = World({"double": None})
    retry = [{"ErrorEquals": ["Boom"], "IntervalSeconds": 50, "MaxAttempts": 1}]
    run_id = world.start({"A": {"Type": "Task", "Resource": DOUBLE, "Retry": retry}})
    world.answer(Failed(error="Boom"))
    assert world.backend.calls == {}
    world.restart(is_alive=lambda owner: False)
    world.ask(lambda reply: Recover(reply=reply))
    assert world.backend.calls == {}
    world.wait(50)
    world.answer(1)
    assert world.record(run_id).output == 1


# -- history is the only truth -----------------------------------------------------------------------------------------


def test_the_journal_holds_the_inputs_of_advance_with_time_and_seed() -> None:
    world = World({"double": None})
    run_id = world.start(DOUBLE, {"n": 1})
    world.wait(3)
    world.answer(Failed(error="Boom", cause="why"))
    first, second = world.journal.entries(run_id)
    assert isinstance(first.event, RunStarted)
    assert isinstance(second.event, TaskFailed)
    assert first.event.input == {"n": 1}
    assert isinstance(first.event.seed, int)
    assert second.at_ms - first.at_ms == 3_000


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Failed(error="ValueError", cause="user"), "ValueError"),
        (TimedOut(), "States.Timeout"),
        (TimedOut(heartbeat=True), "States.HeartbeatTimeout"),
    ],
)
def test_endings_of_different_kinds_are_different_errors(outcome: Any, error: str) -> None:
    world = World({"double": None})
    run_id = world.start({"A": {"Type": "Task", "Resource": DOUBLE, "TimeoutSeconds": 5, "HeartbeatSeconds": 2}})
    world.answer(outcome)
    assert world.record(run_id).error == error


def test_preemption_and_loss_use_up_none_of_the_users_retries() -> None:
    from skylift.ports.compute import Lost

    world = World({"double": TaskSpec(name="double", target="m:double")})
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    run_id = world.start({"A": {"Type": "Task", "Resource": DOUBLE, "Retry": retry}})
    for _ in range(5):
        world.answer(Lost(reason="spot", preempted=True))
        world.wait(120)
    world.answer(Failed(error="Boom"))
    world.wait(1)
    world.answer("second of two tries")
    assert world.record(run_id).output == "second of two tries"


def test_bad_input_fails_one_run_and_no_other() -> None:
    world = World({"double": None})
    good = world.start(DOUBLE, 1)
    deep: Any = 1
    for _ in range(400):
        deep = {"a": deep}
    bad = world.start({"A": {"Type": "Pass", "Output": "{% $states.input.nothing %}"}}, deep, name="bad")
    assert world.record(bad).status == "FAILED"
    world.answer(2)
    assert world.record(good).output == 2
