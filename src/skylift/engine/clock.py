"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """UTC by the machine's clock, held back from going backwards when somebody sets it."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def now_ms(self) -> int:
        now = time.time_ns() // 1_000_000
        if now > self._last:
            self._last = now
        return self._last
