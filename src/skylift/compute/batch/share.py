"""A share of this box: its processors and memory kept by control groups where we may make them, its GPUs by number."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from skylift.compute.batch.groups_left import remove_whole
from skylift.compute.process.cgroups import Cgroup, Cgroups, own_group
from skylift.compute.process.machine import Machine

_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Machine):
    """`gpus` are those of the whole box, so that device numbers are the box's own."""

    ours: tuple[int, ...] = ()

    def devices(self, wanted: str) -> list[int]:
        model = wanted.partition(":")[0]
        return [number for number in self.ours if model.isdigit() or model.lower() in self.gpus[number].lower()]


def make_group(name: str, memory_mib: int) -> Cgroup | None:
    """A control group with this limit; None where we may not."""
    groups = Cgroups.here()
    if groups is None:
        return None
    try:
        group = groups.make(name)
    except OSError:
        return None
    try:
        group.limit(memory_mib)
    except OSError:
        group.remove()
        return None
    return group


def enter_group(path: str, name: str, vcpus: float) -> list[Path]:
    """This process, and all it will start, belongs to the memory group `path` from now on, and gets no more than
    `vcpus` processors where we may say so. The folders of all groups that were made for it."""
    folders = [Path(path)]
    cpu_folders = list(_cpu_folders(path, name))
    with contextlib.suppress(OSError):
        (Path(path) / "cgroup.procs").write_text(str(os.getpid()))
    for folder in cpu_folders:
        with contextlib.suppress(OSError):
            _limit_cpu(folder, vcpus)
            (folder / "cgroup.procs").write_text(str(os.getpid()))
            folders.append(folder)
            break
    return folders


def leave_groups(folders: Sequence[Path]) -> None:
    """This process goes back to where they were made, and they are removed: nobody else may be left who would."""
    for folder in folders:
        with contextlib.suppress(OSError):
            (folder.parent / "cgroup.procs").write_text(str(os.getpid()))
        remove_whole(folder)


def remove_group(path: str, name: str) -> bool:
    """Whether they are gone: what still runs in them, after a kill, may take its time."""
    gone = [remove_whole(folder) for folder in (Path(path), *_cpu_folders(path, name))]
    return all(gone)


def group_parents() -> set[Path]:
    """Where groups of machines are made by this process."""
    memory, cpu = own_group(), _own_cpu_group()
    return {folder for folder in (None if memory is None else memory[0], cpu) if folder is not None}


def _cpu_folders(path: str, name: str) -> Iterator[Path]:
    """Where processors are limited: in the same folder (version 2), or in a hierarchy of its own (version 1)."""
    if (Path(path) / "cpu.max").exists():
        yield Path(path)
    own = _own_cpu_group()
    if own is not None:
        yield own / name


def _own_cpu_group() -> Path | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "cpu" in controllers.split(","):
                root = Path("/sys/fs/cgroup") / controllers
                folder = root / path.lstrip("/")
                return folder if folder.is_dir() else root if root.is_dir() else None
    return None


def _limit_cpu(folder: Path, vcpus: float) -> None:
    quota = max(1_000, int(vcpus * _PERIOD_US))
    if (folder / "cpu.max").exists():
        (folder / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        return
    folder.mkdir(exist_ok=True)
    (folder / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
    (folder / "cpu.cfs_quota_us").write_text(str(quota))
