"""The worker's loop over an API and a backend that do what the test says."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from skylift.compute.basics import Basics
from skylift.errors import SetupError
from skylift.lending.api import Away, GivenTask, Refused, TaskGone
from skylift.lending.tasks import Failure, Rules, Success, answer, leaving, read
from skylift.lending.worker import Worker
from skylift.ports.compute import Cancelled, CodeRef, Failed, Lost, Offer, OutOfMemory, Succeeded, TaskCall, TimedOut
from skylift.ports.envelope import Envelope, open_answer, open_elsewhere, seal

FOREIGN = GivenTask("AQC/1", '{"n": 1}')


def call_of(token: str = "run:1-1", delivery: int = 1) -> TaskCall:
    code = CodeRef(bundle="b", target="m:train")
    return TaskCall(
        token=token, run_id="run", task="train", label="train", attempt=1, code=code, arguments={}, delivery=delivery
    )


def given(token: str = "run:1-1", delivery: int = 1) -> GivenTask:
    return GivenTask(token, seal(Envelope(call=call_of(token, delivery))))


class Api:
    """Hands out what it was given, and keeps what it was told."""

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[GivenTask | Exception | None] = queue.SimpleQueue()
        self.told: queue.SimpleQueue[tuple[str, ...]] = queue.SimpleQueue()
        self.troubles: dict[str, list[Exception]] = {}
        self.beats: queue.SimpleQueue[str] = queue.SimpleQueue()

    def find(self, name: str) -> str:
        return name

    def next(self, activity: str, worker: str) -> GivenTask | None:
        found = self.tasks.get()
        if isinstance(found, Exception):
            raise found
        return found

    def success(self, token: str, output: str) -> None:
        self._trouble("success")
        self.told.put(("success", token, output))

    def failure(self, token: str, error: str, cause: str) -> None:
        self._trouble("failure")
        self.told.put(("failure", token, error, cause))

    def heartbeat(self, token: str) -> None:
        self._trouble("heartbeat")
        self.beats.put(token)

    def hang_up(self) -> None:
        for _ in range(4):
            self.tasks.put(None)

    def _trouble(self, what: str) -> None:
        if self.troubles.get(what):
            raise self.troubles[what].pop(0)


class Manual(Basics):
    """A backend whose attempts end when the test says so."""

    name = "manual"

    def __init__(self) -> None:
        self.report: Callable[[str, Any], None] = lambda token, outcome: None
        self.calls: queue.SimpleQueue[TaskCall] = queue.SimpleQueue()
        self.room = True
        self.closed = False

    def make(self, report: Callable[[str, Any], None]) -> Any:
        self.report = report
        return self

    def offers(self, requirements: Any) -> Sequence[Offer]:
        return [Offer(backend="manual", instance_type="x", vcpus=1, memory_mib=1)] if self.room else []

    def submit(self, calls: Sequence[TaskCall]) -> None:
        for call in calls:
            self.calls.put(call)

    def cancel(self, tokens: Any) -> None:
        for token in tokens:
            self.report(token, Cancelled())

    def close(self) -> None:
        self.closed = True


class Running:
    def __init__(self, **options: Any) -> None:
        self.api, self.backend = options.pop("api", None) or Api(), Manual()
        self.lines: list[tuple[str, dict[str, Any]]] = []
        rules = options.pop("rules", Rules(handler="m:f"))
        options = {"beat_s": 60.0, "sleep": lambda seconds: time.sleep(0.001), **options}
        self.worker = Worker(
            self.api,
            "arn",
            self.backend.make,
            rules,
            name="box",
            say=lambda event, **facts: self.lines.append((event, facts)),
            **options,
        )
        self.problem: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as problem:  # noqa: BLE001  # the test looks at it
            self.problem = problem

    def said(self) -> list[str]:
        return [event for event, _ in self.lines]


@contextmanager
def running(**options: Any) -> Iterator[Running]:
    it = Running(**options)
    it.thread.start()
    try:
        yield it
    finally:
        it.worker.drain()
        it.thread.join(90)
    assert not it.thread.is_alive() and it.backend.closed


def test_a_foreign_task_is_run_and_answered() -> None:
    with running() as it:
        it.api.tasks.put(FOREIGN)
        call = it.backend.calls.get(timeout=60)
        assert (call.arguments, call.convention, call.code.target) == ({"n": 1}, "handler", "m:f")
        it.backend.report(call.token, Succeeded(output={"x": 2}))
        assert it.api.told.get(timeout=60) == ("success", "AQC/1", '{"x":2}')
    assert it.problem is None
    assert it.worker.stats.succeeded == it.worker.stats.taken == 1


def test_signs_of_life_and_a_task_that_nobody_wants_any_more() -> None:
    with running(beat_s=0.01) as it:
        it.api.tasks.put(given())
        it.backend.calls.get(timeout=60)
        assert it.api.beats.get(timeout=60) == "run:1-1"
        it.api.troubles["heartbeat"] = [Away("a blink"), TaskGone("timed out")]
        it.api.tasks.put(FOREIGN)
        assert it.backend.calls.get(timeout=60).token == "AQC/1"
        it.backend.report("AQC/1", Succeeded(output=None))
        assert it.api.told.get(timeout=60)[:2] == ("success", "AQC/1")
    assert it.worker.stats.dropped == 1
    assert it.api.told.empty()


def test_signs_of_life_of_many_tasks_do_not_wait_for_each_other() -> None:
    """With a server slow to answer the last task's sign came too late."""
    together = threading.Barrier(3)

    class Slow(Api):
        def heartbeat(self, token: str) -> None:
            together.wait(60)
            super().heartbeat(token)

    with running(at_once=3, api=Slow()) as it, ThreadPoolExecutor(3) as beating:
        for number in range(3):
            it.api.tasks.put(GivenTask(f"AQC/{number}", "{}"))
        started = {it.backend.calls.get(timeout=60).token for _ in range(3)}
        it.worker._beat_for_all(beating)
        assert {it.api.beats.get(timeout=60) for _ in range(3)} == started
        for token in started:
            it.backend.report(token, Succeeded(output=None))


