"""Measures what an attempt uses: wall time, processor time, memory."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time

from skylift.asl.events import Usage
from skylift.compute.worker.traffic import Traffic

_PAGE_MIB = resource.getpagesize() / 2**20
_MAXRSS_MIB = 2**-20 if sys.platform == "darwin" else 2**-10
_WORTH_A_PEAK_MS = 5.0
"""Shorter attempts are too quick to allocate much: the memory in use at their end stands for their peak."""


class Meter:
    """One attempt's use, from `start` to `stop`. Processor time includes threads and ended children of the process;
    `traffic`, where it is given, is that of the whole process."""

    __slots__ = (
        "_before",
        "_children_s",
        "_cpu_s",
        "_from_s",
        "_traffic",
        "duration_ms",
        "in_bytes",
        "out_bytes",
        "peak_mib",
        "rss_mib",
        "started_ms",
    )

    def __init__(self) -> None:
        self._traffic: Traffic | None = None
        self._before = (0, 0)
        self.in_bytes = self.out_bytes = 0
        self.started_ms = 0
        self.duration_ms = self.peak_mib = self.rss_mib = 0.0
        self._from_s = self._cpu_s = self._children_s = 0.0

    def start(self, traffic: Traffic | None = None) -> None:
        if traffic is not None:
            self._traffic, self._before = traffic, (traffic.in_bytes, traffic.out_bytes)
        self.started_ms = int(time.time() * 1000)
        self._children_s = _children_s()
        self._cpu_s = time.process_time()
        self._from_s = time.perf_counter()

    def stop(self) -> float:
        """Ends the measurement; the processor time in milliseconds."""
        self.duration_ms = (time.perf_counter() - self._from_s) * 1000
        if self._traffic is not None:
            self.in_bytes = self._traffic.in_bytes - self._before[0]
            self.out_bytes = self._traffic.out_bytes - self._before[1]
        cpu_ms = (time.process_time() - self._cpu_s + _children_s() - self._children_s) * 1000
        self.rss_mib = self.peak_mib = resident_mib()
        if self.duration_ms >= _WORTH_A_PEAK_MS:
            self.peak_mib = max(self.rss_mib, _take_peak_mib())
        return max(0.0, cpu_ms)

    def usage(self, cpu_ms: float, backend: str, worker: str) -> Usage:
        return Usage(
            started_ms=self.started_ms,
            duration_ms=round(self.duration_ms, 3),
            cpu_ms=round(cpu_ms, 3),
            peak_memory_mib=round(self.peak_mib, 2),
            backend=backend,
            worker=worker,
            in_bytes=self.in_bytes or None,
            out_bytes=self.out_bytes or None,
        )


def resident_mib() -> float:
    """Memory of this process that is in RAM now; where the system does not tell, its highest value so far."""
    fd = _statm()
    if fd < 0:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_MIB
    return int(os.pread(fd, 128, 0).split(None, 2)[1]) * _PAGE_MIB


def _children_s() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


_statm_of: tuple[int, int] = (0, -1)


def _statm() -> int:
    """A file descriptor on /proc/self/statm, opened anew after a fork; -1 where there is none."""
    global _statm_of
    pid = os.getpid()
    if _statm_of[0] != pid:
        try:
            _statm_of = (pid, os.open("/proc/self/statm", os.O_RDONLY))
        except OSError:
            _statm_of = (pid, -1)
    return _statm_of[1]


def _take_peak_mib() -> float:
    """The highest memory since the last call of this function, where Linux lets us reset it; else of the process."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_MIB
    peak = 0.0
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - pathlib costs start-up time here
            text = status.read()
        peak = int(text.partition(b"VmHWM:")[2].split(None, 1)[0]) / 1024
        with open("/proc/self/clear_refs", "wb") as refs:  # noqa: PTH123
            refs.write(b"5")
    return peak
