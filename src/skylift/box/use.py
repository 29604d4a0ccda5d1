"""Reads how much of this machine is used: processors, memory, GPUs. Who watches for idleness and who keeps a log of it
read the same."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence

import msgspec
import psutil  # type: ignore[import-untyped, unused-ignore]

ASK_S = 5.0
MIB = 1024 * 1024
GPU_COMMAND = (
    "nvidia-smi",
    "--query-gpu=utilization.gpu,memory.used,memory.total",
    "--format=csv,noheader,nounits",
)


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU at this moment."""

    percent: float
    memory_mib: float | None = None
    memory_total_mib: float | None = None


class ProcessorUse:
    """Since the last reading, of all processors together, in percent."""

    def __init__(self, read: Callable[[], tuple[float, float]] | None = None) -> None:
        """`read` gives the seconds in which processors were busy, and all of theirs."""
        self._read = read or _processor_seconds
        self._before = self._read()

    def percent(self) -> float:
        before, now = self._before, self._read()
        self._before = now
        total = now[1] - before[1]
        return 100.0 * (now[0] - before[0]) / total if total > 0 else 0.0


def _processor_seconds() -> tuple[float, float]:
    """Busy and all."""
    times = psutil.cpu_times()
    total = float(sum(times[:8]))  # guest times are part of user times
    return total - times.idle - getattr(times, "iowait", 0.0), total


def has_gpus(command: Sequence[str] = GPU_COMMAND) -> bool:
    return shutil.which(command[0]) is not None


def gpus(command: Sequence[str] = GPU_COMMAND) -> list[Gpu]:
    """All there are, as nvidia-smi says. Raises OSError, SubprocessError or ValueError where it does not tell."""
    said = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=True).stdout
    return [_gpu(line.split(",")) for line in said.splitlines() if line.strip()]


def _gpu(cells: list[str]) -> Gpu:
    """What a driver does not support it calls `[N/A]`: of use that is no number, of memory nothing is known."""
    memory = [_number(cell) for cell in cells[1:3]]
    used, total = memory if len(memory) == 2 else (None, None)
    return Gpu(percent=float(cells[0]), memory_mib=used, memory_total_mib=total)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def memory_mib() -> tuple[float, float]:
    """What programs use, and all there is."""
    found = psutil.virtual_memory()
    return (found.total - found.available) / MIB, found.total / MIB
