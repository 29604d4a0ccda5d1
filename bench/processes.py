"""One measured process: started, watched, and ended with everything it has started."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line that a script has told: seconds, or in what its work is measured."""

    work: str
    size: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of a process."""

    figures: tuple[Figure, ...]
    problem: str | None
    """None when all went well."""


def adopt_orphans() -> None:
    """Daemons that a peer leaves behind become children of this process, so that it can end them. Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(command: Sequence[str], env: Mapping[str, str], folder: Path, timeout_s: float) -> Ended:
    """Run to its end; the figures it told, also where it failed after some."""
    told, log = folder / "told.jsonl", folder / "log.txt"
    before = {child.pid for child in _descendants(os.getpid())}
    with told.open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        problem = _end_of(process, timeout_s)
        end_all(process, before)
    if problem is not None and not problem.startswith("took"):
        problem = f"{problem}: {_last_line(log)}"
    return Ended(figures=tuple(_figures(told)), problem=problem)


def run_until_stamped(command: Sequence[str], env: Mapping[str, str], folder: Path, timeout_s: float) -> Ended:
    """Seconds from just before the start of the process to the time that its first step has written down."""
    stamp = folder / "stamp"
    stamp.unlink(missing_ok=True)
    started = time.time()
    ended = run(command, {**env, "BENCH_STAMP": str(stamp)}, folder, timeout_s)
    if not stamp.exists():
        return Ended(figures=(), problem=ended.problem or "ended before its first step was done")
    took = float(stamp.read_text()) - started
    return Ended(figures=(Figure(work="cold", size=1, value=took),), problem=None)


def time_once(command: Sequence[str], env: Mapping[str, str], folder: Path) -> float:
    """Seconds that a short command takes."""
    started = time.perf_counter()
    subprocess.run(command, env=env, cwd=folder, check=True, capture_output=True, timeout=120)
    return time.perf_counter() - started


def end_all(process: subprocess.Popen[bytes], before: Collection[int] = ()) -> None:
    """Kill the process and all that has come from it: its descendants, and orphans that were not there `before`."""
    left = _descendants(process.pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    left += [child for child in _descendants(os.getpid()) if child.pid not in before]
    for child in left:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()
    psutil.wait_procs(left, timeout=5)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _end_of(process: subprocess.Popen[bytes], timeout_s: float) -> str | None:
    try:
        status = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return f"took longer than {timeout_s:.0f} s"
    return None if status == 0 else f"exit status {status}"


def _figures(told: Path) -> list[Figure]:
    """Lines of ours; a system may print others between them."""
    figures = []
    for line in told.read_text(errors="replace").splitlines():
        if line.startswith('{"work":'):
            given = json.loads(line)
            figures.append(Figure(work=given["work"], size=given["size"], value=given["value"]))
    return figures


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"
