"""Starts, outcomes, requests: what a run's life looks like from outside."""

from __future__ import annotations

from typing import Any

import pytest
from engine_world import SKYLIFT, World

from skylift.asl.events import PauseRequested, RedriveRequested, ResumeRequested, StopRequested, TaskSucceeded
from skylift.engine.inputs import Callback, Heartbeat, Recover, Reported, Send, StartRun, Watch
from skylift.engine.planner import Planner
from skylift.engine.reply import Reply
from skylift.engine.run import LiveRun
from skylift.errors import InternalError, JournalDamaged, JournalUnavailable, RunAlreadyExists, RunNotFound, SetupError
from skylift.ports.compute import (
    Cancelled,
    Failed,
    Lost,
    OutOfMemory,
    Requirements,
    Succeeded,
    TimedOut,
)
from skylift.ports.journal import Batch, Snapshot
from skylift.ports.tasks import TaskSpec
from skylift.stores.memory import MemoryJournal

DOUBLE = SKYLIFT + "double"


@pytest.fixture
def world() -> World:
    return World({"double": None})


def test_a_run_starts_its_task_and_takes_the_result(world: World) -> None:
    run_id = world.start(DOUBLE, {"n": 2})
    (call,) = world.backend.calls.values()
    assert (call.task, call.arguments, call.label, call.attempt) == ("double", {"n": 2}, "A", 1)
    assert call.code.bundle == "b"
    assert call.code.target == "m:double"
    world.answer(4)
    record = world.record(run_id)
    assert (record.status, record.output) == ("SUCCEEDED", 4)
    assert world.events(run_id) == ["RunStarted", "TaskSucceeded"]
    assert world.engine.live_runs() == []


def test_nothing_is_submitted_before_its_cause_is_durable() -> None:
    class Watched(MemoryJournal):
        def commit(self, batch: Batch) -> None:
            assert not world.backend.calls
            super().commit(batch)

    world = World({"double": None}, journal=Watched())
    world.start(DOUBLE)
    assert len(world.backend.calls) == 1


def test_one_submit_for_all_tasks_of_a_turn(world: World) -> None:
    flow = {"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": DOUBLE, "End": True}}}
    world.start({"M": {"Type": "Map", "Items": "{% [1..10] %}", "ItemProcessor": flow}})
    assert [len(batch) for batch in world.backend.batches] == [10]


def test_the_same_start_twice_is_one_run(world: World) -> None:
    first = world.start(DOUBLE, 1, name="monday")
    assert world.start(DOUBLE, 1, name="monday") == first
    with pytest.raises(RunAlreadyExists, match="another input"):
        world.start(DOUBLE, 2, name="monday")
    assert world.start(DOUBLE, 2, name="monday", pipeline="other") != first


def test_an_id_that_is_taken(world: World) -> None:
    assert world.start(DOUBLE, 1, run_id="mine") == "mine"
    assert world.start(DOUBLE, 1, run_id="mine") == "mine"
    with pytest.raises(RunAlreadyExists):
        world.start(DOUBLE, 2, run_id="mine", name="other")


def test_two_starts_of_one_name_in_one_turn(world: World) -> None:
    replies: list[Reply[str]] = [Reply(), Reply()]
    starts = [
        StartRun(definition=world.document(DOUBLE), tasks=world.table(), pipeline="p", name="n", started=reply)
        for reply in replies
    ]
    world.turn(*starts)
    assert replies[0].wait(0) == replies[1].wait(0)
    assert len(world.backend.calls) == 1


def test_a_second_report_changes_nothing(world: World) -> None:
    run_id = world.start({"A": {"Type": "Task", "Resource": DOUBLE}, "B": {"Type": "Task", "Resource": DOUBLE}})
    (token,) = world.backend.calls
    world.answer(1)
    world.turn(Reported(token, Succeeded(output=99)))
    world.answer(2)
    assert world.record(run_id).output == 2
    assert world.events(run_id).count("TaskSucceeded") == 2


