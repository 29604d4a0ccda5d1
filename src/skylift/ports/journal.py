"""The journal: the only truth about runs. Implemented by `skylift.stores`, used by the engine, read by the faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import msgspec

from skylift.asl.events import AnyEvent

MachineType = Literal["STANDARD", "EXPRESS"]
LimitsName = Literal["local", "service"]


class RunRecord(msgspec.Struct, kw_only=True):
    """What a listing shows of a run, without reading its events."""

    run_id: str
    """Globally unique."""
    name: str
    """Unique per pipeline; starting the same name with the same input again gives the same run."""
    pipeline: str
    """The pipeline's name; of a server's state machine its ARN, without version or alias."""
    account: str = ""
    """The account that the run belongs to, on a server; empty for a run of this project."""
    type: MachineType = "STANDARD"
    limits: LimitsName = "local"
    """Which limits hold for it: those of a local run, or the service's."""
    definition: str
    """Digest of the States Language document (see `document`)."""
    tasks: str | None = None
    """Digest of the encoded TaskTable; None for a bare document."""
    input_digest: str
    """SHA-256 of the canonical input: decides whether a second start by name is the same start."""
    status: str = "RUNNING"
    """RUNNING, PAUSED, SUCCEEDED, FAILED, TIMED_OUT, ABORTED."""
    created_ms: int
    stopped_ms: int | None = None
    output: Any = None
    error: str | None = None
    cause: str | None = None
    owner: str | None = None
    """The engine that may append to it; None when nobody drives it."""
    parent: str | None = None
    """Global token of the task that started this nested run."""
    engine_version: str = ""
    attributes: dict[str, str] = {}
    """Small facts for people and faces: source file, command line, trigger."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One journaled event: position in its run (1, 2, …), time taken in, event."""

    sequence: int
    at_ms: int
    event: AnyEvent


class RunUpdate(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Changed columns of a run's record."""

    status: str
    stopped_ms: int | None = None
    output: Any = None
    error: str | None = None
    cause: str | None = None


class Append(msgspec.Struct, kw_only=True):
    """Events of one run, contiguous, with what they changed in the record."""

    run_id: str
    entries: Sequence[Entry]
    update: RunUpdate | None = None


class Snapshot(msgspec.Struct, kw_only=True):
    """An encoded RunState after `sequence` events. A help, never needed: without it all events are replayed."""

    run_id: str
    sequence: int
    state: bytes


class CacheEntry(msgspec.Struct, kw_only=True):
    key: str
    run_id: str
    output: Any
    created_ms: int


class OfferedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that waits for a worker who asks for work: an activity's."""

    queue: str
    """The activity's ARN."""
    token: str
    """Unique over all runs: the task token that the worker answers with."""
    run_id: str
    input: str
    """JSON text."""
    offered_ms: int


class Batch(msgspec.Struct, kw_only=True):
    """Everything one turn of the engine made durable together, or not at all."""

    owner: str
    created: list[RunRecord] = []
    appends: list[Append] = []
    snapshots: list[Snapshot] = []
    cached: list[CacheEntry] = []
    signals_done: list[int] = []
    """Numbers of signals whose events are in `appends`."""
    offered: list[OfferedTask] = []
    withdrawn: list[str] = []
    """Tokens of offers that nobody shall take any more; unknown ones are ignored."""


class Signal(msgspec.Struct, kw_only=True):
    """A request for a run that another process owns: StopRequested, PauseRequested, TaskSucceeded by callback, …"""

    number: int
    run_id: str
    event: AnyEvent


class Journal(Protocol):
    """Durable record of runs. Methods may be called from any thread; several processes may open one journal.

    `skylift.testing.JournalConformance` is this contract as tests. Errors: JournalUnavailable (locked, no space, gone;
    nothing was written, or nobody knows yet, and then no method reads before it is known), JournalDamaged (content
    fails its checks), NotOwner (another engine owns a run in the batch; nothing of the batch was written).
    """

    def commit(self, batch: Batch) -> None:
        """All or nothing, durable on return (as durable as configured). Entries must follow the last one of their run
        and every run appended to must be owned by `batch.owner`; else NotOwner. A created run whose id, or whose name
        in its pipeline, is taken: RunAlreadyExists. An update replaces status, stopped_ms, output, error and cause."""
        ...

    def put_document(self, text: bytes) -> str:
        """Store a document or task table once; its SHA-256."""
        ...

    def document(self, digest: str) -> bytes: ...

    def run(self, run_id: str) -> RunRecord | None: ...

    def run_named(self, pipeline: str, name: str) -> RunRecord | None: ...

    def runs(
        self,
        *,
        pipeline: str | None = None,
        account: str | None = None,
        status: Sequence[str] | None = None,
        parent: str | None = None,
        before: tuple[int, str] | None = None,
        limit: int = 100,
    ) -> list[RunRecord]:
        """Newest first. `before` is the (created_ms, run_id) of the last one seen: the next page."""
        ...

    def find_runs(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        """Runs whose id or name starts with `prefix`: what a person types."""
        ...

    def entries(self, run_id: str, after: int = 0) -> Iterator[Entry]:
        """In order, streamed; a reader sees a consistent prefix."""
        ...

    def snapshot(self, run_id: str) -> Snapshot | None:
        """The newest one."""
        ...

    def claim(self, run_id: str, owner: str, expected: str | None) -> bool:
        """Make `owner` the owner if the owner is still `expected`. The caller has made sure that `expected` is dead."""
        ...

    def owners(self) -> list[str | None]:
        """Every owner of runs that have not ended, once; None among them when some have none."""
        ...

    def adopt(self, owner: str, expected: str | None, limit: int) -> list[str]:
        """Make `owner` the owner of up to `limit` open runs of `expected`, which the caller knows to be dead, oldest
        first; their ids. Two engines that do this at once get different runs."""
        ...

    def take(self, queue: str, worker: str | None) -> OfferedTask | None:
        """Remove the oldest offer of this queue and leave TaskStarted (with the token inside the run) as a signal for
        its run, both or neither: no two workers get the same task."""
        ...

    def release(self, owner: str) -> None:
        """Give up all runs of this owner that are not finished (a finished run keeps the name of its last owner)."""
        ...

    def send(self, run_id: str, event: AnyEvent) -> int:
        """Leave a signal for whoever owns the run, now or later. Its number; RunNotFound if there is no such run."""
        ...

    def signals(self, owner: str) -> list[Signal]:
        """Signals waiting for runs of this owner, oldest first."""
        ...

    def changed(self) -> bool:
        """Cheap: may another connection have written since the last call? (When in doubt, True.)"""
        ...

    def cached(self, key: str) -> CacheEntry | None: ...

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """With their events, snapshots, signals, offers and cache entries, and documents that no run or resource
        uses any more (see `ResourceStore.put`). Refuses (NotOwner) runs that are owned and not finished; ids it does
        not know are ignored."""
        ...

    def close(self) -> None: ...
