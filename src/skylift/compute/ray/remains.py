"""What a cluster started here consists of, as the system itself tells, whether or not its keeper lives.

The folder that Ray keeps its files in holds the name of its keeper and of the project, and every process of the cluster
has that folder in its environment, or a file in it open. So whoever looks finds them, also after the keeper was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

_OWNER = "skylift.json"
_PREFIX = "skylift-ray-"
_VARIABLE = "RAY_TMPDIR"
_GONE_S = 10.0


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Lies in the cluster's temporary folder."""

    folder: str
    """Where the project keeps what it knows of its cluster, and the leases."""
    pid: int
    """Of the keeper."""
    started: float


def make_temp(folder: Path) -> Path:
    """A temporary folder for a cluster that the calling process keeps."""
    temp = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_root()))
    owner = Owner(folder=str(folder.resolve()), pid=os.getpid(), started=born(os.getpid()))
    beside = temp / f"{_OWNER}.new"
    beside.write_bytes(msgspec.json.encode(owner))
    beside.rename(temp / _OWNER)
    return temp


def left_behind(folder: Path) -> list[Path]:
    """Temporary folders of this project's clusters whose keeper is no more."""
    wanted = str(folder.resolve())
    return [
        temp
        for temp in sorted(_root().glob(f"{_PREFIX}*"))
        if (owner := _owner(temp)) is not None and owner.folder == wanted and not alive(owner.pid, owner.started)
    ]


def processes_of(temp: Path) -> list[Any]:
    """Those that live and belong to the cluster, as psutil sees them: by their time of creation too."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    found: dict[int, Any] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and _is_of(process, str(temp)):
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    found.pop(os.getpid(), None)
    return [process for process in found.values() if _lives(process)]


def _is_of(process: Any, temp: str) -> bool:
    """By its environment; Ray's workers write a title over theirs, but keep a log open."""
    if process.environ().get(_VARIABLE) == temp:
        return True
    title = (process.cmdline() or [""])[0]
    return title.startswith("ray::") and any(file.path.startswith(f"{temp}/") for file in process.open_files())


def _lives(process: Any) -> bool:
    import psutil

    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def end_remains(temp: Path, known: Iterable[Any] = ()) -> None:
    """Kill them all, and what they start meanwhile; then the folder goes.

    There is nothing to be drained or saved, which is what Ray would take seconds for. `known` are processes of the
    cluster that may not say so themselves.
    """
    kill_processes(temp, known)
    shutil.rmtree(temp, ignore_errors=True)


def kill_processes(temp: Path, known: Iterable[Any] = ()) -> None:
    until = time.monotonic() + _GONE_S
    living = {process.pid: process for process in [*known, *processes_of(temp)]}
    while living and time.monotonic() < until:
        _kill(list(living.values()))
        living = {process.pid: process for process in processes_of(temp)}


def _kill(processes: list[Any]) -> None:
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=5.0)


def _owner(temp: Path) -> Owner | None:
    try:
        if temp.stat().st_uid != os.getuid():
            return None
        return msgspec.json.decode((temp / _OWNER).read_bytes(), type=Owner)
    except (OSError, msgspec.MsgspecError):
        return None


def _root() -> Path:
    """Paths of Unix sockets are short, and Ray puts long ones into this folder."""
    return Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir())


def born(pid: int) -> float:
    """When the process was created, as the system tells."""
    import psutil

    return float(psutil.Process(pid).create_time())


def alive(pid: int, started: float) -> bool:
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - started) < 1.0) and process.status() != psutil.STATUS_ZOMBIE
    return False
