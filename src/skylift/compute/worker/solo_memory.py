"""The memory of a lone attempt: whether the kernel killed for it, its peak, and a watch where no group limits it."""

from __future__ import annotations

import contextlib
import os

_MIB = 2**20
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / _MIB
_NEAR = 0.9
"""A killed process that had come so near to its limit is taken to have been killed for it, where nothing counts."""


class GroupMemory:
    """A control group, version 1 or 2, as far as it can be read from where we are."""

    def __init__(self, group: str | None) -> None:
        self._folder, self._events, self._peak, self._cache = _found(group)
        self._kills = self._count()

    @property
    def counts(self) -> bool:
        return self._folder is not None

    def join(self, pid: int) -> None:
        if self._folder is not None:
            with open(f"{self._folder}/cgroup.procs", "w") as processes:
                processes.write(str(pid))

    def killed(self) -> bool:
        """Whether the kernel has killed for memory in it since this was made."""
        return self._count() > self._kills

    def peak_mib(self) -> float:
        """The highest use, without what the files that were read take at the end: that is given back when needed."""
        if self._folder is None:
            return 0.0
        with contextlib.suppress(OSError, ValueError):
            return max(0.0, int(_text(f"{self._folder}/{self._peak}")) / _MIB - self._cached_mib())
        return 0.0

    def remove(self) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self._folder)

    def _count(self) -> int:
        if self._folder is None:
            return 0
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = _text(f"{self._folder}/{self._events}").split()
            return int(words[words.index("oom_kill") + 1])
        return 0

    def _cached_mib(self) -> float:
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = _text(f"{self._folder}/memory.stat").split()
            return int(words[words.index(self._cache) + 1]) / _MIB
        return 0.0


def _found(group: str | None) -> tuple[str | None, str, str, str]:
    for folder in () if group is None else (f"{group}/memory", group):
        if os.path.exists(f"{folder}/memory.oom_control"):
            return folder, "memory.oom_control", "memory.max_usage_in_bytes", "total_cache"
        if os.path.exists(f"{folder}/memory.events"):
            return folder, "memory.events", "memory.peak", "file"
    return None, "", "", ""


def near(peak_mib: float, limit_mib: int | None) -> bool:
    return limit_mib is not None and peak_mib >= _NEAR * limit_mib


def used_mib(pids: list[int]) -> float:
    """Memory of these processes that is in RAM; what several share is counted once where the system tells."""
    total = sum(map(_resident_mib, pids))
    if len(pids) < 2:
        return total
    proportional = 0.0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            proportional += int(_text(f"/proc/{pid}/smaps_rollup").partition("\nPss:")[2].split(None, 1)[0]) / 1024
    return min(total, proportional) if proportional else total


def _resident_mib(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(_text(f"/proc/{pid}/statm").split(None, 2)[1]) * _PAGE_MIB
    return 0.0


def _text(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