def test_a_failure_carries_classes_for_retry_and_catch(world: World) -> None:
    catch = [{"ErrorEquals": ["LookupError"], "Output": "caught", "Next": "Z"}]
    task = {"Type": "Task", "Resource": DOUBLE, "Catch": catch, "Next": "Z"}
    run_id = world.start({"A": task, "Z": {"Type": "Pass"}})
    world.answer(Failed(error="KeyError", classes=("LookupError", "Exception"), cause="{}"))
    assert world.record(run_id).output == "caught"


def test_out_of_memory_is_its_own_error(world: World) -> None:
    run_id = world.start(DOUBLE)
    world.backend.can = False  # nothing larger is there
    world.answer(OutOfMemory(limit_mib=64, peak_mib=70.4))
    record = world.record(run_id)
    assert record.error == "OutOfMemory"
    assert record.cause is not None
    assert "64 MiB" in record.cause
    assert "70 MiB" in record.cause


def test_a_timeout_reported_by_the_backend(world: World) -> None:
    run_id = world.start(DOUBLE)
    world.answer(TimedOut())
    assert world.record(run_id).error == "States.Timeout"


def test_time_limits_travel_with_the_call() -> None:
    spec = TaskSpec(name="double", target="m:double", requirements=Requirements(timeout_ms=9_000))
    world = World({"double": spec})
    world.start({"A": {"Type": "Task", "Resource": DOUBLE, "TimeoutSeconds": 5, "HeartbeatSeconds": 2}})
    (call,) = world.backend.calls.values()
    assert (call.requirements.timeout_ms, call.requirements.heartbeat_ms) == (5_000, 2_000)


def test_a_lost_worker_is_tried_again_with_the_same_token(world: World) -> None:
    run_id = world.start(DOUBLE)
    (token,) = world.backend.calls
    world.answer(Lost(reason="segfault"))
    assert list(world.backend.calls) == [token]
    world.answer(7)
    assert world.record(run_id).output == 7
    assert world.events(run_id) == ["RunStarted", "TaskRedelivered", "TaskSucceeded"]


def test_losses_are_bounded_and_preemptions_are_not(world: World) -> None:
    run_id = world.start(DOUBLE)
    for _ in range(20):
        world.answer(Lost(reason="spot", preempted=True))
        world.wait(60)
    for _ in range(3):
        world.answer(Lost(reason="segfault"))
        world.wait(60)
        assert world.record(run_id).status == "RUNNING"
    world.answer(Lost(reason="segfault"))
    record = world.record(run_id)
    assert (record.status, record.error) == ("FAILED", "Lost")
    assert record.cause is not None
    assert "segfault" in record.cause


def test_an_attempt_cancelled_from_outside_is_tried_again(world: World) -> None:
    world.start(DOUBLE)
    (token,) = world.backend.calls
    world.answer(Cancelled())
    assert list(world.backend.calls) == [token]


def test_stop_cancels_what_runs(world: World) -> None:
    run_id = world.start(DOUBLE)
    (token,) = world.backend.calls
    world.ask(lambda reply: Send(run_id=run_id, event=StopRequested(error="E", cause="why"), reply=reply))
    record = world.record(run_id)
    assert (record.status, record.error, record.cause) == ("ABORTED", "E", "why")
    assert world.backend.cancelled == [token]
    world.ask(lambda reply: Send(run_id=run_id, event=StopRequested(), reply=reply))
    assert world.events(run_id) == ["RunStarted", "StopRequested"]


