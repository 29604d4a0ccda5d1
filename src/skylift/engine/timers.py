"""What is due when: a heap of times with lazy removal."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Timers(Generic[T]):
    """Things by due time; equal times in the order they were added. Whoever adds decides at the time whether a thing
    still matters: nothing is ever removed early."""

    __slots__ = ("_added", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, T]] = []
        self._added = 0

    def add(self, due_ms: int, thing: T) -> None:
        self._added += 1
        heapq.heappush(self._heap, (due_ms, self._added, thing))

    def next_due(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    @property
    def added(self) -> int:
        """How many were ever added."""
        return self._added

    def pop_due(self, now_ms: int, added: int) -> T | None:
        """The earliest thing that is due, or None. What was added after so many others waits: it may be added anew
        whenever it was taken."""
        if self._heap and self._heap[0][0] <= now_ms and self._heap[0][1] <= added:
            return heapq.heappop(self._heap)[2]
        return None

    def pop(self) -> T | None:
        """The earliest thing, due or not."""
        return heapq.heappop(self._heap)[2] if self._heap else None

    def keep(self, matters: Callable[[T], bool]) -> None:
        """Drop what does not matter any more."""
        self._heap = [entry for entry in self._heap if matters(entry[2])]
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)
