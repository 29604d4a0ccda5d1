"""How much this process has fetched from sources elsewhere: what an attempt's usage counts as read."""

from __future__ import annotations

import threading


class Count:
    """Bytes since the process began. Thread-safe."""

    __slots__ = ("_lock", "total")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = 0

    def add(self, size: int) -> None:
        with self._lock:
            self.total += size


FETCHED = Count()