def test_an_interval_of_signs_that_no_clock_can_count() -> None:
    """The thread that gives them ended with an OverflowError, and every task was lost."""
    assert Running(beat_s=1e12).worker._beat_s < threading.TIMEOUT_MAX


def test_a_fault_of_its_own_is_not_an_end_in_order() -> None:
    """The worker left with exit status 0, and its unit was not started again."""
    with running() as it:
        it.backend.submit = lambda calls: 1 / 0
        it.api.tasks.put(FOREIGN)
        it.thread.join(60)
    assert isinstance(it.problem, ZeroDivisionError)


def test_an_answer_is_given_until_it_is_taken() -> None:
    with running() as it:
        it.worker._pause = lambda seconds: None
        it.api.troubles["success"] = [Away("gone"), Away("gone")]
        it.api.tasks.put(given())
        it.backend.calls.get(timeout=60)
        it.backend.report("run:1-1", Failed(error="E", cause="c"))
        _, token, output = it.api.told.get(timeout=60)
        found = open_answer(json.loads(output))
        assert (token, found.delivery, found.outcome) == ("run:1-1", 1, Failed(error="E", cause="c"))
    assert it.said().count("away") == it.said().count("back") == 1


def test_an_answer_that_is_refused_or_too_late() -> None:
    with running() as it:
        it.api.troubles["success"] = [Refused("InvalidOutput: no", "InvalidOutput"), TaskGone("late")]
        for _ in range(2):
            it.api.tasks.put(FOREIGN)
            it.backend.report(it.backend.calls.get(timeout=60).token, Succeeded(output=1))
        assert it.api.told.get(timeout=60) == ("failure", "AQC/1", "Skylift.AnswerRefused", "InvalidOutput: no")
    assert (it.worker.stats.failed, it.worker.stats.dropped) == (1, 1)


def test_an_answer_too_long_for_the_protocol_lies_elsewhere() -> None:
    stored: list[bytes] = []
    with running(store=lambda data: stored.append(data) or "digest") as it:
        it.api.tasks.put(given())
        it.backend.report(it.backend.calls.get(timeout=60).token, Succeeded(output="x" * 300_000))
        _, _, output = it.api.told.get(timeout=60)
    assert open_elsewhere(json.loads(output)) == "digest"
    found = open_answer(json.loads(stored[0]))
    assert found is not None and found.outcome == Succeeded(output="x" * 300_000)


