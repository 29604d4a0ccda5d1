"""Spot traces: when a machine could be had, as somebody recorded it. Read from files, never shipped."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from skylift.errors import SetupError

KINDS = ("availability", "preemption")
LONGEST_TICK_S = 86_400
"""A market that was looked at less than once a day tells nothing about hours; more often the unit is wrong."""
KNOWN = '{"traces": {NAME: {"first", "runs", …}}} and {"metadata": {"gap_seconds": …}, "data": [0, 1, …]}'
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


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a file or a folder."""

    traces: dict[str, Trace]
    others: list[Path]
    """JSON files of a folder that hold something else."""


def read_traces(place: Path) -> dict[str, Trace]:
    """All traces of a file, or of the JSON files in a folder and those below it. Raises TraceInvalid."""
    return read_place(place).traces


def read_place(place: Path) -> Place:
    """The same, and what was left out: in a folder a JSON file may be about something else. Raises TraceInvalid."""
    if not place.exists():
        raise TraceInvalid(
            f"there are no spot traces at {place}", hint="name a JSON file of traces, or a folder of them"
        )
    folder = place.is_dir()
    found = Place(traces={}, others=[])
    owner: dict[str, Path] = {}
    for path in sorted(path for path in place.rglob("*.json") if path.is_file()) if folder else [place]:
        content = _parsed(path)
        if folder and not _has_traces(content):
            found.others.append(path)
            continue
        name = str(path.relative_to(place).with_suffix("")) if folder else path.stem
        for key, trace in _traces(path, name, content).items():
            if key in owner:
                raise TraceInvalid(
                    f"two traces are named {key}: one in {owner[key]}, one in {path}",
                    hint="name one of the files instead of the folder, or give one of the traces another name",
                )
            found.traces[key], owner[key] = trace, path
    if not found.traces:
        raise TraceInvalid(f"there are no spot traces in {place}", hint=f"traces are files that end in .json: {KNOWN}")
    return found


def some(names: Sequence[str]) -> str:
    """The first few of them, and how many more."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _has_traces(content: Any) -> bool:
    return isinstance(content, dict) and (isinstance(content.get("traces"), dict) or "data" in content)


def _traces(path: Path, name: str, content: Any) -> dict[str, Trace]:
    if not _has_traces(content):
        raise TraceInvalid(f"{path} holds no spot traces", hint=f"known: {KNOWN}")
    if isinstance(content.get("traces"), dict):
        return {key: _encoded(path, key, value) for key, value in content["traces"].items()}
    return {name: _published(path, name, content)}


def _parsed(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
        if len(raw) > LARGEST_BYTES:
            raise TraceInvalid(f"{path} has more than {LARGEST_BYTES >> 20} MiB: no file of spot traces is that large")
        return json.loads(raw)
    except RecursionError:
        raise TraceInvalid(f"{path} cannot be read: its JSON is nested too deeply") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise TraceInvalid(f"{path} cannot be read: {problem}", hint="traces are JSON files") from None
    except ValueError:
        raise TraceInvalid(f"{path} holds a number of thousands of digits: it is no file of spot traces") from None


def _encoded(path: Path, name: str, value: Any) -> Trace:
    """Run lengths, with the length of a tick beside them or in the summary."""
    if not isinstance(value, dict):
        raise TraceInvalid(f"{path}: {name} is {type(value).__name__}, not an object")
    summary = value.get("summary") if isinstance(value.get("summary"), dict) else {}
    gap = value.get("gap_seconds", summary.get("gap_seconds") if summary else None)
    runs: Any = value.get("runs")
    first, kind = value.get("first"), value.get("kind")
    wrong = _wrong("runs", runs, lambda run: type(run) is int and run > 0)
    if wrong is not None:
        raise TraceInvalid(
            f"{path}: {name}: runs must be whole numbers above 0: {wrong}",
            hint="each is how many ticks the market stays as it is before it changes",
        )
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
    wrong = _wrong("data", data, lambda value: value in (0, 1))
    if wrong is not None:
        raise TraceInvalid(
            f"{path}: data must be a list of 0 and 1: {wrong}", hint="a value a tick: 1 where spot is available"
        )
    runs = tuple(len(list(group)) for _, group in itertools.groupby(data))
    return Trace(name=name, gap_ms=_gap_ms(path, name, gap), first=bool(data[0]), runs=runs)


def _wrong(key: str, given: Any, right: Callable[[Any], bool]) -> str | None:
    """What is wrong with a list, and where in it."""
    if not isinstance(given, list) or not given:
        return f"{key} is {'missing' if given is None else 'empty' if given == [] else type(given).__name__}"
    number = next((number for number, value in enumerate(given) if not right(value)), None)
    return None if number is None else f"{key}[{number}] is {repr(given[number])[:40]}"


def _gap_ms(path: Path, name: str, gap: Any) -> int:
    if not isinstance(gap, (int, float)) or isinstance(gap, bool) or not 1 <= gap * 1000 < math.inf:
        raise TraceInvalid(
            f"{path}: {name}: gap_seconds is {gap!r}, not a number of seconds",
            hint='write for example "gap_seconds": 600',
        )
    if gap > LONGEST_TICK_S:
        raise TraceInvalid(
            f"{path}: {name}: gap_seconds is {gap!r}, more than a day between two looks at the market",
            hint='the unit is seconds: for ten minutes "gap_seconds": 600',
        )
    return round(gap * 1000)
