"""Keeps a log of how much of this machine is used: a line of JSON each time, appended, in files of bounded size."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from skylift.box.use import GPU_COMMAND, Gpu, ProcessorUse, gpus, has_gpus, memory_mib

KEPT = 5
"""Older files beside the one that is written: `FILE.1` is the newest of them."""


class Use(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the log: the use since the line before, and memory at that moment."""

    at: str
    """UTC, RFC 3339."""
    every_s: float
    """How often there is a line."""
    cpu: float
    """Percent of all processors."""
    memory_mib: float
    memory_total_mib: float
    gpu: float | None = None
    """Percent of the busiest GPU; None where there is none or it does not tell."""
    gpu_memory_mib: float | None = None
    """Of all GPUs together."""


class Recorder:
    """Measures and writes. `look_at_gpus` may be replaced."""

    def __init__(
        self,
        file: Path,
        *,
        every_s: float,
        most_bytes: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        processors: ProcessorUse | None = None,
        gpu_command: Sequence[str] = GPU_COMMAND,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`say` is told when lines cannot be written, and when they can be again."""
        self._say = say
        self._said: str | None = None
        self._broken = False
        """Whether the last line is only half in the file."""
        self._file = file
        self._every_s = every_s
        self._most_bytes = most_bytes
        self._now = now
        self._processors = processors or ProcessorUse()
        self._gpu_command = gpu_command if has_gpus(gpu_command) else None
        self.lines = 0

    def run(self, stopping: threading.Event, count: int | None = None) -> int:
        """A line every so often until `stopping` is set, or `count` lines are written; how many were. Raises OSError
        where the first one cannot be written; afterwards a disk that is full is waited for: what was not written is a
        gap in the log."""
        _end_line(self._file)
        while (count is None or self.lines < count) and not stopping.wait(self._every_s):
            try:
                self.write()
            except OSError as problem:
                if not self.lines:
                    raise
                self._trouble(problem)
            else:
                self._trouble(None)
        return self.lines

    def _trouble(self, problem: OSError | None) -> None:
        """Tell once that lines cannot be written, and once that they can be again."""
        said = None if problem is None else problem.strerror or str(problem)
        if said != self._said:
            self._say(f"{self._file} can be written again" if said is None else f"{self._file}: {said}: no line now")
        self._said = said

    def write(self) -> Use:
        """One line. Raises OSError where it cannot be written."""
        use = self._measured()
        line = msgspec.json.encode(use) + b"\n"
        self._rotate(len(line))
        # One write in append mode: a line is whole, whoever else writes.
        number = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(number, (b"\n" if self._broken else b"") + line)
            self._broken = written < len(line) + self._broken
        finally:
            os.close(number)
        if self._broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.lines += 1
        return use

    def _measured(self) -> Use:
        found = self._looked_at_gpus()
        memory, total = memory_mib()
        used = [gpu.memory_mib for gpu in found if gpu.memory_mib is not None]
        return Use(
            at=self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            every_s=self._every_s,
            cpu=round(min(100.0, max(0.0, self._processors.percent())), 2),  # times of a kernel can go backwards
            memory_mib=round(memory, 1),
            memory_total_mib=round(total, 1),
            gpu=max((gpu.percent for gpu in found), default=None),
            gpu_memory_mib=sum(used) if used else None,
        )

    def _looked_at_gpus(self) -> list[Gpu]:
        if self._gpu_command is None:
            return []
        try:
            return gpus(self._gpu_command)
        except (OSError, subprocess.SubprocessError, ValueError):
            return []

    def _rotate(self, more: int) -> None:
        try:
            there = self._file.stat().st_size
        except FileNotFoundError:
            return
        if there + more <= self._most_bytes:
            return
        for number in range(KEPT - 1, 0, -1):
            older = _numbered(self._file, number)
            if older.exists():
                older.replace(_numbered(self._file, number + 1))
        self._file.replace(_numbered(self._file, 1))


def _numbered(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.{number}")


def _end_line(file: Path) -> None:
    """Whoever wrote before may have been killed in the middle of one."""
    try:
        with file.open("rb+") as there:
            if there.seek(0, os.SEEK_END) and (there.seek(-1, os.SEEK_END), there.read(1))[1] != b"\n":
                there.write(b"\n")
    except FileNotFoundError:
        return
