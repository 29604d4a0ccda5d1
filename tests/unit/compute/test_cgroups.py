"""Control groups of version 2, on a folder that looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from skylift.compute.process.cgroups import Cgroup, Cgroups
from skylift.compute.process.memory import Guarded, MemoryGuard


@pytest.fixture
def group(tmp_path: Path) -> Cgroup:
    (tmp_path / "memory.max").write_text("max")
    (tmp_path / "memory.current").write_text(str(5 << 20))
    (tmp_path / "memory.peak").write_text(str(7 << 20))
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\n")
    return Cgroup(tmp_path, 2)


def test_version_2_files(group: Cgroup) -> None:
    group.limit(100)
    assert (group.path / "memory.max").read_text() == str(100 << 20)
    group.limit(None)
    assert (group.path / "memory.max").read_text() == "max"
    assert (group.usage_mib(), group.peak_mib()) == (5.0, 7.0)


def test_a_kill_is_told_once(group: Cgroup) -> None:
    assert not group.killed()
    (group.path / "memory.events").write_text("oom 2\noom_kill 1\n")
    assert group.killed()
    assert not group.killed()


def test_a_folder_without_the_controller_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Cgroups(tmp_path, 2).make("x")
    assert not (tmp_path / "x").exists()


def test_without_groups_memory_is_watched() -> None:
    import os

    guard, guarded = MemoryGuard("watch"), Guarded(os.getpid())
    assert guard.begin(guarded, 1)
    assert guarded.over(1.0)
    assert guarded.peak_mib > 1
    guard.end(guarded)
    assert not guarded.over(2.0)