def test_pause_holds_new_tasks_back_until_resume(world: World) -> None:
    run_id = world.start({"A": {"Type": "Task", "Resource": DOUBLE}, "B": {"Type": "Task", "Resource": DOUBLE}})
    world.ask(lambda reply: Send(run_id=run_id, event=PauseRequested(), reply=reply))
    world.answer(1)
    assert world.backend.calls == {}
    assert world.record(run_id).status == "PAUSED"
    world.ask(lambda reply: Send(run_id=run_id, event=ResumeRequested(), reply=reply))
    assert world.record(run_id).status == "RUNNING"
    world.answer(2)
    assert world.record(run_id).status == "SUCCEEDED"


def test_redrive_goes_on_from_what_failed(world: World) -> None:
    run_id = world.start({"A": {"Type": "Task", "Resource": DOUBLE}, "B": {"Type": "Task", "Resource": DOUBLE}})
    world.answer(1)
    (token,) = world.backend.calls
    world.answer(Failed(error="Boom"))
    assert world.record(run_id).status == "FAILED"
    world.restart(is_alive=lambda owner: False)
    world.ask(lambda reply: Send(run_id=run_id, event=RedriveRequested(), reply=reply))
    assert (world.record(run_id).status, world.record(run_id).stopped_ms) == ("RUNNING", None)
    (again,) = world.backend.calls
    assert again != token
    world.answer(5)
    assert world.record(run_id).output == 5


def test_what_was_asked_of_a_run_that_had_ended_does_not_touch_its_redrive(world: World) -> None:
    run_id = world.start(DOUBLE)
    world.answer(Failed(error="Boom"))
    world.restart()
    world.journal.send(run_id, StopRequested())
    world.ask(lambda reply: Send(run_id=run_id, event=RedriveRequested(), reply=reply))
    assert world.record(run_id).status == "RUNNING"
    assert world.journal.signals(world.owner) == []


def test_redrive_is_refused_for_runs_that_go_on_or_are_done(world: World) -> None:
    run_id = world.start(DOUBLE)
    with pytest.raises(SetupError, match="RUNNING") as caught:
        world.ask(lambda reply: Send(run_id=run_id, event=RedriveRequested(), reply=reply))
    assert caught.value.code == "NOT-REDRIVABLE"
    world.answer(1)
    with pytest.raises(SetupError, match="succeeded"):
        world.ask(lambda reply: Send(run_id=run_id, event=RedriveRequested(), reply=reply))


def test_unknown_runs_and_tokens(world: World) -> None:
    with pytest.raises(RunNotFound):
        world.ask(lambda reply: Send(run_id="nope", event=StopRequested(), reply=reply))
    with pytest.raises(RunNotFound):
        world.ask(lambda reply: Watch(run_id="nope", reply=reply))
    with pytest.raises(SetupError, match="no task has") as caught:
        world.ask(lambda reply: Callback(token="nope:1-1", outcome=Succeeded(output=1), reply=reply))
    assert caught.value.code == "TASK-UNKNOWN"


def test_watch_tells_the_end(world: World) -> None:
    run_id = world.start(DOUBLE)
    reply: Reply = Reply()
    world.turn(Watch(run_id=run_id, reply=reply))
    assert not reply.done
    world.answer(3)
    assert reply.wait(0).output == 3
    assert world.ask(lambda reply: Watch(run_id=run_id, reply=reply)).status == "SUCCEEDED"


# -- tasks that wait for a callback ------------------------------------------------------------------------------------

APPROVE = SKYLIFT + "approve.waitForTaskToken"


def token_task(resource: str, **more: object) -> dict[str, object]:
    return {"A": {"Type": "Task", "Resource": resource, "Arguments": "{% $states.context.Task.Token %}", **more}}


def test_approve_needs_no_worker(world: World) -> None:
    run_id = world.start(APPROVE)
    assert world.backend.calls == {}
    (waiting,) = world.engine.in_flight(run_id)
    assert waiting.what == "callback"
    world.ask(lambda reply: Callback(token=waiting.token, outcome=Succeeded(output="yes"), reply=reply))
    assert world.record(run_id).output == "yes"


