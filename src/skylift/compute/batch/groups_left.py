"""Empty control groups of machines that nobody looks after any more: killed ones, and those of a deleted project."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

PREFIX = "skylift-machine-"
OLD_S = 600.0
"""A group younger than that may belong to a machine that is just being started."""


def sweep_groups(parents: Iterable[Path]) -> list[str]:
    """Remove those directly below `parents` that are old and in which nothing runs; their names. The kernel keeps what
    is in use, whatever is asked for here."""
    oldest = time.time() - OLD_S
    removed = []
    for parent in parents:
        with contextlib.suppress(OSError), os.scandir(parent) as entries:
            found = [Path(entry) for entry in entries if entry.name.startswith(PREFIX) and _made(entry) < oldest]
            removed += [group.name for group in found if remove_whole(group)]
    return removed


def remove_whole(group: Path) -> bool:
    """With the groups of the workers that ran in it; whether it is gone. Nothing is touched while something runs."""
    if _occupied(group):
        return False
    with contextlib.suppress(OSError), os.scandir(group) as entries:
        for entry in [entry for entry in entries if entry.is_dir(follow_symlinks=False)]:
            remove_whole(Path(entry))
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _occupied(group: Path) -> bool:
    try:
        return bool((group / "cgroup.procs").read_text().strip())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _made(entry: os.DirEntry[str]) -> float:
    """The kernel may say a later time, never an earlier one."""
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return float("inf")
