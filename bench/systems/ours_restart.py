"""Many runs in flight, everything killed, a new process: how long until each of them has moved.

python ours_restart.py restart=1000
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from measuring import tell
from ours_gated import gated

from skylift.asl.events import TaskSucceeded
from skylift.engine.observe import Progress
from skylift.sdk.handles import default_runtime

GATE = Path(os.environ["BENCH_FOLDER"]) / "gate"


def main() -> None:
    word, _, size = sys.argv[1].partition("=")
    if word == "prepare":
        prepare(int(size))
    elif word == "go-on":
        go_on(int(size))
    else:
        tell(word, int(size), measure(size))


def measure(size: str) -> float:
    GATE.unlink(missing_ok=True)
    shutil.rmtree(os.environ["SKYLIFT_HOME"], ignore_errors=True)
    first = start(f"prepare={size}")
    assert first.stdout is not None
    if first.stdout.readline() != b"ready\n":
        raise AssertionError("the runs could not be started")
    kill(first)
    GATE.touch()
    started = time.time()
    second = start(f"go-on={size}")
    told, _ = second.communicate(timeout=120)
    if second.returncode != 0:
        raise AssertionError(f"exit status {second.returncode}")
    return float(told.split()[-1]) - started


def start(word: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, word], stdout=subprocess.PIPE)


def kill(process: subprocess.Popen[bytes]) -> None:
    """The engine and all its workers at once, as when a machine dies."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(family, timeout=10)


def prepare(n: int) -> None:
    for x in range(n):
        gated.start(x=x)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    time.sleep(3600)


def go_on(n: int) -> None:
    """Take the runs over, and print the time at which the last of them has recorded something new."""
    runtime = default_runtime()
    moved: set[str] = set()
    done = threading.Event()

    def note(progress: Progress) -> None:
        if type(progress.entry.event) is TaskSucceeded:
            moved.add(progress.record.run_id)
        if len(moved) == n:
            done.set()

    runtime.engine.subscribe(None, note)
    taken = runtime.engine.recover()
    if len(taken) != n:
        raise AssertionError(f"{len(taken)} runs were taken over, not {n}")
    if not done.wait(100):
        raise AssertionError(f"only {len(moved)} of {n} runs moved")
    sys.stdout.write(f"{time.time()!r}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
