"""One turn's work while it is being planned: what to commit, and what to do after that."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from skylift.asl.commands import ReadItems, WriteResults
from skylift.asl.events import AnyEvent
from skylift.engine.observe import Progress, Subscription
from skylift.engine.reply import Reply
from skylift.engine.routes import NestedRoute
from skylift.engine.run import Attempt, LiveRun
from skylift.ports.journal import Append, Batch, CacheEntry, Entry, OfferedTask, RunRecord, RunUpdate, Snapshot


class Turn:
    """Everything one turn of the engine makes durable together, and what follows."""

    __slots__ = (
        "adopted",
        "cached",
        "cancelled",
        "created",
        "created_names",
        "dirty",
        "ended",
        "entries",
        "failures",
        "io",
        "loaded",
        "nested",
        "now_ms",
        "offered",
        "progress",
        "recalled",
        "released",
        "replies",
        "sends",
        "signals_done",
        "tasks",
        "todo",
        "updates",
        "withdrawn",
    )

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.todo: deque[tuple[LiveRun, AnyEvent]] = deque()
        """Events that follow from commands inside the turn: cache hits, refusals, ends of nested runs."""
        self.nested: deque[tuple[Attempt, NestedRoute]] = deque()
        """Nested runs to start. A queue, not a call: a pipeline may call itself without end."""
        self.dirty: dict[str, LiveRun] = {}
        self.entries: dict[str, list[Entry]] = {}
        self.updates: dict[str, RunUpdate] = {}
        self.created: dict[str, RunRecord] = {}
        self.created_names: dict[tuple[str, str], str] = {}
        self.cached: list[CacheEntry] = []
        self.signals_done: list[int] = []
        self.tasks = 0
        """Tasks started."""
        self.offered: dict[str, OfferedTask] = {}
        """Tasks for workers who ask, by token."""
        self.withdrawn: list[str] = []
        """Tokens of offers that nobody may take any more."""
        self.cancelled: list[Attempt] = []
        self.adopted: list[Attempt] = []
        """Attempts of runs that were loaded: a backend may have them already."""
        self.recalled: list[Attempt] = []
        """Attempts that a backend is to give back, so that they can be given out anew."""
        self.released: list[Attempt] = []
        """The same of attempts that run: they may save their state and leave."""
        self.loaded: list[LiveRun] = []
        self.io: list[tuple[LiveRun, int, ReadItems | WriteResults]] = []
        self.sends: list[tuple[str, AnyEvent]] = []
        """Signals to runs that another engine drives."""
        self.ended: list[LiveRun] = []
        self.replies: list[tuple[Reply[Any], Any]] = []
        self.failures: list[tuple[Reply[Any], BaseException]] = []
        self.progress: list[tuple[list[Subscription], Progress]] = []

    def answer(self, reply: Reply[Any] | None, value: Any) -> None:
        """Once the turn is durable."""
        if reply is not None:
            self.replies.append((reply, value))

    def refuse(self, reply: Reply[Any] | None, problem: BaseException) -> None:
        if reply is not None:
            self.failures.append((reply, problem))

    def entry(self, run: LiveRun, entry: Entry) -> None:
        run_id = run.record.run_id
        entries = self.entries.get(run_id)
        if entries is None:
            entries = self.entries[run_id] = []
            self.dirty[run_id] = run
        entries.append(entry)

    def touched(self) -> Iterator[LiveRun]:
        """Every run whose state in memory may differ from the journal's until the batch is committed."""
        yield from self.dirty.values()
        yield from self.loaded
        for attempt in (*self.cancelled, *self.adopted, *self.recalled, *self.released):
            yield attempt.run
        for run, _ in self.todo:
            yield run
        for attempt, _ in self.nested:
            yield attempt.run

    def batch(self, owner: str, snapshots: list[Snapshot]) -> Batch | None:
        """None when nothing happened that must be kept."""
        if not (self.entries or self.signals_done or self.created):
            return None
        updates = self.updates
        return Batch(
            owner=owner,
            created=list(self.created.values()),
            appends=[
                Append(run_id=run_id, entries=entries, update=updates.get(run_id))
                for run_id, entries in self.entries.items()
            ],
            snapshots=snapshots,
            cached=self.cached,
            signals_done=self.signals_done,
            offered=list(self.offered.values()),
            withdrawn=self.withdrawn,
        )
