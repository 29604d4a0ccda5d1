"""Time that only moves when it is told to."""

from __future__ import annotations

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


class VirtualClock:
    """A `Clock` for tests: no sleeping, no surprises."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, ms: int) -> None:
        """Go forward."""
        if ms < 0:
            raise ValueError(f"time cannot go back by {-ms} ms")
        self._now_ms += ms

    def advance_to(self, at_ms: int) -> None:
        """Go forward to a time; one that is past changes nothing."""
        self._now_ms = max(self._now_ms, at_ms)