def test_the_server_goes_away_and_comes_back() -> None:
    with running() as it:
        for problem in (Away("away"), Away("away")):
            it.api.tasks.put(problem)
        it.api.tasks.put(FOREIGN)
        it.backend.report(it.backend.calls.get(timeout=60).token, Succeeded(output=1))
        it.api.told.get(timeout=60)
    assert it.said().count("away") == it.said().count("back") == 1


def test_a_key_that_is_refused_ends_the_worker() -> None:
    with running() as it:
        it.api.tasks.put(Refused("may not", "AccessDeniedException"))
        it.thread.join(60)
    assert isinstance(it.problem, SetupError)


def test_a_task_of_ours_that_comes_while_it_leaves_is_given_back() -> None:
    with running() as it:
        it.api.tasks.put(given("run:1-1"))
        it.backend.calls.get(timeout=60)
        it.worker.drain()
        it.backend.report("run:1-1", Succeeded(output=1))
        it.api.told.get(timeout=60)
    back = leaving(read(given(delivery=3), Rules()))
    assert back is not None
    found = open_answer(json.loads(back.output))
    assert found.delivery == 3 and found.outcome.preempted
    assert leaving(read(FOREIGN, Rules(handler="m:f"))) is None


def test_the_same_attempt_given_again_while_it_runs_here() -> None:
    with running(at_once=2) as it:
        it.api.tasks.put(given(delivery=1))
        it.backend.calls.get(timeout=60)
        it.api.tasks.put(given(delivery=2))
        end = time.monotonic() + 60
        while "runs_already" not in it.said():
            assert time.monotonic() < end
            time.sleep(0.005)
        it.backend.report("run:1-1", Lost(reason="gone"))
        _, _, output = it.api.told.get(timeout=60)
        assert open_answer(json.loads(output)).delivery == 2


def test_a_machine_without_room_says_so() -> None:
    with running() as it:
        it.backend.room = False
        it.api.tasks.put(given())
        _, _, output = it.api.told.get(timeout=60)
    assert "no room" in open_answer(json.loads(output)).outcome.reason


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Succeeded(output=[1]), Success("[1]")),
        (Failed(error="E", cause="c"), Failure("E", "c")),
        (TimedOut(), Failure("States.Timeout", "the worker's own time limit for this task was over")),
        (OutOfMemory(limit_mib=5), Failure("OutOfMemory", "the task used more memory than the limit of 5 MiB")),
        (Lost(reason="r"), Failure("Lost", "the process that ran the task died: r")),
        (Cancelled(), Failure("Lost", "the worker ended before the task did")),
    ],
)
def test_outcomes_of_foreign_tasks(outcome: Any, said: Any) -> None:
    assert answer(read(FOREIGN, Rules(handler="m:f")), outcome) == said


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "Skylift.BadTask"),
        ('{"skylift": {"version": 9, "call": {}}}', "Skylift.BadTask"),
        ('{"n": 1}', "Skylift.NoHandler"),
    ],
)
def test_what_cannot_be_run_is_refused(text: str, error: str) -> None:
    work = read(GivenTask("t", text), Rules())
    assert work.call is None and work.refusal is not None and work.refusal.error == error


def test_logs_have_names_of_files_only() -> None:
    rules = Rules(handler="m:f", logs="/logs")
    ours = read(given("run:1-1"), rules).call
    assert ours is not None and ours.log == "/logs/run/1-1.log"
    foreign = read(FOREIGN, rules).call
    assert foreign is not None and foreign.log is not None
    assert foreign.log.startswith("/logs/activity/") and foreign.log.count("/") == 3
    nasty = TaskCall(**{**{f: getattr(call_of(), f) for f in TaskCall.__struct_fields__}, "run_id": "../../etc"})
    read_nasty = read(GivenTask("x", seal(Envelope(call=nasty))), rules).call
    assert read_nasty is not None and ".." not in (read_nasty.log or "")
