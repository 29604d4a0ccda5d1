"""What belongs to a cluster whose keeper was killed, and its end. No Ray in here: other processes stand for its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from skylift.compute.ray.remains import born, end_remains, left_behind, make_temp, processes_of
from skylift.testing.backend_harness import until

KEEPER = """
import os, signal, subprocess, sys, time
from pathlib import Path
from skylift.compute.ray.keeper import Second
from skylift.compute.ray.remains import make_temp

temp = make_temp(Path(sys.argv[1]))
second = Second(temp)
there = subprocess.Popen(["sleep", "600"], env={**os.environ, "RAY_TMPDIR": str(temp)}, start_new_session=True)
if sys.argv[2] == "alone":
    second.dismiss()
print(temp, there.pid, flush=True)
time.sleep(600)
"""


def _killed_keeper(folder: Path, how: str) -> tuple[Path, psutil.Process]:
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, str(folder), how], stdout=subprocess.PIPE, text=True)
    assert keeper.stdout is not None
    with keeper.stdout:
        temp, pid = keeper.stdout.readline().split()
    kept = psutil.Process(int(pid))
    assert left_behind(folder) == [] and [one.pid for one in processes_of(Path(temp))] == [kept.pid]
    keeper.kill()
    keeper.wait()
    return Path(temp), kept


def _gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_keepers_fork_ends_what_a_killed_keeper_leaves(tmp_path: Path) -> None:
    temp, kept = _killed_keeper(tmp_path, "with its second")
    until(lambda: _gone(kept) and not temp.exists())
    assert left_behind(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_without_the_fork_it_is_found_by_its_project_and_ended(tmp_path: Path) -> None:
    temp, kept = _killed_keeper(tmp_path, "alone")
    assert left_behind(tmp_path) == [temp] and left_behind(tmp_path / "another") == []
    assert not _gone(kept)
    end_remains(temp)
    assert _gone(kept) and left_behind(tmp_path) == [] and not temp.exists()


def test_what_belongs_to_a_keeper_that_lives_is_not_left_behind(tmp_path: Path) -> None:
    temp = make_temp(tmp_path)
    assert left_behind(tmp_path) == [] and processes_of(temp) == []
    assert born(os.getpid()) == psutil.Process().create_time()
    end_remains(temp)
    assert not temp.exists()
