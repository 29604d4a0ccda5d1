"""Runs what a job is bound to, a command or a Python handler, as a process of its own, and tells how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from skylift.compute.process.tree import descendants
from skylift.compute.worker.current import Preempted, attempt
from skylift.errors import SetupError

_LOOK_S = 0.2
_GRACE_S = 5.0


class Exit(msgspec.Struct, frozen=True):
    """How a program ended, as containers report it: 128 + signal for one that was killed."""

    code: int
    started_ms: int
    stopped_ms: int
    timed_out: bool = False


def handler_command(handler: str) -> list[str]:
    """The command that calls `module:function` with the job's parameters; its exit status says how that went."""
    return [sys.executable, "-m", "skylift.compute.jobs.handler", handler]


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    timeout_s: float | None = None,
    grace_s: float = _GRACE_S,
    cwd: str | None = None,
) -> Exit:
    """Run it to its end, output where ours goes. It stays in our process group, so that whatever ends this worker ends
    it too. After `timeout_s` it is sent SIGTERM, and `grace_s` later SIGKILL.

    When the machine is about to be taken away it is sent SIGTERM and has until then; however it ends after that, its
    work is not known to be done: raises Preempted. Raises SetupError when there is no such program.
    """
    started_ms = int(time.time() * 1000)
    process = _started(command, env, cwd)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    timed_out = warned = False
    with _held(process):
        while process.poll() is None:
            if not warned and _is_warned():
                warned = True
                _signal(process, signal.SIGTERM)
            if deadline is not None and time.monotonic() > deadline:
                timed_out = True
                _end(process, grace_s)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
    code = process.returncode
    if warned:
        raise Preempted("its machine is about to be taken away: its program was told, and has ended")
    return Exit(128 - code if code < 0 else code, started_ms, int(time.time() * 1000), timed_out)


def end_all() -> None:
    """End every program that runs here: the attempt is stopped."""
    for process in list(_running):
        _end(process)


_running: set[subprocess.Popen[bytes]] = set()


def _started(command: Sequence[str], env: Mapping[str, str], cwd: str | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env={**os.environ, **env}, cwd=cwd)
    except OSError as problem:
        raise SetupError(
            f"the job's program {command[0]!r} cannot be started: {problem.strerror or problem}",
            hint="check its binding under [jobs] in skylift.toml",
        ) from problem


@contextlib.contextmanager
def _held(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """While it runs it is known; if this attempt is stopped, so is the program."""
    _running.add(process)
    try:
        yield
    except BaseException:
        _end(process)
        raise
    finally:
        _running.discard(process)


def _is_warned() -> bool:
    now = attempt()
    return now is not None and now.warned is not None


def _end(process: subprocess.Popen[bytes], grace_s: float = _GRACE_S) -> None:
    _signal(process, signal.SIGTERM)
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To it and to what it has started."""
    if process.poll() is not None:
        return
    for pid in (*descendants(process.pid), process.pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
