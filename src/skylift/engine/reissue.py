"""After a load: a run's tasks, timers and pages are given out again, and nothing twice."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from skylift.asl.commands import StartTask
from skylift.asl.events import AnyEvent, TaskRedelivered, TaskStarted, TaskSubmitted
from skylift.engine.book import Book
from skylift.engine.cache import cache_key
from skylift.engine.children import fail
from skylift.engine.planner import Planner
from skylift.engine.routes import ActivityRoute, NestedRoute, Refused, ServiceRoute, WorkerRoute
from skylift.engine.run import Attempt, LiveRun
from skylift.engine.turn import Turn
from skylift.ports.journal import Journal


class Told(msgspec.Struct):
    """What the journal says of tasks between their start and their outcome."""

    submitted: dict[str, Any] = {}
    """Output by token of those whose request was accepted."""
    started: set[str] = set()
    """Tokens of those that a worker has taken."""

    def see(self, event: AnyEvent) -> None:
        if type(event) is TaskSubmitted:
            self.submitted[event.token] = event.output
        elif type(event) is TaskStarted:
            self.started.add(event.token)
        elif type(event) is TaskRedelivered:
            self.started.discard(event.token)


class Reissue:
    """Plans what a loaded run still waits for."""

    def __init__(self, book: Book, journal: Journal, planner: Planner) -> None:
        self._book = book
        self._journal = journal
        self._planner = planner

    def reissue(self, run: LiveRun, told: Told | None, turn: Turn) -> None:
        """Give out again what a loaded run still waits for. Attempts on backends are gathered in `turn.adopted`. `told`
        is None where the run's first events were not read: they are when they matter."""
        for command in list(run.state.pending()):
            if type(command) is not StartTask:
                self._planner.carry_out(run, command, turn)
                continue
            attempt = self._planner.attempt_of(run, command)
            route = attempt.route
            if type(route) is WorkerRoute and not route.callback:
                self._readopt(attempt, route, turn)
                continue
            if told is None:
                told = self._told(run)
            self._rearm(attempt, told, turn)

    def _readopt(self, attempt: Attempt, route: WorkerRoute, turn: Turn) -> None:
        self._book.open_attempt(attempt)
        self._planner.place(attempt)
        if route.spec.cache:
            attempt.cache_key = cache_key(route.spec, attempt.command.arguments, attempt.run.record.account)
        turn.adopted.append(attempt)

    def _rearm(self, attempt: Attempt, told: Told, turn: Turn) -> None:
        route, token = attempt.route, attempt.command.token
        submitted = token in told.submitted
        self._book.open_attempt(attempt)
        if type(route) is WorkerRoute:
            if submitted:
                self._planner.deadlines.wait_for_callback(attempt, turn.now_ms)
            else:
                attempt.backend = route.backend
                turn.adopted.append(attempt)
        elif type(route) is ServiceRoute:
            self._rearm_service(attempt, route, told, turn)
        elif type(route) is ActivityRoute:  # offered, and perhaps taken: never a second time
            self._rearm_activity(attempt, route, token in told.started, turn)
        elif type(route) is NestedRoute:
            self._rearm_nested(attempt, route, submitted, turn)
        elif type(route) is Refused:
            fail(attempt, route.error, route.cause, turn)
        else:
            self._planner.deadlines.wait_for_callback(attempt, turn.now_ms)

    def _rearm_activity(self, attempt: Attempt, route: ActivityRoute, started: bool, turn: Turn) -> None:
        if route.work is None:
            self._planner.deadlines.limit(attempt)
        elif route.work.spec.cache:
            attempt.cache_key = cache_key(route.work.spec, attempt.command.arguments, attempt.run.record.account)
        if started:
            self._planner.rearm(attempt, turn)

    def _rearm_service(self, attempt: Attempt, route: ServiceRoute, told: Told, turn: Turn) -> None:
        token = attempt.command.token
        if token in told.submitted and not route.waits:
            self._planner.deadlines.wait_for_callback(attempt, turn.now_ms)
            return
        self._planner.call_service(attempt, route)
        attempt.submitted = told.submitted.get(token, UNSET)
        turn.adopted.append(attempt)

    def _rearm_nested(self, attempt: Attempt, route: NestedRoute, submitted: bool, turn: Turn) -> None:
        if not submitted:
            turn.nested.append((attempt, route))
            return
        if route.mode == "callback":
            self._planner.deadlines.wait_for_callback(attempt, turn.now_ms)
            return
        children = self._planner.children
        children.attach(attempt, children.record(attempt, route, turn), turn)

    def _told(self, run: LiveRun) -> Told:
        """What is known of tasks in flight beside the state. Only asked for runs that have such tasks."""
        told = Told()
        for entry in self._journal.entries(run.record.run_id):
            told.see(entry.event)
        return told
