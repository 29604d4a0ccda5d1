"""From events to commands to what must be done: the part of a turn that touches memory only.

Everything here may be thrown away again: nothing leaves the process before the turn's batch is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skylift.asl.commands import (
    CancelTask,
    CancelTimer,
    Command,
    FinishRun,
    ReadItems,
    SetTimer,
    StartTask,
    WriteResults,
)
from skylift.asl.events import (
    AnyEvent,
    ResumeRequested,
    TaskFailed,
    TaskGivenUp,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    Usage,
)
from skylift.asl.history import HistoryEvent
from skylift.asl.status import OPEN
from skylift.engine import lent
from skylift.engine.book import AttemptDue, Book
from skylift.engine.cache import cache_key
from skylift.engine.calls import region_of
from skylift.engine.children import Children, fail
from skylift.engine.deadlines import Deadlines
from skylift.engine.dispatch import Dispatcher
from skylift.engine.guard import Guard
from skylift.engine.jobs import submitted
from skylift.engine.library import Library
from skylift.engine.limits import EngineLimits
from skylift.engine.markets import Markets
from skylift.engine.names import (
    global_token,
)
from skylift.engine.observe import Observers, Progress
from skylift.engine.redelivery import deliveries_of
from skylift.engine.resolve import Resolve
from skylift.engine.router import Router
from skylift.engine.routes import ActivityRoute, NestedRoute, Refused, ServiceRoute, WorkerRoute
from skylift.engine.run import Attempt, LiveRun
from skylift.engine.starts import Starts
from skylift.engine.tokens import task_timed_out
from skylift.engine.turn import Turn
from skylift.ports.journal import CacheEntry, Entry, Journal, RunUpdate


class RunBroken(Exception):
    """An event of the run cannot be taken in or written, which is a bug: it is set aside, the others go on."""

    def __init__(self, run_id: str, problem: BaseException) -> None:
        super().__init__(f"run {run_id}: {problem!r}")
        self.run_id = run_id
        self.problem = problem


class Planner:
    """Applies events to runs and turns the commands that come out into work for after the commit."""

    def __init__(
        self,
        *,
        book: Book,
        journal: Journal,
        library: Library,
        router: Router,
        dispatcher: Dispatcher,
        markets: Markets,
        limits: EngineLimits,
        observers: Observers,
        owner: str,
        version: str,
        resolve: Resolve | None,
        guard: Guard,
    ) -> None:
        self._guard = guard
        self._waiting: dict[str, list[Attempt]] = {}
        """By run, attempts that are to be given out again once its budget allows it."""
        self._book = book
        self._journal = journal
        self._router = router
        self._dispatcher = dispatcher
        self._markets = markets
        self._limits = limits
        self._observers = observers
        self.deadlines = Deadlines(book)
        self.starts = Starts(
            book=book, journal=journal, library=library, apply=self.apply, owner=owner, version=version
        )
        self.children = Children(book, self.starts, self.deadlines, resolve)
        self._tickets = 0
        self._handlers: dict[type, Callable[[LiveRun, Any, Turn], None]] = {
            StartTask: self._start_task,
            CancelTask: self._cancel_task,
            SetTimer: self._set_timer,
            CancelTimer: self._cancel_timer,
            ReadItems: self._io,
            WriteResults: self._io,
            FinishRun: self._finish,
        }

    # -- events --------------------------------------------------------------------------------------------------------

    def apply(self, run: LiveRun, event: AnyEvent, turn: Turn) -> None:
        """Take one event into a run, after what budgets have to say of it."""
        for other, first in self._guard.before(run, event, turn.now_ms):
            self.take(other, first, turn)
        self.take(run, event, turn)

    def take(self, run: LiveRun, event: AnyEvent, turn: Turn) -> None:
        """One event and nothing else."""
        record = run.record
        listeners = self._observers.of(record.run_id)
        history: list[HistoryEvent] | None = [] if listeners else None
        try:
            commands = run.machine.advance(run.state, event, turn.now_ms, history)
        except Exception as problem:  # the contract says never
            raise RunBroken(record.run_id, problem) from problem
        run.sequence += 1
        run.since_snapshot += 1
        entry = Entry(run.sequence, turn.now_ms, event)
        turn.entry(run, entry)
        if run.state.status != record.status and run.state.status in OPEN:
            self._reopened(run, turn)
        handlers = self._handlers
        for command in commands:
            handlers[type(command)](run, command, turn)
        if type(event) is ResumeRequested:
            for attempt in self._waiting.pop(record.run_id, ()):
                if attempt.open:
                    self.give_out(attempt, turn.now_ms)
        if history is not None:
            progress = Progress(record=run.record, entry=entry, commands=commands, history=history)
            turn.progress.append((listeners, progress))

    def carry_out(self, run: LiveRun, command: Command, turn: Turn) -> None:
        """Plan what a command asks for."""
        self._handlers[type(command)](run, command, turn)

    def attempt_of(self, run: LiveRun, command: StartTask) -> Attempt:
        """A fresh attempt for the command, which nobody knows of yet."""
        route = self._router.route(command, run.record, run.table, run.routes)
        return Attempt(run, command, global_token(run.record.run_id, command.token), route)

    def settle(self, turn: Turn, most: int) -> None:
        """Apply what followed inside the turn, up to `most` events; the rest waits for the next turn."""
        todo, starts = turn.todo, turn.nested
        while most > 0 and (todo or starts):
            most -= 1
            if not todo:
                attempt, route = starts.popleft()
                if attempt.open:
                    self.children.start(attempt, route, turn)
                continue
            run, event = todo.popleft()
            if run.open and run.state.status in OPEN and self._still_awaited(run, event, turn):
                self.apply(run, event, turn)

    def _still_awaited(self, run: LiveRun, event: AnyEvent, turn: Turn) -> bool:
        """The outcome of an attempt closes it here; an attempt that was cancelled meanwhile has no outcome."""
        if isinstance(event, TaskSucceeded | TaskFailed):
            attempt = run.attempts.get(event.token)
            if attempt is None:
                return False
            self.close(attempt, turn)
        return True

    def close(self, attempt: Attempt, turn: Turn) -> None:
        """Its outcome is known."""
        self.retire(attempt, turn)
        self._dispatcher.ended(attempt)

    def retire(self, attempt: Attempt, turn: Turn) -> None:
        """Nothing more is expected of it."""
        self._book.close_attempt(attempt)
        offered = type(attempt.route) is ActivityRoute and not attempt.started
        if offered and turn.offered.pop(attempt.token, None) is None:
            turn.withdrawn.append(attempt.token)
        if attempt.early is not None and attempt.early.reply is not None:
            turn.failures.append((attempt.early.reply, task_timed_out(attempt.token)))
            attempt.early = None

    def succeeded(self, attempt: Attempt, output: Any, turn: Turn) -> None:
        """Remember a cacheable result."""
        if attempt.cache_key is not None:
            turn.cached.append(
                CacheEntry(
                    key=attempt.cache_key,
                    run_id=attempt.run.record.run_id,
                    output=output,
                    created_ms=turn.now_ms,
                )
            )

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _reopened(self, run: LiveRun, turn: Turn) -> None:
        """Paused, resumed or redriven."""
        record = run.record
        record.status = run.state.status
        record.stopped_ms = record.output = record.error = record.cause = None
        turn.updates[record.run_id] = RunUpdate(status=record.status)

    def _finish(self, run: LiveRun, command: FinishRun, turn: Turn) -> None:
        record = run.record
        record.status = command.status
        record.stopped_ms = turn.now_ms
        record.output, record.error, record.cause = command.output, command.error, command.cause
        turn.updates[record.run_id] = RunUpdate(
            status=command.status,
            stopped_ms=turn.now_ms,
            output=command.output,
            error=command.error,
            cause=command.cause,
        )
        turn.ended.append(run)
        for attempt in list(self._book.parents.get(record.run_id, ())):
            self.children.ended(attempt, record, run.state.input, turn)

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def _start_task(self, run: LiveRun, command: StartTask, turn: Turn) -> None:
        attempt = self.attempt_of(run, command)
        route = attempt.route
        self._book.open_attempt(attempt)
        turn.tasks += 1
        if type(route) is WorkerRoute:
            self._start_work(attempt, route, turn)
        elif type(route) is NestedRoute:
            turn.nested.append((attempt, route))
        elif type(route) is Refused:
            fail(attempt, route.error, route.cause, turn)
        elif type(route) is ServiceRoute:
            self.call_service(attempt, route)
            self._dispatcher.add(attempt)
        elif type(route) is ActivityRoute:
            self._offer(attempt, route, turn)
        else:
            self.deadlines.wait_for_callback(attempt, turn.now_ms)

    def call_service(self, attempt: Attempt, route: ServiceRoute) -> None:
        """The time limit counts from the beginning, whatever the service does."""
        attempt.backend = route.backend
        self.deadlines.limit(attempt)

    def _offer(self, attempt: Attempt, route: ActivityRoute, turn: Turn) -> None:
        if route.work is None:
            self.deadlines.limit(attempt)
        elif self._is_known(attempt, route.work, turn):
            attempt.started = True  # there is no offer to be withdrawn
            return
        lent.offer(attempt, turn)

    def _start_work(self, attempt: Attempt, route: WorkerRoute, turn: Turn) -> None:
        attempt.backend = route.backend
        if route.job is not None:
            run, token = attempt.run, attempt.command.token
            output = submitted(route.job, attempt.token, run.record.account, region_of(run.record))
            turn.todo.append((run, TaskSubmitted(token=token, output=output)))
        if not self._is_known(attempt, route, turn):
            self.give_out(attempt, turn.now_ms)

    def _is_known(self, attempt: Attempt, route: WorkerRoute, turn: Turn) -> bool:
        """Whether the result is cached: then it follows in this turn."""
        if not route.spec.cache or route.callback:
            return False
        attempt.cache_key = cache_key(route.spec, attempt.command.arguments, attempt.run.record.account)
        hit = self._journal.cached(attempt.cache_key)
        if hit is None:
            return False
        attempt.cache_key = None
        event = TaskSucceeded(token=attempt.command.token, output=hit.output, usage=Usage(cached_from=hit.run_id))
        turn.todo.append((attempt.run, event))
        return True

    def place(self, attempt: Attempt) -> None:
        """Where its next delivery goes."""
        route = attempt.route
        assert type(route) is WorkerRoute or type(route) is ServiceRoute
        attempt.backend = deliveries_of(attempt).backend or route.backend

    def give_out(self, attempt: Attempt, now_ms: int) -> None:
        """To its backend, once the turn is durable."""
        attempt.held = self._guard.holds(attempt)
        if attempt.held:
            self._waiting.setdefault(attempt.run.record.run_id, []).append(attempt)
            return
        attempt.recalled = False
        attempt.market = self._markets.choose(attempt, now_ms)
        if attempt.market is not None:
            attempt.given_ms = now_ms
            self._dispatcher.add(attempt)
        self.watch_market(attempt, now_ms)

    def give_out_anew(self, attempt: Attempt, now_ms: int) -> None:
        """After a load. A backend whose attempts outlive their engine may have it, and goes on with it only when asked:
        then it is asked, where else it would wait for a market."""
        self.give_out(attempt, now_ms)
        if attempt.held or not self._dispatcher.may_have(attempt):
            return
        attempt.given_ms = 0
        if attempt.market is None:
            attempt.market = "spot"
            self._dispatcher.add(attempt)

    def give_out_held(self, now_ms: int) -> None:
        """What was held back, in its order, until one of a run has to wait again. Of a run that is paused nothing goes
        before that is resumed."""
        held, self._waiting = self._waiting, {}
        for run_id, attempts in held.items():
            for place, attempt in enumerate(attempts):
                if attempt.open and attempt.run.state.status != "PAUSED":
                    self.give_out(attempt, now_ms)
                if attempt.open and (attempt.held or attempt.run.state.status == "PAUSED"):
                    self._waiting[run_id] = attempts[place:]
                    break

    def watch_market(self, attempt: Attempt, now_ms: int) -> None:
        if not attempt.watched and self._markets.is_watched(attempt):
            attempt.watched = True
            self._book.timers.add(now_ms + self._limits.market_ms, AttemptDue(attempt, "market"))

    def rearm(self, attempt: Attempt, turn: Turn) -> None:
        """A worker has taken it before this engine knew of it."""
        lent.taken(attempt, self.deadlines, self._limits, turn.now_ms)

    def taken(self, attempt: Attempt, event: TaskStarted, turn: Turn) -> None:
        """A worker has taken an activity's task."""
        if type(attempt.route) is ActivityRoute and not attempt.started:
            lent.taken(attempt, self.deadlines, self._limits, turn.now_ms)
            self.apply(attempt.run, event, turn)

    def _cancel_task(self, run: LiveRun, command: CancelTask, turn: Turn) -> None:
        attempt = run.attempts.get(command.token)
        if attempt is not None:
            self.cancel(attempt, turn)

    def cancel(self, attempt: Attempt, turn: Turn) -> None:
        """Stop an attempt, and the nested run that it started. What it has used is journaled: nobody tells it later."""
        child = attempt.child
        standing = self._dispatcher.standing(attempt) if attempt.sent else None
        if standing is not None and standing.usage is not None:
            self._guard.ended(attempt)
            self.apply(attempt.run, TaskGivenUp(token=attempt.command.token, usage=standing.usage), turn)
        self.retire(attempt, turn)
        turn.cancelled.append(attempt)
        if child is not None:
            self.children.stop(attempt, child, turn)

    # -- timers and input/output ---------------------------------------------------------------------------------------

    def _set_timer(self, run: LiveRun, command: SetTimer, turn: Turn) -> None:
        self._book.set_timer(run, command.timer, command.due_ms)

    def _cancel_timer(self, run: LiveRun, command: CancelTimer, turn: Turn) -> None:
        self._book.cancel_timer(run, command.timer)

    def _io(self, run: LiveRun, command: ReadItems | WriteResults, turn: Turn) -> None:
        self._tickets += 1
        kind, number = ("read", command.reader) if type(command) is ReadItems else ("write", command.writer)  # type: ignore[union-attr]
        run.io = {ticket: port for ticket, port in run.io.items() if port != (kind, number)}
        run.io[self._tickets] = (kind, number)
        turn.io.append((run, self._tickets, command))
