"""Tells when attempts end, and keeps their leases while it lives: one thread for all of them, asleep in between."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable

from skylift.compute.attempts.folders import AttemptFolder
from skylift.ports.compute import Outcome

_LOOK_S = 2.0
"""So often what is watched is looked at even if no bell rang: for places from which none can be heard."""


class _Watched:
    __slots__ = ("bell", "folder", "pidfd", "renewed", "renewed_ms")

    def __init__(self, folder: AttemptFolder) -> None:
        self.folder = folder
        self.bell = self.pidfd = -1
        self.renewed = 0.0
        self.renewed_ms = 0
        """The same by the wall's clock, by which leases end: the other stands still while a machine sleeps."""


class Watcher:
    """`ended(folder, outcome)` is called on the watcher's thread, once for each folder that is watched, when its
    outcome is on file, or with None when its supervisor has gone without leaving one. It must not block for long."""

    def __init__(
        self,
        ended: Callable[[AttemptFolder, Outcome | None], None],
        *,
        lease_ms: int,
        name: str = "attempts",
        tick: Callable[[], None] | None = None,
    ) -> None:
        """What is watched is renewed to `lease_ms` from then on, at a third of it. `tick` is called now and then, on
        the same thread, while anything was ever watched."""
        self._tell = ended
        self._tick = tick
        self._tick_at = float("inf")
        self._lease_ms = lease_ms
        self._lock = threading.Lock()
        self._watched: dict[AttemptFolder, _Watched] = {}
        self._new: list[_Watched] = []
        self._selector = selectors.DefaultSelector()
        self._wake_end, self._wake = os.pipe()
        for end in (self._wake_end, self._wake):
            os.set_blocking(end, False)
        self._selector.register(self._wake_end, selectors.EVENT_READ)
        self._name = name
        self._closing = False
        self._thread: threading.Thread | None = None

    def watch(self, folder: AttemptFolder, *, pid: int | None = None) -> None:
        """From now on. An outcome that is there already is told too. `pid`: a process of this machine whose end is the
        end of the attempt (its supervisor, or what holds its container), for it may die before it can ring."""
        watched = _Watched(folder)
        with contextlib.suppress(OSError):
            watched.bell = folder.hear()
        if pid is not None and hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                watched.pidfd = os.pidfd_open(pid)
        with self._lock:
            if self._closing or folder in self._watched:
                _close(watched)
                return
            self._watched[folder] = watched
            self._new.append(watched)
            for fd in (watched.bell, watched.pidfd):
                if fd >= 0:
                    self._selector.register(fd, selectors.EVENT_READ, watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=f"skylift-{self._name}", daemon=True)
                self._thread.start()
        self._ring()

    def forget(self, folder: AttemptFolder) -> None:
        """Nothing is told of it any more, and its lease not renewed."""
        with self._lock:
            self._drop(folder)

    def tick_by(self, moment: float) -> None:
        """Call `tick` then at the latest, by the monotonic clock."""
        self._tick_at = min(self._tick_at, moment)
        self._ring()

    def close(self) -> None:
        """Nothing is told afterwards. What runs goes on until its lease ends or somebody adopts it."""
        with self._lock:
            self._closing = True
            thread = self._thread
        self._ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._lock:
            for folder in list(self._watched):
                self._drop(folder)
            if self._wake >= 0:
                self._selector.close()
                os.close(self._wake_end)
                os.close(self._wake)
                self._wake = -1

    # The thread -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        look_at = 0.0
        while not self._closing:
            now = time.monotonic()
            if now >= look_at:
                look_at = now + min(_LOOK_S, self._lease_ms / 3000)
                with self._lock:
                    everything = list(self._watched.values())
                self._look_at(everything, now)
                self._tick_at = now
            if now >= self._tick_at:
                self._tick_at = float("inf")
                if self._tick is not None:
                    self._tick()
            for key, _ in self._selector.select(max(0.0, min(look_at, self._tick_at) - time.monotonic())):
                if key.data is None:
                    self._look_at(self._taken_new(), time.monotonic())
                else:
                    self._heard(key.data, key.fd)

    def _taken_new(self) -> list[_Watched]:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_end, 512):
                pass
        with self._lock:
            new, self._new = self._new, []
        return new

    def _look_at(self, some: list[_Watched], now: float) -> None:
        for watched in some:
            if self._closing:
                return
            now_ms = int(time.time() * 1000)
            if not self._look(watched) and self._is_due(watched, now, now_ms):
                watched.renewed, watched.renewed_ms = now, now_ms
                with contextlib.suppress(OSError):
                    watched.folder.renew(now_ms + self._lease_ms)

    def _is_due(self, watched: _Watched, now: float, now_ms: int) -> bool:
        third = self._lease_ms / 3
        return (now - watched.renewed) * 1000 >= third or abs(now_ms - watched.renewed_ms) >= third

    def _heard(self, watched: _Watched, fd: int) -> None:
        """A bell rang, its writer went, or a process ended."""
        with self._lock:
            gone = fd == watched.pidfd or (fd == watched.bell and not _read(fd))
        if not self._look(watched) and gone:
            self._told(watched, None)

    def _look(self, watched: _Watched) -> bool:
        """Whether it has ended, which is then told."""
        folder = watched.folder
        vanished = folder.started and not folder.alive
        outcome = folder.outcome()
        if outcome is None and not vanished:
            return False
        self._told(watched, outcome)
        return True

    def _told(self, watched: _Watched, outcome: Outcome | None) -> None:
        with self._lock:
            known = self._watched.get(watched.folder) is watched
            if known:
                self._drop(watched.folder)
        if known and not self._closing:
            self._tell(watched.folder, outcome)

    # Under the lock ---------------------------------------------------------------------------------------------

    def _drop(self, folder: AttemptFolder) -> None:
        watched = self._watched.pop(folder, None)
        if watched is not None:
            for fd in (watched.bell, watched.pidfd):
                if fd >= 0:
                    with contextlib.suppress(KeyError, ValueError):
                        self._selector.unregister(fd)
            _close(watched)

    def _ring(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            os.write(self._wake, b"!")


def _read(fd: int) -> bytes:
    """What rang; nothing when the writer has gone."""
    try:
        return os.read(fd, 512)
    except BlockingIOError:
        return b"!"
    except OSError:
        return b""


def _close(watched: _Watched) -> None:
    for fd in (watched.bell, watched.pidfd):
        if fd >= 0:
            os.close(fd)
    watched.bell = watched.pidfd = -1
