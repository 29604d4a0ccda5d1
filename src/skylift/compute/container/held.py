"""A call that the backend holds, and the containers it runs in: one, or one for each member of a gang."""

from __future__ import annotations

import time

from skylift.compute.attempts import AttemptFolder
from skylift.compute.gangs import GangOutcome
from skylift.compute.process.entry import Entry
from skylift.ports.compute import Cancelled, Lost, Outcome, Succeeded

_ENDED_BY_OTHERS = "somebody ended it from outside: its lease was over, or it was swept"


class Held:
    """Guarded by the backend's lock."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.asked_ms = int(time.time() * 1000)
        self.placed = False
        """It has its share of the machine."""
        self.gpus: tuple[int, ...] = ()
        self.folders: dict[AttemptFolder, int] = {}
        """Of its members, with their ranks; those that have not ended."""
        self.started = False
        """All its containers run."""
        self.cancelled = False
        self.kill_at = float("inf")
        self.outcome: Outcome | None = None
        """Decided; the other members are being stopped."""
        size = entry.nodes
        self._gang = GangOutcome(size) if size > 1 else None

    @property
    def token(self) -> str:
        return self.entry.call.token

    def gpus_of(self, rank: int) -> tuple[int, ...]:
        """A member's own part of them."""
        return self.gpus[rank * self.entry.gpus : (rank + 1) * self.entry.gpus]

    def ended(self, folder: AttemptFolder, outcome: Outcome) -> bool:
        """A member has ended; whether the others are to be stopped now."""
        rank = self.folders.pop(folder, 0)
        if isinstance(outcome, Cancelled) and not self.cancelled and self.outcome is None:
            outcome = Lost(reason=_ENDED_BY_OTHERS)
        decided = outcome if self._gang is None else self._gang.take(rank, outcome)
        if self.outcome is not None or decided is None:
            return False
        self.outcome = decided
        return not isinstance(decided, Succeeded)

    def verdict(self) -> Outcome:
        """What to report when nothing of it runs any more."""
        if self.outcome is None or (self.cancelled and isinstance(self.outcome, Lost)):
            return Cancelled() if self.cancelled else Lost(reason=_ENDED_BY_OTHERS)
        return self.outcome
