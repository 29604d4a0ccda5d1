"""What one client may ask for: how often, how much at once, how long, how deep."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from skylift.server.errors import ApiError

BURST_S = 5.0
"""A bucket holds what comes in this time."""
MOST_BUCKETS = 10_000
DEPTH = 64
"""Of a request; documents and inputs in it are texts, and checked by who reads them."""

_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class Throttled(ApiError):
    """Too much, too fast."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("ThrottlingException", "Rate exceeded")
        self.wait_s = wait_s


class Throttle:
    """A token bucket for each client, and a bound on what it has running. Of one thread."""

    def __init__(
        self, per_second: float, at_once: int, *, clock: Callable[[], float] = time.monotonic, burst_s: float = BURST_S
    ) -> None:
        """0 is no limit."""
        self._rate = per_second
        self._room = max(1.0, per_second * burst_s)
        self._most = at_once
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._running: dict[str, int] = {}

    @contextmanager
    def admitted(self, client: str) -> Iterator[None]:
        """Around one request. Raises Throttled."""
        running = self._running.get(client, 0)
        if self._most and running >= self._most:
            raise Throttled(1.0)
        if self._rate:
            self._take(client)
        self._running[client] = running + 1
        try:
            yield
        finally:
            left = self._running[client] - 1
            if left:
                self._running[client] = left
            else:
                del self._running[client]

    def _take(self, client: str) -> None:
        now = self._clock()
        tokens, at = self._buckets.get(client, (self._room, now))
        tokens = min(self._room, tokens + (now - at) * self._rate)
        if tokens < 1:
            self._buckets[client] = (tokens, now)
            raise Throttled((1 - tokens) / self._rate)
        if client not in self._buckets and len(self._buckets) >= MOST_BUCKETS:
            self._forget(now)
        self._buckets[client] = (tokens - 1, now)

    def _forget(self, now: float) -> None:
        """Buckets that are full again say nothing; else the oldest go."""
        self._buckets = {
            client: (tokens, at)
            for client, (tokens, at) in self._buckets.items()
            if tokens + (now - at) * self._rate < self._room
        }
        while len(self._buckets) >= MOST_BUCKETS:
            del self._buckets[next(iter(self._buckets))]


def check_depth(body: bytes, most: int = DEPTH) -> None:
    """Raises ApiError for JSON that is nested more deeply; what is no JSON passes."""
    if body.count(b"{") + body.count(b"[") <= most:
        return
    depth = 0
    for found in _BRACKETS.findall(_TEXTS.sub(b"", body)):
        if found in b"[{":
            depth += 1
            if depth > most:
                raise ApiError("SerializationException", f"The request is nested more than {most} levels deep")
        else:
            depth -= 1
