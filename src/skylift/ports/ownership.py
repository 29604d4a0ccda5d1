"""Who drives a run: one living engine, whose name stands in the run's record."""

from __future__ import annotations

from typing import Protocol


class Ownership(Protocol):
    """Held for the life of an engine: an operating-system lock for engines of one machine, a lease in the database for
    engines that share one. Thread-safe.

    The safety of runs does not rest on it: a commit for a run that another engine has taken is refused by the journal.
    """

    @property
    def owner(self) -> str:
        """Ours; goes into the records of the runs we drive. Never used again by another engine."""
        ...

    def is_alive(self, owner: str) -> bool:
        """Does an engine of this name live? In doubt yes. May be asked about any owner, ours too."""
        ...

    def release(self) -> None:
        """From now on we count as dead."""
        ...
