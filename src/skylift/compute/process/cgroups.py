"""Memory limits kept by the Linux kernel: one control group per worker, version 1 or 2, where we may make them."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class _Names:
    """What the files are called in each version."""

    limit: str
    no_limit: str
    usage: str
    peak: str
    events: str


_FILES = {
    1: _Names(
        "memory.limit_in_bytes", "-1", "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"
    ),
    2: _Names("memory.max", "max", "memory.current", "memory.peak", "memory.events"),
}


class Cgroup:
    """A group for one worker and what it starts."""

    def __init__(self, path: Path, version: Literal[1, 2]) -> None:
        self.path = path
        self._names = _FILES[version]
        self.kills = self._count_kills()

    def add(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    def limit(self, mib: float | None) -> None:
        """OSError if the group uses more already and the kernel cannot free it."""
        text = self._names.no_limit if mib is None else str(max(1, int(mib)) * _MIB)
        (self.path / self._names.limit).write_text(text)

    def usage_mib(self) -> float:
        return self._number(self._names.usage)

    def peak_mib(self) -> float:
        return self._number(self._names.peak)

    def killed(self) -> bool:
        """Whether the kernel has killed for memory here since this was last asked."""
        before, self.kills = self.kills, self._count_kills()
        return self.kills > before

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _count_kills(self) -> int:
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = (self.path / self._names.events).read_text().split()
            return int(words[words.index("oom_kill") + 1])
        return 0

    def _number(self, name: str) -> float:
        with contextlib.suppress(OSError, ValueError):
            return int((self.path / name).read_text()) / _MIB
        return 0.0


class Cgroups:
    """Makes groups below the one this process is in."""

    def __init__(self, parent: Path, version: Literal[1, 2]) -> None:
        self._parent = parent
        self._version = version
        self.own = Cgroup(parent, version)
        """The group of the engine itself: its count of kills tells of an out-of-memory without a limit of ours."""

    @classmethod
    def here(cls) -> Cgroups | None:
        """None where there is no memory controller or it is not ours to use; found out by trying."""
        parent, version = own_group() or (None, 1)
        if parent is None:
            return None
        groups = cls(parent, version)
        try:
            trial = groups.make(f"skylift-trial-{os.getpid()}")
        except OSError:
            return None
        try:
            trial.limit(1024)
            trial.limit(None)
        except OSError:
            return None
        finally:
            trial.remove()
        return groups

    def make(self, name: str) -> Cgroup:
        path = self._parent / name
        path.mkdir(exist_ok=True)
        if not (path / _FILES[self._version].limit).exists():
            path.rmdir()
            raise FileNotFoundError(f"{path} has no memory controller")
        with contextlib.suppress(OSError):
            (path / "memory.oom.group").write_text("1")
        with contextlib.suppress(OSError):
            (path / "memory.swap.max").write_text("0")
        return Cgroup(path, self._version)


def own_group() -> tuple[Path, Literal[1, 2]] | None:
    """The folder of this process's memory control group."""
    if sys.platform != "linux":
        return None
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return None
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _mounted(mounts, path, "memory", 1)
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            return _mounted(mounts, path, None, 2)
    return None


def _mounted(
    mounts: list[list[str]], path: str, controller: str | None, version: Literal[1, 2]
) -> tuple[Path, Literal[1, 2]] | None:
    """Where the hierarchy is mounted; inside a container its root may already be our group."""
    for fields in mounts:
        kind = fields[fields.index("-") + 1]
        options = fields[-1].split(",")
        if (kind == "cgroup2" and controller is None) or (kind == "cgroup" and controller in options):
            root, point = fields[3], Path(fields[4])
            inside = path[len(root) :] if root != "/" and path.startswith(root) else path
            folder = point / inside.lstrip("/")
            return (folder if folder.is_dir() else point), version
    return None
