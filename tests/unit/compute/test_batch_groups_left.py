"""Control groups that killed machines leave are removed, and none in which something runs or may soon."""

from __future__ import annotations

import os
import time
from pathlib import Path

from skylift.compute.batch.groups_left import OLD_S, PREFIX, remove_whole, sweep_groups


def group(parent: Path, name: str, *, age_s: float = 2 * OLD_S) -> Path:
    path = parent / name
    path.mkdir(parents=True)
    made = time.time() - age_s
    os.utime(path, (made, made))
    return path


def test_old_empty_groups_of_machines_go_and_nothing_else(tmp_path: Path) -> None:
    group(tmp_path, f"{PREFIX}m-1")
    kept = [group(tmp_path, f"{PREFIX}m-2", age_s=1), group(tmp_path, "system.slice"), group(tmp_path, "skylift-7-8")]
    assert sweep_groups([tmp_path, tmp_path / "not there"]) == [f"{PREFIX}m-1"]
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_the_groups_of_workers_in_it_go_first(tmp_path: Path) -> None:
    left = group(tmp_path, f"{PREFIX}m-1/skylift-5-6")
    os.utime(left.parent, (1, 1))
    assert sweep_groups([tmp_path]) == [f"{PREFIX}m-1"]


def test_a_group_in_which_something_runs_is_left_whole(tmp_path: Path) -> None:
    busy = group(tmp_path, f"{PREFIX}m-1")
    (busy / "cgroup.procs").write_text("4711\n")
    worker = group(busy, "skylift-5-6")
    assert not remove_whole(busy) and worker.exists()


def test_what_is_gone_already_is_no_error(tmp_path: Path) -> None:
    assert remove_whole(tmp_path / "gone")
