"""Where checkpoints lie: beside the artifacts, in a folder for each run and visit of a step."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

NAME = "checkpoints"
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def beside(blobs: str) -> str:
    """Where the checkpoints of a project are whose artifacts are at `blobs`, a path or URL. Artifacts never change and
    checkpoints do, so they are kept apart."""
    if "://" in blobs and not blobs.startswith("file://"):
        return joined(blobs, NAME)
    path = blobs.removeprefix("file://").partition("?")[0] if blobs.startswith("file://") else blobs
    return str(Path(path).absolute().parent / NAME)


def run_folder(location: str, run_id: str) -> str:
    """All checkpoints of a run."""
    return joined(location, _safe(run_id))


def folder_of(location: str, run_id: str, visit: str, key: str | None = None) -> str:
    """The checkpoints of one visit of a step, or those under a name that the steps of a run share."""
    return joined(run_folder(location, run_id), _safe(visit) if key is None else f"key-{_safe(key)}")


def joined(location: str, name: str) -> str:
    return f"{location.rstrip('/')}/{name}"


def _safe(name: str) -> str:
    """A name that is one part of any path or URL; what would not be goes by its digest."""
    if _PLAIN.fullmatch(name):
        return name
    return f"sha256-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
