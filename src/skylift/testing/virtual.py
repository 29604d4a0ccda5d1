"""Runs a States Language document in virtual time: no threads, no clock, no sleeping.

    run = run_document(document, {"n": 3}, {"double": lambda arguments: arguments["n"] * 2})
    assert run.status == "SUCCEEDED"

A task is a Python callable of its arguments, by the Resource as written or, for `arn:aws:states:::skylift:NAME`, by
NAME. What it returns is the output; what it raises is the failure (its class and base classes answer to Retry and
Catch). `After` says how long it takes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from skylift.asl import commands, events
from skylift.asl.document import Document
from skylift.asl.history import HistoryEvent
from skylift.asl.limits import LOCAL, Limits
from skylift.asl.machine import Machine
from skylift.asl.state import RunState

SKYLIFT = "arn:aws:states:::skylift:"

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""

CONTEXT: dict[str, Any] = {
    "Execution": {
        "Id": "arn:aws:states:us-east-1:123456789012:execution:machine:run",
        "Name": "run",
        "RoleArn": "arn:aws:iam::123456789012:role/role",
    },
    "StateMachine": {"Id": "arn:aws:states:us-east-1:123456789012:stateMachine:machine", "Name": "machine"},
}


class TaskError(Exception):
    """Raised by a task's callable to fail with exactly this error name and cause."""

    def __init__(self, error: str | None, cause: str | None = None, classes: tuple[str, ...] = ()) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.classes = classes


class After(msgspec.Struct, frozen=True):
    """Returned by a task's callable: the task takes so long. Longer than its timeout, and it times out."""

    seconds: float
    output: Any = None


Tasks = Mapping[str, Callable[[Any], Any]]
Answer = Callable[[commands.Command], events.Event]


class VirtualRun:
    """A run and the shell around it, in virtual time. Drive it with `run`, or event by event with `step`."""

    def __init__(
        self,
        document: Document,
        tasks: Tasks | None = None,
        *,
        limits: Limits = LOCAL,
        seed: int = 0,
        context: dict[str, Any] | None = None,
        reader: Answer | None = None,
        writer: Answer | None = None,
    ) -> None:
        self.machine = Machine(document, limits)
        self.state: RunState = self.machine.begin()
        self.tasks = dict(tasks or {})
        self.now_ms = START_MS
        self.history: list[HistoryEvent] = []
        self.journal: list[tuple[int, events.Event]] = []
        """Every event taken in, with its time: replaying it gives the same run."""
        self._seed = seed
        self._context = CONTEXT if context is None else context
        self._reader = reader
        self._writer = writer
        self._due: list[tuple[int, int, events.Event]] = []
        self._order = 0

    @property
    def status(self) -> str:
        return self.state.status

    @property
    def output(self) -> Any:
        return self.state.output

    @property
    def error(self) -> str | None:
        return self.state.error

    @property
    def cause(self) -> str | None:
        return self.state.cause

    @property
    def event_types(self) -> list[str]:
        """Types of the execution's own history events, without those of child executions."""
        return [event.type for event in self.history if event.child is None]

    def start(self, input_value: Any) -> None:
        self.take(events.RunStarted(input=input_value, seed=self._seed, context=self._context))

    def run(self, input_value: Any, most_events: int = 1_000_000) -> VirtualRun:
        """From the start to the end, or until nothing more is due."""
        self.start(input_value)
        return self.go_on(most_events)

    def go_on(self, most_events: int = 1_000_000) -> VirtualRun:
        for _ in range(most_events):
            if not self.step():
                return self
        raise RuntimeError(f"the run has not ended after {most_events} events")

    def step(self) -> bool:
        """Let the next thing that is due happen. False when nothing is."""
        if not self._due:
            return False
        due_ms, _, event = heapq.heappop(self._due)
        self.now_ms = max(self.now_ms, due_ms)
        self.take(event)
        return True

    def at(self, seconds: float, event: events.Event) -> None:
        """Have an event happen so long after the start of virtual time."""
        self._at_ms(START_MS + round(seconds * 1000), event)

    def take(self, event: events.Event) -> list[commands.Command]:
        """Hand one event to the machine now, and carry out what it says."""
        self.journal.append((self.now_ms, event))
        given = self.machine.advance(self.state, event, self.now_ms, self.history)
        for command in given:
            self._carry_out(command)
        return given

    def answers(self, task: commands.StartTask) -> list[tuple[int, events.Event]]:
        """What is reported of a task, and how many milliseconds after it was started. To be overridden at will."""
        return [self._outcome(task)]

    def _at_ms(self, due_ms: int, event: events.Event) -> None:
        self._order += 1
        heapq.heappush(self._due, (due_ms, self._order, event))

    def _carry_out(self, command: commands.Command) -> None:
        match command:
            case commands.StartTask():
                for delay_ms, answer in self.answers(command):
                    self._at_ms(self.now_ms + delay_ms, answer)
            case commands.SetTimer():
                self._at_ms(command.due_ms, events.TimerFired(timer=command.timer))
            case commands.ReadItems():
                if self._reader is None:
                    raise LookupError(f"the document reads items from {command.resource} and no reader is given")
                self._at_ms(self.now_ms, self._reader(command))
            case commands.WriteResults():
                if self._writer is None:
                    raise LookupError(f"the document writes results to {command.resource} and no writer is given")
                self._at_ms(self.now_ms, self._writer(command))
            case _:
                pass

    def _outcome(self, task: commands.StartTask) -> tuple[int, events.Event]:
        seconds, output = 0.0, None
        try:
            output = self._callable(task.resource)(task.arguments)
        except TaskError as failure:
            return 0, events.TaskFailed(
                token=task.token, error=failure.error, cause=failure.cause, classes=failure.classes
            )
        except Exception as failure:  # noqa: BLE001
            return 0, _raised(task.token, failure)
        if isinstance(output, After):
            seconds, output = output.seconds, output.output
        delay_ms = round(seconds * 1000)
        if task.heartbeat_ms is not None and delay_ms > task.heartbeat_ms:
            return task.heartbeat_ms, events.TaskTimedOut(token=task.token, heartbeat=True)
        if task.timeout_ms is not None and delay_ms > task.timeout_ms:
            return task.timeout_ms, events.TaskTimedOut(token=task.token)
        return delay_ms, events.TaskSucceeded(token=task.token, output=output)

    def _callable(self, resource: str) -> Callable[[Any], Any]:
        name = resource.removeprefix(SKYLIFT).removesuffix(".waitForTaskToken")
        found = self.tasks.get(resource) or self.tasks.get(name)
        if found is None:
            raise LookupError(f"no callable is given for the resource {resource}")
        return found


def run_document(document: Document, input_value: Any, tasks: Tasks | None = None, **settings: Any) -> VirtualRun:
    """Run a document to its end; the settings are those of `VirtualRun`."""
    return VirtualRun(document, tasks, **settings).run(input_value)


def _raised(token: str, failure: Exception) -> events.TaskFailed:
    bases = tuple(kind.__name__ for kind in type(failure).__mro__[1:] if kind not in (object, BaseException))
    return events.TaskFailed(token=token, error=type(failure).__name__, cause=str(failure), classes=bases)
