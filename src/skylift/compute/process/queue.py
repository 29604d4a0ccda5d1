"""Calls that wait for a worker, in fair order: runs take turns, and so do the tasks of a run.

A task at its concurrency limit steps aside until one of its calls ends."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque

from skylift.compute.process.entry import Entry

_Lanes = OrderedDict[str, deque[Entry]]


class FairQueue:
    """Not thread-safe. Every operation is O(1), however many calls and runs wait."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, _Lanes] = OrderedDict()
        self._parked: dict[str, OrderedDict[str, deque[Entry]]] = {}
        self._count = 0
        self._apart: Counter[str] = Counter()
        """Of these, by environment, for those with one of their own."""

    def __len__(self) -> int:
        return self._count

    def waiting_for(self, environment: str | None) -> int:
        """How many wait for workers with this environment."""
        if environment is not None:
            return self._apart[environment]
        return self._count - (sum(self._apart.values()) if self._apart else 0)

    def push(self, entry: Entry) -> None:
        self._lane(entry).append(entry)
        self._counted(entry, 1)

    def push_back(self, entry: Entry) -> None:
        """Before all others of its run and task: it was taken from a worker that did not get to it."""
        self._lane(entry).appendleft(entry)
        self._counted(entry, 1)

    def peek(self) -> Entry | None:
        """The call whose turn it is; stays in the queue."""
        while self._runs:
            lanes = next(iter(self._runs.values()))
            while lanes:
                lane = next(iter(lanes.values()))
                while lane and lane[0].gone:
                    self._counted(lane.popleft(), -1)
                if lane:
                    return lane[0]
                lanes.popitem(last=False)
            self._runs.popitem(last=False)
        return None

    def take(self) -> Entry:
        """Remove what `peek` showed; the next turn goes to another task and another run."""
        run_id, lanes = next(iter(self._runs.items()))
        task, lane = next(iter(lanes.items()))
        entry = lane.popleft()
        self._counted(entry, -1)
        if not lane:
            del lanes[task]
        elif len(lanes) > 1:
            lanes.move_to_end(task)
        if not lanes:
            del self._runs[run_id]
        elif len(self._runs) > 1:
            self._runs.move_to_end(run_id)
        return entry

    def park(self) -> None:
        """Set the lane that `peek` showed aside until `unpark` of its task."""
        run_id, lanes = next(iter(self._runs.items()))
        task, lane = lanes.popitem(last=False)
        self._parked.setdefault(task, OrderedDict())[run_id] = lane
        if not lanes:
            del self._runs[run_id]

    def unpark(self, task: str) -> None:
        parked = self._parked.pop(task, None)
        for run_id, lane in (parked or {}).items():
            self._runs.setdefault(run_id, OrderedDict())[task] = lane

    def drop(self, entry: Entry) -> None:
        """Forget a call that still waits (it is skipped when its turn comes)."""
        entry.gone = True

    def waiting(self) -> list[Entry]:
        """All calls, in no particular order."""
        ready = [lane for lanes in self._runs.values() for lane in lanes.values()]
        parked = [lane for lanes in self._parked.values() for lane in lanes.values()]
        return [entry for lane in ready + parked for entry in lane if not entry.gone]

    def _counted(self, entry: Entry, change: int) -> None:
        self._count += change
        if entry.environment is not None:
            self._apart[entry.environment] += change

    def _lane(self, entry: Entry) -> deque[Entry]:
        """Where the calls of this run and task wait: parked or not, never both."""
        run_id = entry.call.run_id
        parked = self._parked.get(entry.key)
        if parked is not None and run_id in parked:
            return parked[run_id]
        return self._runs.setdefault(run_id, OrderedDict()).setdefault(entry.key, deque())