def test_a_worker_with_a_token_submits_and_the_outcome_comes_by_callback(world: World) -> None:
    run_id = world.start(token_task(DOUBLE + ".waitForTaskToken"))
    (call,) = world.backend.calls.values()
    assert call.arguments == call.token
    world.answer("sent")
    assert world.record(run_id).status == "RUNNING"
    assert world.events(run_id) == ["RunStarted", "TaskSubmitted"]
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    assert world.backend.calls == {}, "the worker has done its part already"
    world.ask(lambda reply: Callback(token=call.token, outcome=Failed(error="No", cause="c"), reply=reply))
    assert (world.record(run_id).error, world.record(run_id).cause) == ("No", "c")


def test_a_callback_ends_a_worker_that_still_runs(world: World) -> None:
    run_id = world.start(token_task(DOUBLE + ".waitForTaskToken"))
    (token,) = world.backend.calls
    world.ask(lambda reply: Callback(token=token, outcome=Succeeded(output=1), reply=reply))
    assert world.record(run_id).status == "SUCCEEDED"
    assert world.backend.cancelled == [token]


def test_callbacks_time_out_and_heartbeats_hold_them(world: World) -> None:
    run_id = world.start(token_task(APPROVE, HeartbeatSeconds=10, TimeoutSeconds=25))
    (waiting,) = world.engine.in_flight(run_id)
    for _ in range(3):
        world.wait(8)
        world.ask(lambda reply: Heartbeat(token=waiting.token, reply=reply))
    assert world.events(run_id) == ["RunStarted"]
    world.wait(2)
    assert world.record(run_id).error == "States.Timeout"
    other = world.start(token_task(APPROVE, HeartbeatSeconds=10, TimeoutSeconds=25), name="other")
    world.wait(11)
    assert world.record(other).error == "States.HeartbeatTimeout"


def test_a_callback_from_another_process(world: World) -> None:
    run_id = world.start(APPROVE)
    (waiting,) = world.engine.in_flight(run_id)
    world.journal.send(run_id, TaskSucceeded(token=waiting.token.partition(":")[2], output="ok"))
    world.journal.send(run_id, TaskSucceeded(token=waiting.token.partition(":")[2], output="again"))
    world.settle()
    assert world.record(run_id).output == "ok"
    assert world.journal.signals(world.owner) == []


# -- another owner -----------------------------------------------------------------------------------------------------


def test_requests_for_a_run_of_a_living_engine_become_signals(world: World) -> None:
    run_id = world.start(DOUBLE)
    first, owner = world.engine, world.owner
    world.restart(is_alive=lambda other: other == owner)
    world.ask(lambda reply: Send(run_id=run_id, event=StopRequested(), reply=reply))
    assert world.record(run_id).status == "RUNNING"
    watched: Reply = Reply()
    world.turn(Watch(run_id=run_id, reply=watched))
    world.journal._changed = True  # two engines share one instance here, as no two processes do
    first.turn([])
    assert world.record(run_id).status == "ABORTED"
    world.journal._changed = True
    world.settle()
    assert watched.wait(0).status == "ABORTED"


def test_an_engine_that_lost_its_run_lets_go(world: World) -> None:
    run_id = world.start(DOUBLE)
    old = world.engine
    (token,) = world.backend.calls
    world.restart(is_alive=lambda owner: False)
    assert world.ask(lambda reply: Recover(reply=reply)) == [run_id]
    old.turn([Reported(token, Succeeded(output="stale"))])
    old.turn([])
    assert old.live_runs() == []
    assert world.events(run_id) == ["RunStarted"]
    world.answer("fresh")
    assert world.record(run_id).output == "fresh"


