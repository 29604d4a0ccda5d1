"""The engine on real time, or at another pace: its own thread, an inbox that any thread may put into."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from skylift.asl.events import AnyEvent, PauseRequested, RedriveRequested, ResumeRequested, StopRequested
from skylift.engine.engine import Engine
from skylift.engine.inputs import Callback, Heartbeat, Input, Recover, Send, StartRun, Watch
from skylift.engine.observe import Progress, Subscription
from skylift.engine.pace import RealPace
from skylift.engine.reply import Reply
from skylift.engine.waiting import Waiting
from skylift.errors import InternalError, SkyliftError
from skylift.ports.compute import Outcome
from skylift.ports.journal import RunRecord

T = TypeVar("T")

MOST = 512
"""Inputs taken into one turn: the size of a group commit."""

ANSWER_S = 60.0
"""How long a request may wait for the engine before the caller is told that it does not answer."""

_REPLIES = ("reply", "started", "finished")

_log = logging.getLogger("skylift.engine")
_log.addHandler(logging.NullHandler())  # those who wait are told anyhow: on a terminal once is enough


class EngineThread:
    """Thread-safe face of an `Engine`. `build(inbox)` constructs it; it is used on the thread only.

    All requests wait until what they ask for is durable.
    """

    def __init__(self, build: Callable[[Callable[[Input], None]], Engine], pace: RealPace | None = None) -> None:
        """`pace` is how the time of the engine's clock passes; None for real time."""
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pace = RealPace() if pace is None else pace
        self._pace.on_wake = lambda: self._inbox.put((_nothing, Reply()))
        self.engine = build(self._inbox.put)
        self.failure: BaseException | None = None
        """What ended the thread, if something did."""
        self._closed = False
        self._taken: list[Input] = []
        self._thread = threading.Thread(target=self._work, name="skylift-engine", daemon=True)
        self._thread.start()

    # -- runs ----------------------------------------------------------------------------------------------------------

    def start(self, start: StartRun) -> str:
        """The run's id, once the start is durable. The same name with the same input gives the run there is; with
        another input RunAlreadyExists is raised."""
        reply: Reply[str] = Reply()
        start.started = reply
        return self._ask(start, reply)

    def execute(self, start: StartRun, timeout_s: float | None = None) -> RunRecord:
        """Start and wait for the end, in one go. Raises TimeoutError; the run goes on then."""
        reply: Reply[RunRecord] = Reply()
        start.finished = reply
        return self._ask(start, reply, timeout_s, forever=timeout_s is None)

    def begin(self, start: StartRun) -> tuple[Reply[str], Reply[RunRecord]]:
        """Ask for a start without waiting: replies for the start and for the end."""
        start.started, start.finished = Reply(), Reply()
        self._put(start)
        return start.started, start.finished

    def put(self, given: Input) -> None:
        """Ask without waiting: the input's own `Reply` is answered."""
        self._put(given)

    def wait(self, run_id: str, timeout_s: float | None = None) -> RunRecord:
        """The record of the run once it has ended; also of a run that another process drives. Raises TimeoutError."""
        reply: Reply[RunRecord] = Reply()
        return self._ask(Watch(run_id=run_id, reply=reply), reply, timeout_s, forever=timeout_s is None)

    def watch(self, run_id: str) -> Reply[RunRecord]:
        """`wait` without waiting."""
        reply: Reply[RunRecord] = Reply()
        self._put(Watch(run_id=run_id, reply=reply))
        return reply

    def send(self, run_id: str, event: AnyEvent) -> None:
        """Hand a request to the run, whoever drives it; a run whose engine is dead is taken over for it."""
        reply: Reply[None] = Reply()
        self._ask(Send(run_id=run_id, event=event, reply=reply), reply)

    def stop(self, run_id: str, error: str | None = None, cause: str | None = None) -> None:
        """End it as ABORTED. Nothing happens to a run that has ended."""
        self.send(run_id, StopRequested(error=error, cause=cause))

    def pause(self, run_id: str) -> None:
        self.send(run_id, PauseRequested())

    def resume(self, run_id: str) -> None:
        """Undo `pause`. A run whose engine has died is taken over with `recover`."""
        self.send(run_id, ResumeRequested())

    def redrive(self, run_id: str) -> None:
        """Go on from the steps that did not succeed. Raises SetupError for a run that is running or has succeeded."""
        self.send(run_id, RedriveRequested())

    def recover(self, run_ids: Sequence[str] | None = None) -> list[str]:
        """Take over open runs whose owner is dead: these, or all. The ids of those taken."""
        reply: Reply[list[str]] = Reply()
        return self._ask(Recover(run_ids=run_ids, reply=reply), reply, forever=True)

    # -- tasks that wait for a callback --------------------------------------------------------------------------------

    def callback(self, token: str, outcome: Outcome) -> None:
        """The outcome of a task by its global token. Raises SetupError (TASK-UNKNOWN) when nobody waits for it."""
        reply: Reply[None] = Reply()
        self._ask(Callback(token=token, outcome=outcome, reply=reply), reply)

    def heartbeat(self, token: str) -> None:
        reply: Reply[None] = Reply()
        self._ask(Heartbeat(token=token, reply=reply), reply)

    # -- views ---------------------------------------------------------------------------------------------------------

    def subscribe(self, run_id: str | None = None, callback: Callable[[Progress], None] | None = None) -> Subscription:
        return self.engine.subscribe(run_id, callback)

    def in_flight(self, run_id: str) -> list[Waiting]:
        """Why the run waits."""
        return self.on_thread(lambda: self.engine.in_flight(run_id))

    def on_thread(self, question: Callable[[], T]) -> T:
        """Ask something of the engine between two turns."""
        reply: Reply[T] = Reply()
        return self._ask((question, reply), reply)

    @property
    def trouble(self) -> SkyliftError | None:
        """What is wrong with the journal now."""
        return self.engine.trouble

    @property
    def backlog(self) -> int:
        """Inputs that no turn has taken up yet."""
        return self._inbox.qsize()

    def check(self, run_id: str) -> None:
        """Raises InternalError when the run, or the whole engine, cannot go on. At no cost."""
        if self.failure is not None:
            raise _ended_by(self.failure)
        broken = self.engine.broken(run_id)
        if broken is not None:
            raise broken

    def close(self) -> None:
        """End after the present turn and give up the runs that have not ended, so that others may take them over.
        Backends are their owner's to close."""
        if self._closed:
            return
        self._closed = True
        self._inbox.put(None)
        self._thread.join()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _ask(self, given: Any, reply: Reply[T], timeout_s: float | None = ANSWER_S, *, forever: bool = False) -> T:
        self._put(given)
        return reply.wait(None if forever else timeout_s)

    def _put(self, given: Any) -> None:
        if self._closed:
            raise InternalError("the engine is closed")
        if self.failure is not None:
            raise _ended_by(self.failure)
        self._inbox.put(given)

    def _work(self) -> None:
        try:
            self._turns()
        except BaseException as problem:  # noqa: BLE001  # kept, and told to everyone who asks from now on
            self.failure = problem
            _log.critical("the engine has stopped", exc_info=problem)
            self._refuse_all(_ended_by(problem))
        else:
            with contextlib.suppress(SkyliftError):  # its runs can be taken over all the same once this process is gone
                self.engine.journal.release(self.engine.owner)

    def _refuse_all(self, problem: SkyliftError) -> None:
        """Nobody may wait for an engine that is no more; until `close`."""
        self.engine.abandon(problem)
        _refuse(self._taken, problem)
        while (given := self._inbox.get()) is not None:
            _refuse([given], problem)

    def _turns(self) -> None:
        due: int | None = None
        while True:
            inputs = self._gather(due)
            if inputs is None:
                return
            self._taken = inputs
            if not inputs and not self._pace.idle(due, self._works_outside):
                self.engine.look_again()
            self._pace.tick()
            due = self.engine.turn(inputs)

    def _works_outside(self) -> bool:
        return self.engine.works_outside(self._pace.attached)

    def _gather(self, due: int | None) -> list[Input] | None:
        """All that waits, up to a bound; blocks until something does or is due. None to end."""
        inbox = self._inbox
        inputs: list[Input] = []
        try:
            given = inbox.get(timeout=self._pace.pause_s(due))
            while True:
                if given is None:
                    if not inputs:
                        return None
                    inbox.put(None)  # what was reported before the end counts
                    return inputs
                if type(given) is tuple:
                    _answer(*given)
                else:
                    inputs.append(given)
                if len(inputs) >= MOST:
                    return inputs
                given = inbox.get_nowait()
        except queue.Empty:
            return inputs


def _ended_by(problem: BaseException) -> SkyliftError:
    """What those who ask are told: trouble with the journal as it is, everything else as the bug that it is."""
    if isinstance(problem, SkyliftError):
        return problem
    error = InternalError(f"the engine has stopped: {problem!r}")
    error.__cause__ = problem
    return error


def _nothing() -> None:
    """Asked to end a pause."""


def _refuse(inputs: Sequence[Any], problem: SkyliftError) -> None:
    for given in inputs:
        parts = given if type(given) is tuple else [getattr(given, name, None) for name in _REPLIES]
        for part in parts:
            if isinstance(part, Reply):
                part.fail(problem)


def _answer(question: Callable[[], Any], reply: Reply[Any]) -> None:
    try:
        reply.set(question())
    except Exception as problem:  # noqa: BLE001  # goes to whoever asked
        reply.fail(problem)
