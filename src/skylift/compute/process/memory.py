"""Keeps tasks within their memory: by control group where there are some, else by watching. Never by RLIMIT_AS, which
counts address space and so breaks CUDA and memory-mapped files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Literal

from skylift.compute.process.cgroups import Cgroup, Cgroups, own_group
from skylift.compute.process.tree import descendants, proportional_mib, resident_mib

WATCH_S = 0.025
_RESCAN_S = 0.25

Enforcement = Literal["auto", "cgroup", "watch"]


class Guarded:
    """What is known of one worker's memory while a call with a limit runs on it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.limit_mib: int | None = None
        self.peak_mib = 0.0
        self.group: Cgroup | None = None
        self._children: list[int] = []
        self._scanned = 0.0

    def over(self, now: float) -> bool:
        """Whether the worker and its children use more than the limit now."""
        if self.limit_mib is None:
            return False
        if now - self._scanned >= _RESCAN_S:
            self._children, self._scanned = descendants(self.pid), now
        pids = [self.pid, *self._children]
        used = sum(map(resident_mib, pids))
        if used > self.limit_mib and self._children:
            used = proportional_mib(pids)
        self.peak_mib = max(self.peak_mib, used)
        return used > self.limit_mib


def _unheard(_folder: str) -> None:
    return None


class MemoryGuard:
    """`auto` uses control groups if it can make them."""

    def __init__(
        self,
        enforcement: Enforcement = "auto",
        *,
        made: Callable[[str], None] = _unheard,
        gone: Callable[[str], None] = _unheard,
    ) -> None:
        """`made` and `gone` are told the folders of control groups."""
        self._enforcement = enforcement
        self._tell_made, self._tell_gone = made, gone
        self._groups: Cgroups | None = None
        self._looked = False
        own = own_group()
        self._own = None if own is None else Cgroup(*own)

    def begin(self, guarded: Guarded, limit_mib: int) -> bool:
        """Before a call with a limit starts; whether it has to be watched."""
        guarded.limit_mib = limit_mib
        guarded.peak_mib = 0.0
        groups = self._cgroups()
        if groups is None:
            return True
        try:
            self._confine(guarded, groups, limit_mib)
        except OSError:
            self._release(guarded)
            return True
        return False

    def end(self, guarded: Guarded) -> None:
        """After that call: the worker may have all memory again."""
        guarded.limit_mib = None
        if guarded.group is not None:
            with contextlib.suppress(OSError):
                guarded.group.limit(None)

    def killed_inside(self, guarded: Guarded) -> bool:
        """Whether the kernel killed the worker, or a child of it, at its limit."""
        return guarded.group is not None and guarded.group.killed()

    def killed_outside(self) -> bool:
        """Whether the kernel killed something of ours because the machine or container ran out."""
        return self._own is not None and self._own.killed()

    def peak_mib(self, guarded: Guarded) -> float | None:
        return (guarded.group.peak_mib() if guarded.group is not None else guarded.peak_mib) or None

    def forget(self, guarded: Guarded) -> None:
        """The worker is gone."""
        self._release(guarded)

    def _confine(self, guarded: Guarded, groups: Cgroups, limit_mib: int) -> None:
        """What the worker used before it came into its group stays charged elsewhere: it counts against the limit."""
        if guarded.group is None:
            guarded.group = groups.make(f"skylift-{os.getpid()}-{guarded.pid}")
            self._tell_made(str(guarded.group.path))
            guarded.group.add(guarded.pid)
        outside = max(0.0, resident_mib(guarded.pid) - guarded.group.usage_mib())
        guarded.group.limit(max(1.0, limit_mib - outside))
        guarded.group.killed()

    def _release(self, guarded: Guarded) -> None:
        if guarded.group is not None:
            guarded.group.remove()
            self._tell_gone(str(guarded.group.path))
            guarded.group = None

    def _cgroups(self) -> Cgroups | None:
        if not self._looked:
            self._looked = True
            self._groups = None if self._enforcement == "watch" else Cgroups.here()
        return self._groups
