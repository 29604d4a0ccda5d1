"""What people and programs want to know of a run, folded from its journal entries. Pure; nothing here is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from skylift.asl import commands as c
from skylift.asl import events as e
from skylift.asl.history import HistoryEvent
from skylift.asl.machine import Machine
from skylift.ports.journal import Entry

AttemptStatus = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A time that an attempt was given out in vain: lost, preempted or too small. It was given out again."""

    label: str
    reason: str
    cause: str
    ended_ms: int
    usage: e.Usage | None = None
    memory_mib: int | None = None
    """What the next one was given, where that was changed."""
    backend: str | None = None


class Attempt(msgspec.Struct, kw_only=True):
    """One try of one task."""

    token: str
    """Unique in the run."""
    label: str
    """Where: `trials[3].train`."""
    state: str
    number: int
    resource: str
    arguments: Any
    scheduled_ms: int
    status: AttemptStatus = "RUNNING"
    ended_ms: int | None = None
    output: Any = None
    error: str | None = None
    cause: str | None = None
    usage: e.Usage | None = None
    lost: list[Delivery] = []
    """What came of it before its last delivery."""


class Step(msgspec.Struct, kw_only=True):
    """All enterings of one state of the document: one, or one an iteration or loop round."""

    name: str
    type: str
    """Task, Map, Choice, …"""
    entered: int = 0
    exited: int = 0
    attempts: int = 0
    failed: int = 0
    """Attempts that ended without success; a caught or retried failure counts."""
    cached: int = 0
    lost: dict[str, int] = {}
    """How often an attempt was given out in vain, by reason: `lost`, `preempted`, `out-of-memory`."""
    first_ms: int = 0
    last_ms: int | None = None
    busy_ms: float = 0.0
    """Sum of the attempts' durations, as measured where they ran."""
    items: int | None = None
    """Of a Map state: the length of the list."""
    items_done: int = 0
    error: str | None = None
    cause: str | None = None

    @property
    def caught(self) -> int:
        """How often the state was left by a Catch: every other exit of a Task has a successful attempt behind it."""
        return max(0, self.exited - (self.attempts - self.failed)) if self.type == "Task" else 0


class RunView(msgspec.Struct, kw_only=True):
    """A run, folded from its entries."""

    steps: list[Step]
    """In the order first entered."""
    attempts: list[Attempt]
    prints: list[tuple[int, str]]
    """Time and text of every `print` in the pipeline's body."""
    pending: list[c.Command]
    """What the run waits for."""
    status: str
    started_ms: int | None
    alerts: list[e.BudgetReached] = []
    """As they came."""


PRINT_COMMENT = "skylift:print"
"""Comment of the Pass states that `print` compiles to."""


def label(path: Iterable[str | int]) -> str:
    """A path as people write it: names joined by dots, indexes in brackets."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def history(machine: Machine, entries: Iterable[Entry]) -> Iterator[HistoryEvent]:
    """The history events of a run, derived by replay, in order; streamed, so that long runs fit in memory."""
    state = machine.begin()
    for entry in entries:
        derived: list[HistoryEvent] = []
        machine.advance(state, entry.event, entry.at_ms, derived)
        yield from derived


def view(machine: Machine, entries: Iterable[Entry], prints_in: frozenset[str] = frozenset()) -> RunView:
    """Fold the whole run. `prints_in` names the states whose exit is a line of the run's log."""
    fold = Fold(prints_in)
    state = machine.begin()
    for entry in entries:
        derived: list[HistoryEvent] = []
        fold.take(entry, machine.advance(state, entry.event, entry.at_ms, derived), derived)
    return fold.result(list(state.pending()), state.status)


