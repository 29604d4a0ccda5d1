"""Spot traces: when a machine could be had, as somebody recorded it. Read from files, never shipped."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from skylift.errors import SetupError

KINDS = ("availability", "preemption")
LARGEST_BYTES = 64 * 1024**2
"""Of a file: a year in steps of ten seconds is a seventh of that."""


class TraceInvalid(SetupError):
    """A file of spot traces that cannot be used, or a trace that is not in it."""

    code = "TRACE"


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of ticks, alternating between up and down."""

    name: str
    gap_ms: int
    first: bool
    runs: tuple[int, ...]
    kind: str | None = None
    """What up means: a machine could be had (availability), or the one that was held ran (preemption)."""

    @property
    def length_ms(self) -> int:
        return sum(self.runs) * self.gap_ms


def read_traces(place: Path) -> dict[str, Trace]:
    """All traces of a file, or of the JSON files in a folder and those below it. Raises TraceInvalid."""
    if not place.exists():
        raise TraceInvalid(
            f"there are no spot traces at {place}", hint="name a JSON file of traces, or a folder of them"
        )
    paths = sorted(place.rglob("*.json")) if place.is_dir() else [place]
    found: dict[str, Trace] = {}
    for path in paths:
        name = str(path.relative_to(place).with_suffix("")) if place.is_dir() else path.stem
        found.update(_read_file(path, name))
    if not found:
        raise TraceInvalid(f"there are no spot traces in {place}", hint="traces are files that end in .json")
    return found


def some(names: Sequence[str]) -> str:
    """The first few of them, and how many more."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _read_file(path: Path, name: str) -> dict[str, Trace]:
    content = _parsed(path)
    if isinstance(content, dict) and isinstance(content.get("traces"), dict):
        return {key: _encoded(path, key, value) for key, value in content["traces"].items()}
    if isinstance(content, dict) and "data" in content:
        return {name: _published(path, name, content)}
    raise TraceInvalid(
        f"{path} holds no spot traces",
        hint='known: {"traces": {NAME: {"first", "runs", …}}} and {"metadata": {"gap_seconds": …}, "data": [0, 1, …]}',
    )


def _parsed(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
        if len(raw) > LARGEST_BYTES:
            raise TraceInvalid(f"{path} has more than {LARGEST_BYTES >> 20} MiB: no file of spot traces is that large")
        return json.loads(raw)
    except RecursionError:
        raise TraceInvalid(f"{path} cannot be read: its JSON is nested too deeply") from None
    except (OSError, ValueError) as problem:
        raise TraceInvalid(f"{path} cannot be read: {problem}") from None


def _encoded(path: Path, name: str, value: Any) -> Trace:
    """Run lengths, with the length of a tick beside them or in the summary."""
    if not isinstance(value, dict):
        raise TraceInvalid(f"{path}: {name} is {type(value).__name__}, not an object")
    summary = value.get("summary") if isinstance(value.get("summary"), dict) else {}
    gap = value.get("gap_seconds", summary.get("gap_seconds") if summary else None)
    runs, first, kind = value.get("runs"), value.get("first"), value.get("kind")
    if not isinstance(runs, list) or not all(type(run) is int and run > 0 for run in runs) or not runs:
        raise TraceInvalid(f"{path}: {name}: runs must be whole numbers above 0")
    if first not in (0, 1):
        raise TraceInvalid(f"{path}: {name}: first is {first!r}, not 0 or 1")
    if kind is not None and kind not in KINDS:
        raise TraceInvalid(f"{path}: {name}: kind is {kind!r}, not one of {', '.join(KINDS)}")
    return Trace(name=name, gap_ms=_gap_ms(path, name, gap), first=bool(first), runs=tuple(runs), kind=kind)


def _published(path: Path, name: str, content: dict[str, Any]) -> Trace:
    """One value a tick, as the published traces have it."""
    metadata = content.get("metadata")
    gap = metadata.get("gap_seconds") if isinstance(metadata, dict) else None
    data = content["data"]
    if not isinstance(data, list) or not data or not all(value in (0, 1) for value in data):
        raise TraceInvalid(f"{path}: data must be a list of 0 and 1")
    runs = tuple(len(list(group)) for _, group in itertools.groupby(data))
    return Trace(name=name, gap_ms=_gap_ms(path, name, gap), first=bool(data[0]), runs=runs)


def _gap_ms(path: Path, name: str, gap: Any) -> int:
    if not isinstance(gap, (int, float)) or isinstance(gap, bool) or not 1 <= gap * 1000 < math.inf:
        raise TraceInvalid(f"{path}: {name}: gap_seconds is {gap!r}, not a number of seconds")
    return round(gap * 1000)
