"""Nested runs: started by a task, awaited or not, stopped with it."""

from __future__ import annotations

from typing import Any

from skylift.asl.events import StopRequested, TaskFailed, TaskSubmitted, TaskSucceeded
from skylift.asl.status import OPEN
from skylift.engine import nested
from skylift.engine.book import Book
from skylift.engine.deadlines import Deadlines
from skylift.engine.inputs import StartRun
from skylift.engine.names import arn_of, child_run_id, input_digest, sibling
from skylift.engine.placing import WITHIN
from skylift.engine.resolve import Resolve, ResolvedMachine
from skylift.engine.routes import NestedRoute
from skylift.engine.run import Attempt, LiveRun
from skylift.engine.starts import Starts
from skylift.engine.turn import Turn
from skylift.errors import JournalUnavailable, SkyliftError
from skylift.ports.journal import RunRecord


class Children:
    """Touches memory only. What a parent learns is an event for the same turn."""

    def __init__(self, book: Book, starts: Starts, deadlines: Deadlines, resolve: Resolve | None) -> None:
        self._book = book
        self._starts = starts
        self._deadlines = deadlines
        self._resolve = resolve

    def start(self, attempt: Attempt, route: NestedRoute, turn: Turn) -> None:
        """What cannot be started fails the task."""
        try:
            child = self.record(attempt, route, turn)
        except nested.BadRequest as refused:
            fail(attempt, refused.error, refused.cause, turn)
            return
        except JournalUnavailable:
            raise
        except SkyliftError as problem:  # its definition cannot be loaded, its input cannot be written
            fail(attempt, "States.Runtime", f"{problem.code}: {problem}", turn)
            return
        token, run = attempt.command.token, attempt.run
        started = nested.started_output(child, nested.service_of(attempt, route))
        if route.mode == "fire":
            turn.todo.append((run, TaskSucceeded(token=token, output=started)))
            return
        turn.todo.append((run, TaskSubmitted(token=token, output=started)))
        if route.mode == "callback":
            self._deadlines.wait_for_callback(attempt, turn.now_ms)
        else:
            self.attach(attempt, child, turn)

    def record(self, attempt: Attempt, route: NestedRoute, turn: Turn) -> RunRecord:
        """The nested run's record: created now, or found by its name."""
        service = nested.service_of(attempt, route)
        request = nested.read_request(attempt.command.arguments, service)
        found = self._find_machine(attempt.run, request)
        if found is None:
            raise service.no_machine(request.machine)
        if route.mode == "express" and found.type != "EXPRESS":
            raise service.not_supported(request.machine)
        start = _start_of(attempt, request, found)
        known = self._known(start, turn)
        if known is None:
            return self._starts.create(start, turn).record
        if known.parent == attempt.token or (
            known.input_digest == input_digest(request.input) and known.status in OPEN
        ):
            return known
        raise service.name_taken(arn_of(known))

    def _known(self, start: StartRun, turn: Turn) -> RunRecord | None:
        """EXPRESS executions may share a name, so these are known by their id alone."""
        assert start.name is not None
        assert start.run_id is not None
        if start.type == "EXPRESS":
            return self._starts.find_by_id(start.run_id)
        return self._starts.find(start.pipeline, start.name, turn)

    def _find_machine(self, run: LiveRun, request: nested.Request) -> ResolvedMachine | None:
        """A pipeline's own parts first: its code calls them. A server's machines are what they are now."""
        record = run.record
        digest = run.table.machines.get(request.pipeline)
        if digest is None and request.pipeline == record.pipeline:
            digest = record.definition
        if digest is not None:
            pipeline = sibling(record.pipeline, request.pipeline)
            return ResolvedMachine(pipeline=pipeline, definition=digest, tasks=record.tasks, limits=record.limits)
        return self._resolve(request.machine, record) if self._resolve is not None else None

    def attach(self, attempt: Attempt, child: RunRecord, turn: Turn) -> None:
        """Wait for a nested run, which may have ended."""
        self._book.await_child(attempt, child.run_id)
        self._deadlines.wait_for_callback(attempt, turn.now_ms)
        if child.status not in OPEN:
            self.ended(attempt, child, nested.input_of(attempt), turn)

    def ended(self, attempt: Attempt, child: RunRecord, input_: Any, turn: Turn) -> None:
        """The parent learns how its nested run ended."""
        route = attempt.route
        assert type(route) is NestedRoute
        if route.mode == "callback":
            return
        by_class = attempt.run.table.machines and child.error is not None
        classes = ("States.TaskFailed", child.error) if by_class and child.error else ("States.TaskFailed",)
        event = nested.ended_event(attempt.command.token, route.mode, child, input_, classes=classes)
        turn.todo.append((attempt.run, event))

    def stop(self, attempt: Attempt, child: str, turn: Turn) -> None:
        """The task is given up, and the run with it that it has started and waits for."""
        route = attempt.route
        if type(route) is not NestedRoute or route.mode == "callback":
            return
        stop = StopRequested(
            error="States.TaskFailed", cause="The run that started this one was stopped or gave the task up."
        )
        live = self._book.runs.get(child)
        if live is None:
            turn.sends.append((child, stop))
        elif live.record.parent == attempt.token and live.state.status in OPEN:
            turn.todo.append((live, stop))


def _start_of(attempt: Attempt, request: nested.Request, found: ResolvedMachine) -> StartRun:
    parent, run_id = attempt.run.record, child_run_id(attempt.token)
    return StartRun(
        definition=found.definition,
        pipeline=found.pipeline,
        tasks=found.tasks,
        input=request.input,
        name=request.name or run_id,
        account=parent.account,
        type=found.type,
        limits=found.limits,
        parent=attempt.token,
        run_id=run_id,
        context={} if found.role_arn is None else {"Execution": {"RoleArn": found.role_arn}},
        attributes={**_inherited(parent.attributes), **found.attributes, **_within(attempt)},
    )


def _within(attempt: Attempt) -> dict[str, str]:
    """What the steps of a nested run are called in the plan of the run that started it."""
    run = attempt.run
    if not run.table.plan:
        return {}
    return {WITHIN: f"{run.record.attributes.get(WITHIN, '')}{attempt.command.state}/"}


def _inherited(attributes: dict[str, str]) -> dict[str, str]:
    """A nested run's tasks go where its parent's go."""
    return {key: value for key, value in attributes.items() if key == "on" or key.startswith("on.")}


def fail(attempt: Attempt, error: str, cause: str, turn: Turn) -> None:
    """Without ever starting."""
    event = TaskFailed(token=attempt.command.token, error=error, cause=cause, classes=("States.TaskFailed",))
    turn.todo.append((attempt.run, event))
