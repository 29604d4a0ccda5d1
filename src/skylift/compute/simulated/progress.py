"""Declared work that is kept when its machine goes: what checkpoints of the real thing would keep."""

from __future__ import annotations

from skylift.compute.simulated.entry import Entry


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

    def lost(self, entry: Entry, at_ms: int) -> int:
        """Its machine went at that time; what is kept of its work, in all."""
        key, ran_ms = _key(entry), max(0, at_ms - entry.began_ms)
        if self._every_ms is None or entry.call.requirements.work_ms is None:
            return 0
        kept_ms = ran_ms // self._every_ms * self._every_ms
        if self._warning_ms is not None:
            kept_ms = max(kept_ms, ran_ms - self._warning_ms)
        self._kept[key] = self._kept.get(key, 0) + kept_ms
        return self._kept[key]

    def done(self, entry: Entry) -> None:
        self._kept.pop(_key(entry), None)


def _key(entry: Entry) -> str:
    return f"{entry.call.run_id}/{entry.call.visit}" if entry.call.visit else entry.token
