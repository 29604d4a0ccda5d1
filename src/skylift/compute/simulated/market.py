"""Spot markets: when a machine can be had and when it is taken away."""

from __future__ import annotations

import bisect
import math
import random
from typing import Protocol

GAP_MS = 60_000
_DAY_MS = 86_400_000
_SWING = 0.6
_BUSIEST_MS = 18 * 3_600_000
"""Of the day in UTC: the afternoon of the eastern United States, where machines are scarcest."""
_BLOCK = 1_440


class Market(Protocol):
    @property
    def longest_up_ms(self) -> int | None:
        """For how long machines can be had at most before they are taken away; None where that has no bound."""
        ...

    def up(self, at_ms: int) -> bool:
        """Whether machines can be had."""
        ...

    def next_change(self, at_ms: int) -> int | None:
        """The first time after that at which this is different; None if that never comes."""
        ...


class GeneratedMarket:
    """A Markov chain by minutes whose rates follow the time of day. The same seed gives the same market, whenever it
    is asked for what."""

    def __init__(self, seed: str, origin_ms: int, up_ms: int, down_ms: int) -> None:
        """`up_ms` and `down_ms` are means over the day."""
        self._rng = random.Random(seed)
        self._origin_ms = origin_ms
        self._ending = -math.expm1(-GAP_MS / up_ms)
        self._coming = -math.expm1(-GAP_MS / down_ms)
        self._first = self._rng.random() < up_ms / (up_ms + down_ms)
        self._last = self._first
        self._ticks = 0
        self._changes: list[int] = []

    @property
    def longest_up_ms(self) -> int | None:
        return None

    def up(self, at_ms: int) -> bool:
        self._know(at_ms)
        return self._first == (bisect.bisect_right(self._changes, at_ms) % 2 == 0)

    def next_change(self, at_ms: int) -> int | None:
        while True:
            found = bisect.bisect_right(self._changes, at_ms)
            if found < len(self._changes):
                return self._changes[found]
            self._go_on()

    def _know(self, at_ms: int) -> None:
        while self._origin_ms + self._ticks * GAP_MS <= at_ms:
            self._go_on()

    def _go_on(self) -> None:
        for _ in range(_BLOCK):
            self._ticks += 1
            at_ms = self._origin_ms + self._ticks * GAP_MS
            pull = 1 + _SWING * math.cos(2 * math.pi * (at_ms % _DAY_MS - _BUSIEST_MS) / _DAY_MS)
            chance = self._ending * pull if self._last else self._coming * (2 - pull)
            if self._rng.random() < chance:
                self._last = not self._last
                self._changes.append(at_ms)
