"""Threads that make requests, shared fairly by accounts."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

Work = Callable[[], None]


class Threads:
    """Up to `size` daemon threads, started as they are needed.

    One account holds at most three quarters of them, so that its slow services leave the others room. Work of an
    account is done in the order it came; accounts with work take turns.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._share = max(1, size * 3 // 4)
        self._change = threading.Condition()
        self._waiting: dict[str, deque[Work]] = {}
        self._running: Counter[str] = Counter()
        self._pending = 0
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._closed = False

    def run(self, account: str, work: Work) -> None:
        with self._change:
            if self._closed:
                return
            self._waiting.setdefault(account, deque()).append(work)
            self._pending += 1
            if self._pending > self._idle and len(self._threads) < self._size:
                number = len(self._threads)
                thread = threading.Thread(target=self._serve, name=f"{self._name}-{number}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._change.notify()

    def close(self, patience_s: float = 1.0) -> None:
        """Requests under way cannot be taken back: they are waited for a moment, and then left to their threads."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(patience_s)
                patience_s = 0.01 if thread.is_alive() else patience_s

    def _serve(self) -> None:
        while True:
            with self._change:
                taken = self._take()
                while taken is None and not self._closed:
                    self._idle += 1
                    self._change.wait()
                    self._idle -= 1
                    taken = self._take()
                if taken is None:
                    return
            account, work = taken
            try:
                work()
            finally:
                self._done(account)

    def _done(self, account: str) -> None:
        with self._change:
            self._running[account] -= 1
            if not self._running[account]:
                del self._running[account]
            self._change.notify()

    def _take(self) -> tuple[str, Work] | None:
        for account in list(self._waiting):
            if self._running[account] < self._share:
                queue = self._waiting.pop(account)
                work = queue.popleft()
                if queue:
                    self._waiting[account] = queue  # last in the order of turns
                self._running[account] += 1
                self._pending -= 1
                return account, work
        return None
