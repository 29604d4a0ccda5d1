"""A process and what descends from it: to measure it, to end it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, also those that left the process group."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def resident_mib(pid: int) -> float:
    """Memory of one process that is in RAM; 0 once it is gone."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123
            return int(statm.read().split(None, 2)[1]) * _PAGE_MIB
        return 0.0
    import psutil

    with contextlib.suppress(psutil.Error):
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    return 0.0


def proportional_mib(pids: list[int]) -> float:
    """Memory of several processes, what they share counted once; where the system does not tell, counted for each."""
    total = 0.0
    for pid in pids:
        mib = 0.0
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:  # noqa: PTH123
            mib = int(rollup.read().partition(b"\nPss:")[2].split(None, 1)[0]) / 1024
        total += mib or resident_mib(pid)
    return total


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
