"""Functions that the tests of attempts have supervisors run, besides those of the conformance suite."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from skylift.compute.worker.current import warned


def with_children(folder: str) -> None:
    """Starts a child in its group, and one that goes away from it; both say who they are, and sleep."""
    program = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    for name, apart in (("near", False), ("far", True)):
        draft = Path(folder) / f"{name}.draft"
        process = subprocess.Popen([sys.executable, "-c", program, str(draft)], start_new_session=apart)
        while not draft.exists() or draft.read_text() != str(process.pid):
            time.sleep(0.01)
        draft.rename(Path(folder) / name)
    time.sleep(600)


def until_warned(mark: str) -> float:
    """How long is left once it is warned. A warning before `mark` is there may not be heard."""
    return _left(mark)


def die_when_warned(mark: str) -> None:
    _left(mark)
    os.kill(os.getpid(), 9)


def nap_until(mark: str) -> str:
    """Sleeps until it is there."""
    while not Path(mark).exists():
        time.sleep(0.01)
    return "woken"


def _left(mark: str) -> float:
    Path(mark).touch()
    while (left := warned()) is None:
        time.sleep(0.01)
    return left