class Fold:
    """Builds a RunView event by event; also fed live, for progress."""

    def __init__(self, prints_in: frozenset[str] = frozenset()) -> None:
        self.steps: dict[str, Step] = {}
        self.attempts: dict[str, Attempt] = {}
        self.prints: list[tuple[int, str]] = []
        self.lost: list[Delivery] = []
        """Of all attempts, as they came."""
        self.alerts: list[e.BudgetReached] = []
        self.started_ms: int | None = None
        self._prints_in = prints_in
        self._maps_entered: dict[tuple[str | None, int], str] = {}
        """Step by execution and event id: of Map states that have begun and not started yet."""
        self._maps_started: dict[tuple[str | None, int], tuple[str, bool]] = {}
        self._map_runs: dict[str, tuple[str, bool]] = {}
        """By the name of a Map Run, with which the names of its child executions begin: its step, and whether the
        number of items was known when it started."""

    def take(self, entry: Entry, commands: Iterable[c.Command], derived: Iterable[HistoryEvent]) -> None:
        """Account for one journal entry: the commands and history events that `advance` gave for it."""
        if self.started_ms is None:
            self.started_ms = entry.at_ms
        if type(entry.event) is e.BudgetReached:
            self.alerts.append(entry.event)
        self._end_attempt(entry)
        for event in derived:
            self._history(event)
        for command in commands:
            if isinstance(command, c.StartTask):
                self._start_attempt(command)
            elif isinstance(command, c.CancelTask) and command.token in self.attempts:
                attempt = self.attempts[command.token]
                if attempt.status == "RUNNING":
                    attempt.status, attempt.ended_ms = "CANCELLED", entry.at_ms

    def result(self, pending: list[c.Command], status: str) -> RunView:
        return RunView(
            steps=list(self.steps.values()),
            attempts=list(self.attempts.values()),
            prints=self.prints,
            pending=pending,
            status=status,
            started_ms=self.started_ms,
            alerts=self.alerts,
        )

    def _start_attempt(self, command: c.StartTask) -> None:
        self.attempts[command.token] = Attempt(
            token=command.token,
            label=label(command.path),
            state=command.state,
            number=command.attempt,
            resource=command.resource,
            arguments=command.arguments,
            scheduled_ms=command.scheduled_ms,
        )
        if command.state in self.steps:
            self.steps[command.state].attempts += 1

    def _end_attempt(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, e.TaskRedelivered):
            self._lost(event, entry.at_ms)
            return
        if isinstance(event, e.TaskGivenUp):
            self._given_up(event)
            return
        if not isinstance(event, (e.TaskSucceeded, e.TaskFailed, e.TaskTimedOut)):
            return
        attempt = self.attempts.get(event.token)
        if attempt is None or attempt.status != "RUNNING":
            return
        attempt.ended_ms, attempt.usage = entry.at_ms, event.usage or attempt.usage
        step = self.steps.get(attempt.state)
        if isinstance(event, e.TaskSucceeded):
            attempt.status, attempt.output = "SUCCEEDED", event.output
        elif isinstance(event, e.TaskFailed):
            attempt.status, attempt.error, attempt.cause = "FAILED", event.error, event.cause
        else:
            attempt.status = "TIMED_OUT"
            attempt.error = "States.HeartbeatTimeout" if event.heartbeat else "States.Timeout"
        if step is not None:
            step.busy_ms += (event.usage.duration_ms or 0.0) if event.usage else 0.0
            step.cached += bool(event.usage and event.usage.cached_from)
            if attempt.status != "SUCCEEDED":
                step.failed += 1
                step.error, step.cause = attempt.error, attempt.cause

    def _given_up(self, event: e.TaskGivenUp) -> None:
        attempt = self.attempts.get(event.token)
        if attempt is None:
            return
        attempt.usage = event.usage
        step = self.steps.get(attempt.state)
        if step is not None:
            step.busy_ms += event.usage.duration_ms or 0.0

    def _lost(self, event: e.TaskRedelivered, at_ms: int) -> None:
        attempt = self.attempts.get(event.token)
        if attempt is None or attempt.status != "RUNNING":
            return
        delivery = Delivery(
            label=attempt.label,
            reason=event.reason,
            cause=event.cause,
            ended_ms=at_ms,
            usage=event.usage,
            memory_mib=event.memory_mib,
            backend=event.backend,
        )
        attempt.lost.append(delivery)
        self.lost.append(delivery)
        step = self.steps.get(attempt.state)
        if step is not None:
            step.lost[event.reason] = step.lost.get(event.reason, 0) + 1
            step.busy_ms += (event.usage.duration_ms or 0.0) if event.usage else 0.0

    def _history(self, event: HistoryEvent) -> None:
        kind = event.type
        if kind.endswith("StateEntered"):
            name = event.details["name"]
            step = self.steps.get(name)
            if step is None:
                step = self.steps[name] = Step(name=name, type=kind.removesuffix("StateEntered"), first_ms=event.at_ms)
            step.entered += 1
            step.last_ms = None
            if kind == "MapStateEntered":
                self._maps_entered[event.child, event.id] = name
        elif kind.endswith("StateExited"):
            self._exited(event)
        elif kind == "MapStateStarted":
            self._map_started(event)
        elif kind == "MapIterationSucceeded":
            self.steps[event.details["name"]].items_done += 1
        elif kind == "MapRunStarted":
            started = self._maps_started.pop((event.child, event.previous_id), None)
            if started is not None:
                self._map_runs[event.details["mapRunArn"].rpartition(":")[2]] = started
        elif event.child is not None and kind.startswith("Execution"):
            self._child(event.child, kind)

    def _child(self, child: str, kind: str) -> None:
        """A Distributed Map's child execution began or ended. Items read from a file are counted as they come."""
        name, counted = self._map_runs.get(child.rpartition("-")[0], ("", False))
        step = self.steps.get(name)
        if step is None:
            return
        if kind != "ExecutionStarted":
            step.items_done += 1
        elif not counted:
            step.items = (step.items or 0) + 1

    def _map_started(self, event: HistoryEvent) -> None:
        """The event has no name; the entering it follows does. A retried map starts again from another event."""
        name = self._maps_entered.pop((event.child, event.previous_id), None)
        if name is not None:
            step = self.steps[name]
            length = int(event.details.get("length", 0))
            step.items = (step.items or 0) + length
            self._maps_started[event.child, event.id] = name, length > 0

    def _exited(self, event: HistoryEvent) -> None:
        step = self.steps.get(event.details["name"])
        if step is None:
            return
        step.exited += 1
        step.last_ms = event.at_ms
        if step.name in self._prints_in:
            output = event.details.get("output")
            text = output.get("print", "") if isinstance(output, dict) else output
            self.prints.append((event.at_ms, str(text)))
