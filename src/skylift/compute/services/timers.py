"""One thread that does small things at their time, however many wait."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Timers:
    """What is due runs on this thread and must be short. The thread starts with the first timer."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._change = threading.Condition()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        with self._change:
            if self._closed:
                return
            heapq.heappush(self._heap, (self._clock() + seconds, next(self._count), act))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
            self._change.notify()

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._heap.clear()
            self._change.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _serve(self) -> None:
        while True:
            with self._change:
                while not self._closed and not self._due():
                    self._change.wait(self._heap[0][0] - self._clock() if self._heap else None)
                if self._closed:
                    return
                act = heapq.heappop(self._heap)[2]
            act()

    def _due(self) -> bool:
        return bool(self._heap) and self._heap[0][0] <= self._clock()
