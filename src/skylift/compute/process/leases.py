"""Workers' leases: a small file beside the journal for each, which any process of the project can read.

The file's time is the end of the lease. Whoever drives the worker renews it; the worker itself ends with its engine
(see the guardian), so what a sweeper finds here belongs to an engine that hangs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from skylift.compute.process.tree import descendants, kill_all
from skylift.ports.compute import Leased

_GONE_S = 10.0
LOOK_S = 10.0
"""So often is looked whether leases are to be renewed: they end by the wall's clock, and the other one stands still
while a machine sleeps."""


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker's file says."""

    pid: int
    born: str
    """When the process began, as its system counts: another process of the same number is another one."""
    name: str
    engine: int


class Leases:
    """Not thread-safe: the pool's lock guards it. Without a folder nothing is written."""

    def __init__(self, folder: Path | None, lease_s: float) -> None:
        self._folder = folder
        self._lease_s = lease_s
        self._files: dict[int, Path] = {}
        self._renewed = 0.0
        """When they were last renewed, by `time.time()`."""
        self.next = float("inf")
        """When to call `renew`, by `time.monotonic()`."""

    def begin(self, pid: int, name: str) -> None:
        if self._folder is None:
            return
        held = _Held(pid=pid, born=_born(pid), name=name, engine=os.getpid())
        file = self._folder / f"{pid}.json"
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            beside = file.with_suffix(".new")
            beside.write_bytes(msgspec.json.encode(held))
            self._until(beside)
            beside.rename(file)
            self._files[pid] = file
        self.next = min(self.next, time.monotonic() + self._pause())

    def forget(self, pid: int) -> None:
        file = self._files.pop(pid, None)
        if file is not None:
            file.unlink(missing_ok=True)

    def renew(self) -> None:
        """Those that are a third over, or that a clock that was set has moved."""
        self.next = time.monotonic() + self._pause() if self._files else float("inf")
        now = time.time()
        if abs(now - self._renewed) < max(self._lease_s / 3 - self._pause(), 0.0):
            return
        self._renewed = now
        for file in self._files.values():
            with contextlib.suppress(OSError):
                self._until(file)

    def _pause(self) -> float:
        return min(self._lease_s / 3, LOOK_S)

    def _until(self, file: Path) -> None:
        now = time.time()
        os.utime(file, (now, now + self._lease_s))


def workers_of(folder: Path, backend: str) -> list[Leased]:
    """The workers that live, of all engines of the project. Files of those that ended are removed."""
    found = []
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            until_ms = int(file.stat().st_mtime * 1000)
            held = msgspec.json.decode(file.read_bytes(), type=_Held)
        except (OSError, msgspec.DecodeError):
            continue
        if _born(held.pid) != held.born:
            file.unlink(missing_ok=True)
            continue
        note = f"{held.name} of engine process {held.engine}"
        found.append(Leased(backend=backend, kind="worker", id=str(held.pid), until_ms=until_ms, note=note))
    return found


def end_workers(folder: Path, leased: Sequence[Leased]) -> None:
    """Kill them with all they started, and wait until they are gone."""
    files = [folder / f"{one.id}.json" for one in leased]
    alive = [held for file in files if (held := _read(file)) is not None and _born(held.pid) == held.born]
    for held in alive:
        children = descendants(held.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(held.pid, signal.SIGKILL)
        kill_all([held.pid, *children])
    deadline = time.monotonic() + _GONE_S
    while any(_born(held.pid) == held.born for held in alive) and time.monotonic() < deadline:
        time.sleep(0.01)
    for file in files:
        file.unlink(missing_ok=True)


def _read(file: Path) -> _Held | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Held)
    except (OSError, msgspec.DecodeError):
        return None


def _born(pid: int) -> str:
    """Empty once it has ended, also while nobody has asked how."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else _born_elsewhere(pid)
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _born_elsewhere(pid: int) -> str:
    """On systems without /proc."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return str(process.create_time())
    return ""
