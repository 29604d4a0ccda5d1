"""Attempts that wait, by what they wait for; runs take turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from skylift.compute.simulated.entry import Entry


class Lanes:
    """One lane for each pool of places and, where a task limits how many of it run, for each such task. When the first
    of a lane cannot start, nothing of that lane can. Not thread-safe."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str], OrderedDict[str, deque[Entry]]] = {}

    def push(self, entry: Entry) -> None:
        task = entry.call.task if entry.call.requirements.concurrency is not None else ""
        runs = self._lanes.setdefault((entry.pool, task), OrderedDict())
        runs.setdefault(entry.call.run_id, deque()).append(entry)

    def drop(self, entry: Entry) -> None:
        for runs in self._lanes.values():
            waiting = runs.get(entry.call.run_id)
            if waiting is not None and entry in waiting:
                waiting.remove(entry)
                if not waiting:
                    del runs[entry.call.run_id]
                return

    def heads(self) -> Iterator[Entry]:
        """The one of each lane whose turn it is."""
        for runs in self._lanes.values():
            if runs:
                yield next(iter(runs.values()))[0]

    def take(self, fits: Callable[[Entry], bool]) -> Entry | None:
        """The next one that can start; the next turn is another run's."""
        for runs in self._lanes.values():
            if not runs:
                continue
            run_id, waiting = next(iter(runs.items()))
            if fits(waiting[0]):
                entry = waiting.popleft()
                runs.move_to_end(run_id)
                if not waiting:
                    del runs[run_id]
                return entry
        return None
