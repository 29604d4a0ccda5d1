"""A supervisor as a process of this machine: started apart from the engine, found again, ended with all it started."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

from skylift.compute.attempts.folders import AttemptFolder
from skylift.compute.worker.solo_files import CRASH
from skylift.compute.worker.solo_supervisor import started_at

_PROGRAM = "import sys; from skylift.compute.worker.solo import main; main(sys.argv[1])"
_STEP_S = 0.01


def start(folder: AttemptFolder, env: Mapping[str, str], *, command: Sequence[str] | None = None) -> int:
    """Its process number. It is our child, in a session of its own, and lives on when we end; its environment is `env`.
    `command`: what runs the program (an interpreter with its options), if not this interpreter. Raises OSError."""
    words = [*(command or (sys.executable, "-P")), "-c", _PROGRAM, str(folder.path)]
    crash = str(folder.path / CRASH)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, crash, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
    ]
    return os.posix_spawnp(words[0], words, dict(env), file_actions=actions, setsid=True)


def process_of(folder: AttemptFolder) -> int | None:
    """The supervisor's process number, whoever started it; None once it is gone."""
    known = folder.process
    if known is None:
        return None
    pid, started = known
    return pid if started_at(pid) == started and folder.alive else None


def cancel(folder: AttemptFolder) -> None:
    """Ask for its end, also where its supervisor cannot hear (on another machine's file system there are no pipes)."""
    folder.ask_to_stop()
    pid = process_of(folder)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)


def warn(folder: AttemptFolder) -> None:
    """The machine is about to be taken away."""
    pid = process_of(folder)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def kill(folder: AttemptFolder) -> None:
    """End it now, with everything in its session and all that descends from it, as the loss of a machine would."""
    pid = process_of(folder)
    if pid is not None:
        kill_tree(pid)


def kill_tree(pid: int) -> None:
    """A process that leads its session, what is in that session, and all that descends from it."""
    found = _descendants(pid)
    for number in (pid, *found, *_session(pid)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(number, signal.SIGKILL)


def end(folders: Iterable[AttemptFolder], *, patience_s: float = 5.0) -> None:
    """Cancel these, and wait until they are gone; what does not go in time is killed."""
    waiting = list(folders)
    for folder in waiting:
        cancel(folder)
    deadline = time.monotonic() + patience_s
    while waiting := [folder for folder in waiting if folder.alive]:
        if time.monotonic() >= deadline:
            for folder in waiting:
                kill(folder)
        time.sleep(_STEP_S)


def reap(pid: int) -> int | None:
    """The wait status of a child of ours that has ended; None while it runs or if it was never ours."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return status if found else None


def _descendants(pid: int) -> list[int]:
    import psutil  # type: ignore[import-untyped, unused-ignore]

    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def _session(leader: int) -> list[int]:
    """All processes of a session."""
    import psutil

    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == leader:
                found.append(pid)
    return found
