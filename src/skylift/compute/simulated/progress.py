"""Declared work that is kept when its machine goes: what checkpoints of the real thing would keep."""

from __future__ import annotations

from skylift.compute.simulated.entry import Entry
from skylift.ports.compute import Cancelled


class Progress:
    """By visit: retries and repetitions of a step go on from the same place. Not thread-safe."""

    def __init__(self, every_ms: int | None, warning_ms: int | None) -> None:
        self._every_ms = every_ms
        self._warning_ms = warning_ms
        self._kept: dict[str, int] = {}

    def left_ms(self, entry: Entry) -> float | None:
        """None for a task whose work is not declared: its function's own time counts."""
        work_ms = entry.call.requirements.work_ms
        return None if work_ms is None else float(max(0, work_ms - self._kept.get(_key(entry), 0)))

    def takes_ms(self, entry: Entry) -> float:
        """From where it would go on now: what is declared, else what its function took."""
        left_ms = self.left_ms(entry)
        if left_ms is not None:
            return left_ms
        usage = None if entry.result is None or isinstance(entry.result, Cancelled) else entry.result.usage
        return 0.0 if usage is None else usage.duration_ms or 0.0

    def gain_ms(self, entry: Entry, ran_ms: int) -> int:
        """How much further it is for good when its machine goes after it has run for so long."""
        if self._every_ms is None or not self.saves(entry):
            return 0
        before_it_goes = 0 if self._warning_ms is None else ran_ms - self._warning_ms
        return max(ran_ms // self._every_ms * self._every_ms, before_it_goes)

    def lost(self, entry: Entry, at_ms: int) -> int:
        """Its machine went at that time; what is kept of its work, in all."""
        kept_ms = self.kept_ms(entry, at_ms)
        if self.saves(entry) and self._warning_ms is not None:
            kept_ms = max(kept_ms, self._before_ms(entry) + _ran_ms(entry, at_ms) - self._warning_ms)
        return self._keep(entry, kept_ms)

    def left(self, entry: Entry, at_ms: int) -> int:
        """The same of one that saved its state and left."""
        return self._keep(entry, self._before_ms(entry) + _ran_ms(entry, at_ms))

    def kept_ms(self, entry: Entry, at_ms: int) -> int:
        """What its checkpoints keep at that time, in all."""
        if self._every_ms is None or not self.saves(entry):
            return 0
        return self._before_ms(entry) + _ran_ms(entry, at_ms) // self._every_ms * self._every_ms

    def saves(self, entry: Entry) -> bool:
        return self._every_ms is not None and entry.call.requirements.work_ms is not None

    def done(self, entry: Entry) -> None:
        self._kept.pop(_key(entry), None)

    def _before_ms(self, entry: Entry) -> int:
        return self._kept.get(_key(entry), 0)

    def _keep(self, entry: Entry, kept_ms: int) -> int:
        if kept_ms:
            self._kept[_key(entry)] = kept_ms
        return kept_ms


def _ran_ms(entry: Entry, at_ms: int) -> int:
    return max(0, at_ms - entry.began_ms)


def _key(entry: Entry) -> str:
    return f"{entry.call.run_id}/{entry.call.visit}" if entry.call.visit else entry.token
