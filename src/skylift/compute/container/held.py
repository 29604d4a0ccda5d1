"""A call that the backend holds, and the containers it runs in: one, or one for each member of a gang."""

from __future__ import annotations

import time

from skylift.compute.attempts import AttemptFolder
from skylift.compute.gangs import GangVerdict
from skylift.compute.process.entry import Entry
from skylift.ports.compute import Cancelled, Lost, Outcome

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
        self._stopping = False
        self.outcome: Outcome | None = None
        """Decided; the other members are stopped from `stops_at` on."""
        size = entry.nodes
        self._gang = GangVerdict(size) if size > 1 else None

    @property
    def token(self) -> str:
        return self.entry.call.token

    def gpus_of(self, rank: int) -> tuple[int, ...]:
        """A member's own part of them."""
        return self.gpus[rank * self.entry.gpus : (rank + 1) * self.entry.gpus]

    def ended(self, folder: AttemptFolder, outcome: Outcome, now: float) -> None:
        """A member has ended; `outcome` and `stops_at` say what that means."""
        rank = self.folders.pop(folder, 0)
        if isinstance(outcome, Cancelled) and not self.cancelled and self.outcome is None:
            outcome = Lost(reason=_ENDED_BY_OTHERS)
        if self._gang is None:
            self.outcome = self.outcome or outcome
        elif self.outcome is self._gang.verdict:
            self._gang.take(rank, outcome, now)
            self.outcome = self._gang.verdict

    @property
    def stops_at(self) -> float:
        """When what is left of it is to be stopped; never, as long as it goes well, or once that is under way."""
        if self.outcome is None or not self.folders or self._stopping:
            return float("inf")
        return (0.0 if self._gang is None else self._gang.settles_at) or 0.0

    def stop(self, kill_at: float) -> None:
        """It is asked to end; by then it has to."""
        self.kill_at, self._stopping = kill_at, True
        if self._gang is not None:
            self._gang.stopping = True
        for folder in self.folders:
            folder.ask_to_stop()

    def verdict(self) -> Outcome:
        """What to report when nothing of it runs any more."""
        if self.outcome is None or (self.cancelled and isinstance(self.outcome, Lost)):
            return Cancelled() if self.cancelled else Lost(reason=_ENDED_BY_OTHERS)
        return self.outcome
