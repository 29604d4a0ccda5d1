"""Runs whose engine is dead: who may take them, and when."""

from __future__ import annotations

from collections.abc import Callable

from skylift.asl.status import OPEN
from skylift.engine.limits import EngineLimits
from skylift.ports.journal import Journal, RunRecord


class Orphans:
    """Makes runs of the dead ours. That nobody drives a run twice does not rest on `is_alive`: every commit is checked
    against the owner in the run's record."""

    def __init__(self, journal: Journal, owner: str, is_alive: Callable[[str], bool], limits: EngineLimits) -> None:
        self._journal = journal
        self._owner = owner
        self._is_alive = is_alive
        self._limits = limits
        self._next_ms = 0
        self.more = False
        """Whether there were more than one turn should load."""

    def claim(self, record: RunRecord) -> bool:
        """Make one run ours unless its owner lives and drives it still: nobody drives a run that has ended."""
        if record.owner == self._owner:
            return True
        if record.owner is not None and record.status in OPEN and self._is_alive(record.owner):
            return False
        if not self._journal.claim(record.run_id, self._owner, record.owner):
            return False
        record.owner = self._owner
        return True

    def adopt(self, now_ms: int) -> list[str]:
        """Some open runs that nobody alive drives, now ours. Looks for them once a second, and again in the next turn
        while there are more than one turn should load."""
        if now_ms < self._next_ms:
            return []
        taken: list[str] = []
        for owner in self._journal.owners():
            room = self._limits.adopt_runs - len(taken)
            if room <= 0:
                break
            if owner != self._owner and (owner is None or not self._is_alive(owner)):
                taken += self._journal.adopt(self._owner, owner, room)
        self.more = len(taken) >= self._limits.adopt_runs
        if not self.more:
            self._next_ms = now_ms + self._limits.adopt_ms
        return taken
