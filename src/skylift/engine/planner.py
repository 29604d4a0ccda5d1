"""From events to commands to what must be done: the part of a turn that touches memory only.

Everything here may be thrown away again: nothing leaves the process before the turn's batch is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

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
    RunStarted,
    StopRequested,
    TaskFailed,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    Usage,
)
from skylift.asl.history import HistoryEvent
from skylift.asl.json_text import json_text
from skylift.asl.status import OPEN
from skylift.engine import nested
from skylift.engine.book import AttemptDue, Book
from skylift.engine.cache import cache_key
from skylift.engine.dispatch import Dispatcher
from skylift.engine.inputs import StartRun
from skylift.engine.library import Library
from skylift.engine.names import (
    arn_of,
    child_run_id,
    express_name,
    global_token,
    input_digest,
    machine_arn,
    machine_name,
    plain_name,
    seed_of,
    sibling,
)
from skylift.engine.observe import Observers, Progress
from skylift.engine.resolve import Resolve, ResolvedMachine
from skylift.engine.router import ActivityRoute, NestedRoute, Refused, Router, ServiceRoute, WorkerRoute
from skylift.engine.run import Attempt, LiveRun
from skylift.engine.tokens import task_timed_out
from skylift.engine.turn import Turn
from skylift.errors import JournalUnavailable, RunAlreadyExists, SkyliftError
from skylift.ports.journal import CacheEntry, Entry, Journal, OfferedTask, RunRecord, RunUpdate

ROLE = "arn:aws:iam::000000000000:role/skylift-local"


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
        observers: Observers,
        owner: str,
        version: str,
        resolve: Resolve | None,
    ) -> None:
        self._book = book
        self._journal = journal
        self._library = library
        self._router = router
        self._dispatcher = dispatcher
        self._observers = observers
        self._owner = owner
        self._version = version
        self._resolve = resolve
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
        """Take one event into a run."""
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
                    self._start_nested(attempt, route, turn)
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

    def create(self, start: StartRun, turn: Turn) -> LiveRun:
        """A new run; its first event is applied. Raises what the definition's or table's loading raises."""
        run_id = start.run_id
        assert run_id is not None
        machine = self._library.machine(start.definition, start.limits)
        table = self._library.table(start.tasks)
        record = RunRecord(
            run_id=run_id,
            name=express_name(start.name or run_id, run_id) if start.type == "EXPRESS" else start.name or run_id,
            pipeline=start.pipeline,
            account=start.account,
            type=start.type,
            limits=start.limits,
            definition=start.definition,
            tasks=start.tasks,
            input_digest=input_digest(start.input),
            created_ms=turn.now_ms,
            owner=self._owner,
            parent=start.parent,
            engine_version=self._version,
            attributes=start.attributes,
        )
        run = LiveRun(record, machine, machine.begin(), table)
        # The journal is given the record as it is born: this one goes on changing.
        turn.created[run_id] = msgspec.structs.replace(record)
        turn.created_names[record.pipeline, record.name] = run_id
        self._book.put(run)
        event = RunStarted(
            input=start.input,
            input_text=start.input_text,
            seed=seed_of(run_id),
            context=context_of(record, start.context),
        )
        self.apply(run, event, turn)
        return run

    def find(self, pipeline: str, name: str, turn: Turn) -> RunRecord | None:
        """The run of this name, also one that this turn has created."""
        run_id = turn.created_names.get((pipeline, name))
        if run_id is not None:
            return self._book.runs[run_id].record
        record = self._journal.run_named(pipeline, name)
        live = self._book.runs.get(record.run_id) if record is not None else None
        return live.record if live is not None else record

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
            self.child_ended(attempt, record, run.state.input, turn)

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
            self.fail(attempt, route.error, route.cause, turn)
        elif type(route) is ServiceRoute:
            self.call_service(attempt, route)
            self._dispatcher.add(attempt)
        elif type(route) is ActivityRoute:
            self._offer(attempt, route, turn)
        else:
            self.wait_for_callback(attempt, turn.now_ms)

    def call_service(self, attempt: Attempt, route: ServiceRoute) -> None:
        """The time limit counts from the beginning, whatever the service does."""
        attempt.backend = route.backend
        self.limit(attempt)

    def _offer(self, attempt: Attempt, route: ActivityRoute, turn: Turn) -> None:
        command = attempt.command
        turn.offered[attempt.token] = OfferedTask(
            queue=route.queue,
            token=attempt.token,
            run_id=attempt.run.record.run_id,
            input=json_text(command.arguments),
            offered_ms=turn.now_ms,
        )
        self.limit(attempt)

    def _start_work(self, attempt: Attempt, route: WorkerRoute, turn: Turn) -> None:
        attempt.backend = route.backend
        if route.spec.cache and not route.callback:
            attempt.cache_key = cache_key(route.spec, attempt.command.arguments, attempt.run.record.account)
            hit = self._journal.cached(attempt.cache_key)
            if hit is not None:
                attempt.cache_key = None
                event = TaskSucceeded(
                    token=attempt.command.token, output=hit.output, usage=Usage(cached_from=hit.run_id)
                )
                turn.todo.append((attempt.run, event))
                return
        self._dispatcher.add(attempt)

    def fail(self, attempt: Attempt, error: str, cause: str, turn: Turn) -> None:
        """Without ever starting."""
        event = TaskFailed(token=attempt.command.token, error=error, cause=cause, classes=("States.TaskFailed",))
        turn.todo.append((attempt.run, event))

    def wait_for_callback(self, attempt: Attempt, now_ms: int) -> None:
        """Arm the time limits of a task that nobody but us can time out."""
        self.limit(attempt)
        self.expect_heartbeats(attempt, now_ms)

    def limit(self, attempt: Attempt) -> None:
        """Arm the task's time limit, once."""
        command = attempt.command
        if command.timeout_ms is not None and not attempt.limited:
            attempt.limited = True
            self._book.timers.add(command.scheduled_ms + command.timeout_ms, AttemptDue(attempt, "timeout"))

    def expect_heartbeats(self, attempt: Attempt, now_ms: int) -> None:
        """From now on somebody has the task and must show that he lives."""
        command = attempt.command
        attempt.beat_ms = now_ms
        if command.heartbeat_ms is not None:
            self._book.timers.add(now_ms + command.heartbeat_ms, AttemptDue(attempt, "heartbeat"))

    def taken(self, attempt: Attempt, event: TaskStarted, turn: Turn) -> None:
        """A worker has taken an activity's task."""
        if type(attempt.route) is ActivityRoute and not attempt.started:
            attempt.started = True
            self.expect_heartbeats(attempt, turn.now_ms)
            self.apply(attempt.run, event, turn)

    def _cancel_task(self, run: LiveRun, command: CancelTask, turn: Turn) -> None:
        attempt = run.attempts.get(command.token)
        if attempt is not None:
            self.cancel(attempt, turn)

    def cancel(self, attempt: Attempt, turn: Turn) -> None:
        """Stop an attempt, and the nested run that it started."""
        child, route = attempt.child, attempt.route
        self.retire(attempt, turn)
        turn.cancelled.append(attempt)
        if child is None or type(route) is not NestedRoute or route.mode == "callback":
            return
        stop = StopRequested(
            error="States.TaskFailed", cause="The run that started this one was stopped or gave the task up."
        )
        live = self._book.runs.get(child)
        if live is None:
            turn.sends.append((child, stop))
        elif live.record.parent == attempt.token and live.state.status in OPEN:
            turn.todo.append((live, stop))

    # -- nested runs ---------------------------------------------------------------------------------------------------

    def _start_nested(self, attempt: Attempt, route: NestedRoute, turn: Turn) -> None:
        try:
            child = self.child(attempt, route, turn)
        except nested.BadRequest as refused:
            self.fail(attempt, refused.error, refused.cause, turn)
            return
        except JournalUnavailable:
            raise
        except SkyliftError as problem:  # its definition cannot be loaded, its input cannot be written
            self.fail(attempt, "States.Runtime", f"{problem.code}: {problem}", turn)
            return
        token, run = attempt.command.token, attempt.run
        started = nested.started_output(child, nested.service_of(attempt, route))
        if route.mode == "fire":
            turn.todo.append((run, TaskSucceeded(token=token, output=started)))
            return
        turn.todo.append((run, TaskSubmitted(token=token, output=started)))
        if route.mode == "callback":
            self.wait_for_callback(attempt, turn.now_ms)
        else:
            self.attach(attempt, child, turn)

    def child(self, attempt: Attempt, route: NestedRoute, turn: Turn) -> RunRecord:
        """The nested run's record: created now, or found by its name."""
        parent, service = attempt.run.record, nested.service_of(attempt, route)
        request = nested.read_request(attempt.command.arguments, service)
        found = self._find_machine(attempt.run, request)
        if found is None:
            raise service.no_machine(request.machine)
        if route.mode == "express" and found.type != "EXPRESS":
            raise service.not_supported(request.machine)
        run_id = child_run_id(attempt.token)
        name = request.name or run_id
        known = self.find(found.pipeline, name, turn) if found.type != "EXPRESS" else self._known_child(run_id)
        if known is not None:
            if known.parent == attempt.token or (
                known.input_digest == input_digest(request.input) and known.status in OPEN
            ):
                return known
            raise service.name_taken(arn_of(known))
        start = StartRun(
            definition=found.definition,
            pipeline=found.pipeline,
            tasks=found.tasks,
            input=request.input,
            name=name,
            account=parent.account,
            type=found.type,
            limits=found.limits,
            parent=attempt.token,
            run_id=run_id,
            context={} if found.role_arn is None else {"Execution": {"RoleArn": found.role_arn}},
            attributes={**_inherited(parent.attributes), **found.attributes},
        )
        return self.create(start, turn).record

    def _known_child(self, run_id: str) -> RunRecord | None:
        """EXPRESS executions may share a name, so this one is known by its id alone."""
        live = self._book.runs.get(run_id)
        return live.record if live is not None else self._journal.run(run_id)

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
        self.wait_for_callback(attempt, turn.now_ms)
        if child.status not in OPEN:
            self.child_ended(attempt, child, nested.input_of(attempt), turn)

    def child_ended(self, attempt: Attempt, child: RunRecord, input_: Any, turn: Turn) -> None:
        """The parent learns how its nested run ended."""
        route = attempt.route
        assert type(route) is NestedRoute
        if route.mode == "callback":
            return
        by_class = attempt.run.table.machines and child.error is not None
        classes = ("States.TaskFailed", child.error) if by_class and child.error else ("States.TaskFailed",)
        event = nested.ended_event(attempt.command.token, route.mode, child, input_, classes=classes)
        turn.todo.append((attempt.run, event))

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


def context_of(record: RunRecord, further: Any) -> dict[str, Any]:
    """What the outside knows of a run's context object."""
    execution = {"Id": arn_of(record), "Name": plain_name(record), "RoleArn": ROLE}
    machine = {"Id": machine_arn(record.pipeline), "Name": machine_name(record.pipeline)}
    return {
        **further,
        "Execution": {**execution, **further.get("Execution", {})},
        "StateMachine": {**machine, **further.get("StateMachine", {})},
        "Task": {"TokenPrefix": global_token(record.run_id, "")},
    }


def _inherited(attributes: dict[str, str]) -> dict[str, str]:
    """A nested run's tasks go where its parent's go."""
    return {key: value for key, value in attributes.items() if key == "on" or key.startswith("on.")}


def same_start(record: RunRecord, start: StartRun) -> bool:
    return record.input_digest == input_digest(start.input)


def name_taken(record: RunRecord) -> RunAlreadyExists:
    return RunAlreadyExists(
        f"pipeline {record.pipeline} has a run named {record.name!r} with another input (run {record.run_id}, "
        f"{record.status})",
        hint="choose another name, or leave the name out to get a fresh one",
    )