def test_recovery_adopts_what_still_runs_and_gives_out_the_rest(world: World) -> None:
    flow = {"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": DOUBLE, "End": True}}}
    run_id = world.start({"M": {"Type": "Map", "Items": "{% [1..3] %}", "ItemProcessor": flow}})
    tokens = list(world.backend.calls)
    world.backend.calls.pop(tokens[0])
    world.backend.batches.clear()
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    assert world.backend.batches == [[tokens[0]]]
    assert world.backend.swept == [set(tokens)]
    for number in range(3):
        world.answer(number)
    assert world.record(run_id).status == "SUCCEEDED"


def test_timers_fire_after_recovery(world: World) -> None:
    run_id = world.start({"W": {"Type": "Wait", "Seconds": 100}})
    world.restart()
    world.clock.advance(500_000)
    world.ask(lambda reply: Recover(reply=reply))
    assert world.record(run_id).status == "SUCCEEDED"


# -- a journal in trouble ----------------------------------------------------------------------------------------------


class Shaky(MemoryJournal):
    broken = False
    written_though = False

    def commit(self, batch: Batch) -> None:
        if self.broken and not self.written_though:
            raise JournalUnavailable("disk full")
        super().commit(batch)
        if self.broken:
            raise JournalUnavailable("the answer was lost")


@pytest.mark.parametrize("written_though", [False, True])
def test_what_came_in_while_the_journal_failed_is_not_lost(written_though: bool) -> None:
    journal = Shaky()
    world = World({"double": None}, journal=journal)
    run_id = world.start({"A": {"Type": "Task", "Resource": DOUBLE}, "B": {"Type": "Task", "Resource": DOUBLE}})
    journal.broken, journal.written_though = True, written_though
    (token,) = world.backend.calls
    world.backend.calls.clear()
    due = world.turn(Reported(token, Succeeded(output=1)))
    assert due is not None
    assert due > world.clock.now_ms()
    assert world.engine.trouble is not None
    assert world.backend.calls == {}, "nothing follows from what is not durable"
    journal.broken = False
    world.wait(1)
    assert world.engine.trouble is None
    (following,) = world.backend.calls
    assert following != token
    world.answer(2)
    assert world.record(run_id).status == "SUCCEEDED"
    assert world.events(run_id) == ["RunStarted", "TaskSucceeded", "TaskSucceeded"]


def test_a_start_on_a_broken_journal_fails_at_once() -> None:
    journal = Shaky()
    world = World({"double": None}, journal=journal)
    definition = world.document(DOUBLE)
    journal.broken = True
    with pytest.raises(JournalUnavailable, match="disk full"):
        world.start(DOUBLE, definition=definition)
    journal.broken = False
    world.wait(1)
    assert journal.runs() == []


