"""The engine on real time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from engine_world import SKYLIFT, ManualBackend, World

from skylift.engine.clock import SystemClock
from skylift.engine.engine import Engine
from skylift.engine.inputs import Input, StartRun
from skylift.engine.observe import Progress
from skylift.engine.reply import Reply
from skylift.engine.thread import EngineThread
from skylift.errors import InternalError, JournalUnavailable, RunNotFound
from skylift.ports.compute import Succeeded, TaskCall
from skylift.ports.journal import Batch
from skylift.stores.memory import MemoryJournal


class Echo(ManualBackend):
    """Answers at once, from the thread that submits."""

    report: Callable[[str, Any], None]

    def submit(self, calls: Any) -> None:
        for call in calls:
            self.report(call.token, Succeeded(output=self.result(call)))

    def result(self, call: TaskCall) -> Any:
        return call.arguments


class Scene:
    """An engine thread and what it stands on."""

    def __init__(self, journal: Any = None) -> None:
        self.journal = journal if journal is not None else MemoryJournal()
        self.backend = Echo("echo")
        self.helper = World({"echo": None}, journal=self.journal)
        self.thread = EngineThread(self.build)

    def build(self, inbox: Callable[[Input], None]) -> Engine:
        engine = Engine(
            journal=self.journal,
            clock=SystemClock(),
            backends={"echo": self.backend},
            owner="real",
            inbox=inbox,
        )
        self.backend.report = engine.report
        return engine

    def start(self, states: Any, value: Any = None, **more: Any) -> StartRun:
        return StartRun(
            definition=self.helper.document(states), tasks=self.helper.table(), pipeline="p", input=value, **more
        )


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.thread.close()


def test_start_and_wait(scene: Scene) -> None:
    run_id = scene.thread.start(scene.start(SKYLIFT + "echo", 5, name="a"))
    assert scene.thread.wait(run_id, 60).output == 5
    assert scene.thread.start(scene.start(SKYLIFT + "echo", 5, name="a")) == run_id
    assert scene.thread.execute(scene.start(SKYLIFT + "echo", 6), 10).output == 6


def test_waiting_times_out_and_the_run_goes_on(scene: Scene) -> None:
    run_id = scene.thread.start(scene.start({"W": {"Type": "Wait", "Seconds": 3_600}}))
    with pytest.raises(TimeoutError):
        scene.thread.wait(run_id, 0.01)
    (waiting,) = scene.thread.in_flight(run_id)
    assert waiting.what == "timer"
    scene.thread.stop(run_id, "E", "enough")
    assert scene.thread.wait(run_id, 60).error == "E"


def test_callbacks_and_progress(scene: Scene) -> None:
    seen: list[Progress] = []
    subscription = scene.thread.subscribe()
    listener = threading.Thread(target=lambda: seen.extend(subscription))
    listener.start()
    run_id = scene.thread.start(scene.start(SKYLIFT + "approve.waitForTaskToken"))
    (waiting,) = scene.thread.in_flight(run_id)
    scene.thread.heartbeat(waiting.token)
    scene.thread.callback(waiting.token, Succeeded(output="yes"))
    assert scene.thread.wait(run_id, 60).output == "yes"
    subscription.close()
    listener.join(60)
    assert [type(progress.entry.event).__name__ for progress in seen] == ["RunStarted", "TaskSucceeded"]


def test_an_iterator_of_one_run_ends_with_it(scene: Scene) -> None:
    start = scene.start(SKYLIFT + "echo", 1, run_id="known")
    subscription = scene.thread.subscribe("known")
    scene.thread.start(start)
    assert [progress.entry.sequence for progress in subscription] == [1, 2]


def test_requests_that_make_no_sense(scene: Scene) -> None:
    with pytest.raises(RunNotFound):
        scene.thread.stop("nobody")
    with pytest.raises(RunNotFound):
        scene.thread.wait("nobody", 1)


def test_closing_gives_open_runs_up(scene: Scene) -> None:
    run_id = scene.thread.start(scene.start({"W": {"Type": "Wait", "Seconds": 3_600}}))
    scene.thread.close()
    record = scene.journal.run(run_id)
    assert (record.status, record.owner) == ("RUNNING", None)
    with pytest.raises(InternalError, match="closed"):
        scene.thread.stop(run_id)


def test_an_engine_that_dies_tells_everyone_who_waits() -> None:
    class Cursed(MemoryJournal):
        def commit(self, batch: Batch) -> None:
            if any(append.update for append in batch.appends):
                raise ZeroDivisionError("a bug in a store")
            super().commit(batch)

    scene = Scene(Cursed())
    run_id = scene.thread.start(scene.start(SKYLIFT + "approve.waitForTaskToken"))
    watched = scene.thread.watch(run_id)
    (waiting,) = scene.thread.in_flight(run_id)
    with pytest.raises(InternalError, match="stopped"):
        scene.thread.callback(waiting.token, Succeeded(output=1))
    with pytest.raises(InternalError, match="a bug in a store"):
        watched.wait(60)
    with pytest.raises(InternalError, match="stopped"):
        scene.thread.start(scene.start(SKYLIFT + "echo"))
    scene.thread.close()


def test_trouble_with_the_journal_can_be_seen() -> None:
    class Full(MemoryJournal):
        full = False

        def commit(self, batch: Batch) -> None:
            if self.full:
                raise JournalUnavailable("disk full")
            super().commit(batch)

    journal = Full()
    scene = Scene(journal)
    journal.full = True
    with pytest.raises(JournalUnavailable):
        scene.thread.start(scene.start(SKYLIFT + "echo"))
    assert scene.thread.trouble is not None
    journal.full = False
    assert scene.thread.execute(scene.start(SKYLIFT + "echo", 3), 10).output == 3
    assert scene.thread.trouble is None
    scene.thread.close()


def test_replies() -> None:
    reply: Reply[int] = Reply()
    told: list[int] = []
    reply.then(lambda done: told.append(done.wait(0)))
    with pytest.raises(TimeoutError):
        reply.wait(0)
    reply.set(1)
    reply.set(2)
    reply.fail(ValueError())
    reply.then(lambda done: told.append(done.wait(0)))
    assert told == [1, 1]
    assert reply.wait() == 1


class StuckAtTheEnd(MemoryJournal):
    """Works, but cannot be written any more when the engine leaves."""

    def release(self, owner: str) -> None:
        raise JournalUnavailable("locked")


def test_leaving_does_not_wait_for_a_journal_that_is_stuck() -> None:
    thread = Scene(StuckAtTheEnd()).thread
    closing = threading.Thread(target=thread.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
