"""Where checkpoints lie: beside the artifacts, by run and visit."""

from __future__ import annotations

from pathlib import Path

NAME = "checkpoints"


def beside(blobs: str) -> str:
    """Where the checkpoints of a project are whose artifacts are at `blobs`, a path or URL. Artifacts never change and
    checkpoints do, so they are kept apart."""
    if "://" in blobs and not blobs.startswith("file://"):
        return f"{blobs.rstrip('/')}/{NAME}"
    path = blobs.removeprefix("file://").partition("?")[0] if blobs.startswith("file://") else blobs
    return str(Path(path).absolute().parent / NAME)