def test_a_damaged_run_is_set_aside_and_the_others_go_on(world: World) -> None:
    damaged = world.start(DOUBLE, name="damaged")
    healthy = world.start(DOUBLE, name="healthy")
    first, last, data = world.journal._appends[damaged][0]
    world.journal._appends[damaged][0] = (first, last, data[: len(data) // 2])
    world.restart()
    assert world.ask(lambda reply: Recover(reply=reply)) == [healthy]
    with pytest.raises(SetupError):
        world.ask(lambda reply: Watch(run_id=damaged, reply=reply))
    world.answer(1, next(token for token in world.backend.calls if token.startswith(healthy)))
    assert world.record(healthy).status == "SUCCEEDED"


@pytest.mark.parametrize("state", [b"\x00", b"[]", b'{"frames": 1}', b"\xff", b""])
def test_a_run_whose_snapshot_is_damaged_is_replayed(
    world: World, state: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = world.start(DOUBLE, name="damaged")
    world.journal._snapshots[run_id] = Snapshot(run_id=run_id, sequence=1, state=state)
    world.restart()
    assert world.ask(lambda reply: Recover(reply=reply)) == [run_id]
    world.answer(1)
    assert world.record(run_id).status == "SUCCEEDED"
    assert f"the snapshot of run {run_id} cannot be read" in caplog.text


def test_a_run_that_cannot_be_loaded_does_not_stop_the_engine(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = world.start(DOUBLE, name="broken")
    healthy = world.start(DOUBLE, name="healthy")
    entries = world.journal.entries

    def failing(run_id: str, after: int = 0) -> Any:
        if run_id == broken:
            raise KeyError("a fault of ours")
        return entries(run_id, after)

    monkeypatch.setattr(world.journal, "entries", failing)
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    with pytest.raises(InternalError, match="a fault of ours"):
        world.ask(lambda reply: Watch(run_id=broken, reply=reply))
    with pytest.raises(InternalError, match="a fault of ours"):
        world.ask(lambda reply: Send(run_id=broken, event=StopRequested(), reply=reply))
    world.answer(1, next(token for token in world.backend.calls if token.startswith(healthy)))
    assert world.record(healthy).status == "SUCCEEDED"
    assert f"run {broken} is set aside" in caplog.text


def test_a_fault_in_giving_out_again_stops_only_that_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = world.start(DOUBLE, name="broken")
    healthy = world.start(DOUBLE, name="healthy")
    attempt_of = Planner.attempt_of

    def failing(planner: Planner, run: LiveRun, command: Any) -> Any:
        if run.record.run_id == broken:
            raise KeyError("a fault of ours")
        return attempt_of(planner, run, command)

    monkeypatch.setattr(Planner, "attempt_of", failing)
    world.restart()
    for _ in range(2):
        assert world.ask(lambda reply: Recover(reply=reply)) in ([healthy], [])
    with pytest.raises(InternalError, match="a fault of ours"):
        world.ask(lambda reply: Send(run_id=broken, event=StopRequested(), reply=reply))
    world.answer(1, next(token for token in world.backend.calls if token.startswith(healthy)))
    assert world.record(healthy).status == "SUCCEEDED"


def test_a_run_of_a_dead_engine_that_cannot_be_loaded_refuses_what_is_asked_of_it(world: World) -> None:
    run_id = world.start(DOUBLE)
    first, last, data = world.journal._appends[run_id][0]
    world.journal._appends[run_id][0] = (first, last, data[: len(data) // 2])
    world.restart()
    for _ in range(2):
        with pytest.raises(JournalDamaged):
            world.ask(lambda reply: Send(run_id=run_id, event=StopRequested(), reply=reply))
    assert world.record(world.start(DOUBLE, name="other")).status == "RUNNING"


# -- cache, progress ---------------------------------------------------------------------------------------------------


def test_a_cached_result_is_taken_instead_of_running() -> None:
    world = World({"double": TaskSpec(name="double", target="m:double", cache=True, fingerprint="f1")})
    first = world.start(DOUBLE, {"n": 1})
    world.answer(2)
    second = world.start(DOUBLE, {"n": 1})
    assert world.backend.calls == {}
    assert world.record(second).output == 2
    (_, taken) = world.journal.entries(second)
    assert taken.event.usage.cached_from == first
    third = world.start(DOUBLE, {"n": 2})
    assert len(world.backend.calls) == 1
    assert world.record(third).status == "RUNNING"


def test_progress_is_told_to_who_listens(world: World) -> None:
    seen: list[str] = []
    subscription = world.engine.subscribe(None, lambda progress: seen.extend(e.type for e in progress.history))
    world.start(DOUBLE)
    assert seen[:2] == ["ExecutionStarted", "TaskStateEntered"]
    world.answer(1)
    assert seen[-1] == "ExecutionSucceeded"
    subscription.close()
    seen.clear()
    world.start(DOUBLE)
    assert seen == []


def test_timers_of_runs_that_ended_leave_memory(world: World) -> None:
    definition = world.document(DOUBLE, TimeoutSeconds=86_400)
    for number in range(1_200):
        world.start({}, definition=definition, name=str(number))
        world.answer(number)
    assert len(world.engine._book.timers) < 1_100
    assert world.engine.live_runs() == []
