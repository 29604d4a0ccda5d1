"""The inputs of `advance`: what happened to a run, as the journal holds it.

An `Event` is a fact from outside the pure core. The journal keeps events in order with the time they were taken in;
replaying them through `advance` gives the same state, the same commands and the same history, always.
"""

from __future__ import annotations

from typing import Any, Literal

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


class TaskRedelivered(Event, frozen=True, kw_only=True):
    """An attempt was lost, preempted, out of memory or taken back (moved to another market), and the engine gives the
    same attempt out again. No business of the document's: no history event tells of it, and no Retry is used up."""

    token: str
    reason: Literal["lost", "preempted", "moved", "out-of-memory"]
    cause: str = ""
    """For people."""
    usage: Usage | None = None
    """Of the delivery that ended."""
    memory_mib: int | None = None
    """What the next delivery is given, where that is not what the task asks for."""
    backend: str | None = None
    """Where the next delivery goes, where that is not where the task is placed."""
    market: str | None = None
    """What the next delivery is bought as, for a task that may run on spot machines."""


class TaskGivenUp(Event, frozen=True, kw_only=True):
    """What the last delivery of an attempt had used when it was cancelled, where somebody is sent a bill for that.
    Changes nothing in the run: whatever it was cancelled for is an event of its own, before this one or after it."""

    token: str
    usage: Usage


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

    cause: str | None = None
    """For people, where it was not a person who asked: a budget that is spent."""


class ResumeRequested(Event, frozen=True, kw_only=True):
    budget: str | None = None
    """What the run may cost from now on, in US dollars: `12.50`."""


class BudgetReached(Event, frozen=True, kw_only=True):
    """So much of a budget is spent. Changes nothing in the run: its journal is where it is told, once."""

    scope: Literal["run", "month", "rehearsal"]
    """What the run, the project in a month, or the project's rehearsals in a month may cost."""
    share: str
    """`0.8`."""
    limit_usd_micro: int
    spent_usd_micro: int
    """By ended deliveries exactly, by running ones as far as they had come, rounded."""
    running_usd_micro: int = 0
    """How much of that is of running ones."""
    month: str | None = None
    """`2026-11`, UTC."""


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
    startup_ms: float | None = None
    """From when a place for the attempt was asked for to when user code began."""
    gpu_ms: float | None = None
    """Time in which a GPU of the attempt was busy, summed over its GPUs."""
    gpu_memory_mib: float | None = None
    """Highest memory in use on one GPU."""
    in_bytes: int | None = None
    """Read from artifact storage, and by blocks from sources elsewhere."""
    out_bytes: int | None = None
    """Written to it."""
    vcpus: float | None = None
    """Processors of the place, or share of them, that the attempt was given; with `memory_mib` what right-sizing
    compares its use with."""
    memory_mib: int | None = None
    service: str | None = None
    """Class of compute, see `skylift.ports.compute.ServiceClass`."""
    nodes: int = 1
    """Machines of a gang; `vcpus`, `memory_mib` and `instance_type` are those of one where they are bought by type."""
    instance_type: str | None = None
    region: str | None = None
    cloud: str | None = None
    """Whose region; None for AWS, and for machines of one's own."""
    market: str | None = None
    cost_usd_micro: int | None = None
    """What the place is billed for this delivery, start-up included, by the prices that its backend knows."""
    saved_ms: float | None = None
    """Work, up to this delivery's end, that its last checkpoint keeps: it need not be done again."""
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
    | TaskRedelivered
    | TaskGivenUp
    | TimerFired
    | ItemsRead
    | ItemsReadFailed
    | ResultsWritten
    | ResultsWriteFailed
    | StopRequested
    | PauseRequested
    | ResumeRequested
    | BudgetReached
    | RedriveRequested
    | MapRunUpdated
)
