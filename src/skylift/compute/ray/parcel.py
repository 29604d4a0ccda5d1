"""What is sent to the nodes of a cluster that lack Skylift, or have another version of it."""

from __future__ import annotations

import importlib.metadata as metadata
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from skylift.version import VERSION


class Seen(NamedTuple):
    """What a node has."""

    version: str
    """Of Skylift; empty without one that can be imported."""
    missing: tuple[str, ...] = ()
    """Those of our requirements that it does not meet."""
    problem: str | None = None
    """Why it is of no use, with our version on it."""

    @property
    def lacks(self) -> bool:
        return self.version != VERSION or bool(self.missing)


def requirements() -> tuple[str, ...]:
    """What this package needs wherever it runs; its extras are the cluster's own matter."""
    return tuple(line for line in metadata.requires("skylift") or () if "extra ==" not in line)


def parcel_for(nodes: Collection[Seen]) -> dict[str, Any] | None:
    """Ray's `runtime_env` for all of them; None when each has what it needs.

    Packages are installed only where some are missing, for that needs an index and takes its time. With the code goes
    its metadata: environments of tasks are checked against what it asks for.
    """
    if not any(node.lacks for node in nodes):
        return None
    parcel: dict[str, Any] = {"py_modules": [str(folder) for folder in _ours()], "excludes": ["__pycache__", "*.pyc"]}
    missing = sorted({line for node in nodes for line in node.missing})
    return {**parcel, "uv": {"packages": missing}} if missing else parcel


def words_for(nodes: Collection[Seen]) -> str:
    """For people: what is sent, and why."""
    others = sorted({node.version or "none" for node in nodes if node.version != VERSION})
    missing = sorted({line for node in nodes for line in node.missing})
    why = [f"the cluster has skylift {', '.join(others)}"] if others else []
    why += [f"nodes lack {', '.join(missing)}"] if missing else []
    return f"{'; '.join(why)}: skylift {VERSION} is sent to its nodes"


def _ours() -> list[Path]:
    """The folder of the package, and that of its metadata."""
    found = metadata.distribution("skylift")
    told = next((file for file in found.files or () if file.name == "METADATA"), None)
    package = Path(__file__).resolve().parents[2]
    return [package] if told is None else [package, Path(str(found.locate_file(told))).resolve().parent]
