"""Live progress for whoever listens; costs nothing when nobody does."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence

import msgspec

from skylift.asl.commands import Command, FinishRun
from skylift.asl.history import HistoryEvent
from skylift.ports.journal import Entry, RunRecord


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One journaled event of a run, with what followed from it. Told after it is durable, in order."""

    record: RunRecord
    """The engine's own, which may be further on already; do not change it."""
    entry: Entry
    commands: Sequence[Command]
    history: Sequence[HistoryEvent]


class TurnReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one committed turn did. Told on the engine's thread: whoever takes it must return at once."""

    now_ms: int
    created: Sequence[RunRecord]
    """As they were born."""
    ended: Sequence[RunRecord]
    """As they ended; the engine's own, do not change them."""
    events: int
    """Events made durable."""
    tasks: int
    """Tasks started, those included that a service, an activity's worker or a callback ends."""
    commit_s: float
    open_runs: int
    """Runs that this engine drives now."""


class Subscription:
    """Iterate over it, or give it a callback. The callback is called on the engine's thread and must return at once."""

    def __init__(
        self, run_id: str | None, callback: Callable[[Progress], None] | None, end: Callable[[Subscription], None]
    ):
        self.run_id = run_id
        """None for all runs."""
        self._callback = callback
        self._queue: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self._end = end

    def tell(self, progress: Progress) -> None:
        if self._callback is not None:
            self._callback(progress)
        else:
            self._queue.put(progress)

    def __iter__(self) -> Iterator[Progress]:
        """Until `close`, or until the one run that is listened to has ended."""
        while (progress := self._queue.get()) is not None:
            yield progress
            if self.run_id is not None and any(type(command) is FinishRun for command in progress.commands):
                return

    def close(self) -> None:
        self._end(self)
        self._queue.put(None)


class Observers:
    """Who listens to what."""

    def __init__(self) -> None:
        self._all: list[Subscription] = []
        self._by_run: dict[str, list[Subscription]] = {}

    def subscribe(self, run_id: str | None, callback: Callable[[Progress], None] | None) -> Subscription:
        subscription = Subscription(run_id, callback, self._drop)
        if run_id is None:
            self._all = [*self._all, subscription]
        else:
            self._by_run[run_id] = [*self._by_run.get(run_id, []), subscription]
        return subscription

    def of(self, run_id: str) -> list[Subscription]:
        if not self._by_run:
            return self._all
        return [*self._all, *self._by_run.get(run_id, ())]

    def _drop(self, subscription: Subscription) -> None:
        if subscription.run_id is None:
            self._all = [other for other in self._all if other is not subscription]
            return
        left = [other for other in self._by_run.get(subscription.run_id, ()) if other is not subscription]
        if left:
            self._by_run[subscription.run_id] = left
        else:
            self._by_run.pop(subscription.run_id, None)
