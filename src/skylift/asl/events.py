"""The inputs of `advance`: what happened to a run, as the journal holds it.

An `Event` is a fact from outside the pure core. The journal keeps events in order with the time they were taken in;
replaying them through `advance` gives the same state, the same commands and the same history, always.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of all inputs of `advance`. Subclasses are msgspec-tagged by their class name."""


class RunStarted(Event, frozen=True, kw_only=True):
    """The first event of every run. `input_text` keeps the caller's own JSON text where it matters (histories)."""

    input: Any
    input_text: str | None = None
    seed: int
    """64-bit; every random number and id inside the run derives from it and from event positions."""
    context: dict[str, Any]
    """What the outside knows of the context object: Execution (Id, Name, RoleArn, …) and StateMachine (Id, Name).
    `Task.TokenPrefix` is what the shell puts before a token of the run, so that `$$.Task.Token` is what it knows."""


class TaskStarted(Event, frozen=True, kw_only=True):
    """A worker picked the task up. Only reported where it matters to the history (activities)."""

    token: str
    worker: str | None = None


class TaskSubmitted(Event, frozen=True, kw_only=True):
    """A `.sync` or `.waitForTaskToken` integration accepted the request; the task goes on until its outcome comes."""

    token: str
    output: Any


class TaskHeartbeat(Event, frozen=True, kw_only=True):
    """A signal between engines, never journaled: the worker of a task that waits for a callback is alive."""

    token: str


class TaskSucceeded(Event, frozen=True, kw_only=True):
    token: str
    output: Any
    usage: Usage | None = None


class TaskFailed(Event, frozen=True, kw_only=True):
    """A task ended without a result.

    `error` is the States Language error name. `classes` are further names the error answers to (base classes of a
    Python exception, nearest first): Retry and Catch match any of them, the history shows `error` only.
    """

    token: str
    error: str | None = None
    cause: str | None = None
    classes: tuple[str, ...] = ()
    usage: Usage | None = None


class TaskTimedOut(Event, frozen=True, kw_only=True):
    """The task outlived TimeoutSeconds, or with `heartbeat` was silent longer than HeartbeatSeconds."""

    token: str
    heartbeat: bool = False
    usage: Usage | None = None


class TimerFired(Event, frozen=True, kw_only=True):
    timer: int


class ItemsRead(Event, frozen=True, kw_only=True):
    """One page of an ItemReader. `cursor` is opaque and given back in the next ReadItems; None after the last page."""

    reader: int
    items: list[Any]
    cursor: Any = None


class ItemsReadFailed(Event, frozen=True, kw_only=True):
    reader: int
    error: str
    cause: str


class ResultsWritten(Event, frozen=True, kw_only=True):
    """A ResultWriter stored what it was given. `details` is the ResultWriterDetails object of the last write."""

    writer: int
    details: dict[str, Any]


class ResultsWriteFailed(Event, frozen=True, kw_only=True):
    writer: int
    error: str
    cause: str


class StopRequested(Event, frozen=True, kw_only=True):
    """StopExecution: the run ends ABORTED, tasks in flight are cancelled."""

    error: str | None = None
    cause: str | None = None


class PauseRequested(Event, frozen=True, kw_only=True):
    """No new task starts until ResumeRequested; what runs, goes on and is recorded."""


class ResumeRequested(Event, frozen=True, kw_only=True):
    pass


class RedriveRequested(Event, frozen=True, kw_only=True):
    """A failed, timed-out or aborted run goes on from the steps that did not succeed."""


class MapRunUpdated(Event, frozen=True, kw_only=True):
    """UpdateMapRun: changes the limits of a running Distributed Map."""

    map_run: str
    max_concurrency: int | None = None
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an attempt used, measured where it ran. Kept with its outcome; the ledger folds these."""

    started_ms: int | None = None
    """When user code began, UTC."""
    duration_ms: float | None = None
    cpu_ms: float | None = None
    peak_memory_mib: float | None = None
    backend: str | None = None
    worker: str | None = None
    cached_from: str | None = None
    """The run whose recorded result was taken from the cache instead of running the task."""


AnyEvent = (
    RunStarted
    | TaskStarted
    | TaskSubmitted
    | TaskHeartbeat
    | TaskSucceeded
    | TaskFailed
    | TaskTimedOut
    | TimerFired
    | ItemsRead
    | ItemsReadFailed
    | ResultsWritten
    | ResultsWriteFailed
    | StopRequested
    | PauseRequested
    | ResumeRequested
    | RedriveRequested
    | MapRunUpdated
)
