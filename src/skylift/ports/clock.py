"""Time as the engine knows it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """UTC milliseconds since the epoch; never goes back."""
        ...
