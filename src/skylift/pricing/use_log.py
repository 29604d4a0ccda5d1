"""Reads logs of a machine's use: lines of JSON, as `skylift waste record` writes them, or CSV with a head. Says what in
them cannot be used; never guesses it. Pure."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Any

import msgspec

from skylift.errors import SetupError

GAP_FACTOR = 5
"""Lines that lie this much further apart than usual: the machine was off, or nobody kept the log."""
MOST_BAD = 5
"""Lines that are named."""
_AT = ("at", "time", "timestamp", "date")
_CPU = ("cpu", "cpu_percent", "cpu_pct", "cpu_util")
_GPU = ("gpu", "gpu_percent", "gpu_pct", "gpu_util")
_MEMORY = ("memory_mib", "mem_mib", "memory_mb")
_MEMORY_PERCENT = ("memory", "memory_percent", "mem", "mem_percent", "memory_pct")


class UseLogInvalid(SetupError):
    """A log of which nothing can be used."""

    code = "USE-LOG"


class Sample(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """The use of a machine at a moment, and since the sample before."""

    at_ms: int
    cpu: float
    """Percent of all processors."""
    gpu: float | None = None
    memory_mib: float | None = None
    memory_percent: float | None = None


class UseLog(msgspec.Struct, frozen=True, kw_only=True):
    """Samples in order, each once."""

    samples: tuple[Sample, ...]
    interval_ms: int
    """How far apart they usually are."""
    gaps_ms: tuple[tuple[int, int], ...] = ()
    """Begin and length of times of which nothing is known."""
    bad: tuple[str, ...] = ()
    """Lines that cannot be used, and why: the first of them."""
    bad_count: int = 0
    unordered: int = 0
    """Lines older than the one before."""
    repeated: int = 0
    """Lines of a moment that another line tells of; the last one counts."""

    @property
    def covered_ms(self) -> int:
        """How much time the samples tell of."""
        return sum(self.lengths)

    @property
    def lengths(self) -> list[int]:
        """How long each sample stands for: since the one before, behind a gap for the usual time."""
        times = [sample.at_ms for sample in self.samples]
        steps = [self.interval_ms, *(after - before for before, after in pairwise(times))]
        return [step if step <= GAP_FACTOR * self.interval_ms else self.interval_ms for step in steps]


def read_log(lines: Iterable[str], name: str = "the log") -> UseLog:
    """Raises UseLogInvalid for a log without a line that can be used."""
    samples, bad, head = [], [], None
    for number, line in enumerate(lines, 1):
        text = line.strip().lstrip("\ufeff")
        if not text or text.startswith("#"):
            continue
        if not text.startswith("{") and (head is None or _is_head(text)):
            head = [cell.strip().lower() for cell in next(csv.reader([text]))]
            if not _is_head(text):
                bad.append(f"line {number}: neither JSON nor the head of a CSV with a time and cpu: {text[:60]!r}")
                head = None
            continue
        try:
            samples.append(_sample(_row(text, head)))
        except (ValueError, TypeError, OverflowError, RecursionError) as problem:
            bad.append(f"line {number}: {str(problem)[:120]}")
    if not samples:
        first = f"; {bad[0]}" if bad else ""
        raise UseLogInvalid(
            f"{name} has no line that can be used{first}",
            hint='write one with: skylift waste record --log FILE; or a CSV with the head "time,cpu,gpu,memory_mib"',
        )
    return _log(samples, bad)


def _log(samples: list[Sample], bad: list[str]) -> UseLog:
    unordered = sum(after.at_ms < before.at_ms for before, after in pairwise(samples))
    each = {sample.at_ms: sample for sample in samples}
    ordered = tuple(each[at_ms] for at_ms in sorted(each))
    times = list(each) if len(each) < 2 else [sample.at_ms for sample in ordered]
    steps = [after - before for before, after in pairwise(times)]
    interval = max(1, round(median(steps))) if steps else 60_000
    gaps = tuple(
        (before, step - interval) for before, step in zip(times, steps, strict=False) if step > GAP_FACTOR * interval
    )
    return UseLog(
        samples=ordered,
        interval_ms=interval,
        gaps_ms=gaps,
        bad=tuple(bad[:MOST_BAD]),
        bad_count=len(bad),
        unordered=unordered,
        repeated=len(samples) - len(ordered),
    )


def _is_head(text: str) -> bool:
    cells = {cell.strip().lower() for cell in next(csv.reader([text]), [])}
    return bool(cells & set(_AT)) and bool(cells & set(_CPU))


def _row(text: str, head: list[str] | None) -> Mapping[str, Any]:
    if text.startswith("{"):
        found = json.loads(text)
        return {str(key).lower(): value for key, value in found.items()}
    assert head is not None
    cells = next(csv.reader([text]))
    if len(cells) != len(head):
        raise ValueError(f"{len(cells)} cells under a head of {len(head)}")
    return dict(zip(head, (cell.strip() for cell in cells), strict=True))


def _sample(row: Mapping[str, Any]) -> Sample:
    at, cpu = _first(row, _AT), _percent(row, _CPU, "cpu")
    if at is None:
        raise ValueError("no time")
    if cpu is None:
        raise ValueError("no cpu")
    memory = _first(row, _MEMORY)
    mib = None if memory is None else _number(memory, "memory_mib")
    if mib is not None and mib < 0:
        raise ValueError(f"memory_mib is {memory!r}, less than none")
    return Sample(
        at_ms=_time_ms(at),
        cpu=cpu,
        gpu=_percent(row, _GPU, "gpu"),
        memory_mib=mib,
        memory_percent=_percent(row, _MEMORY_PERCENT, "memory"),
    )


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _percent(row: Mapping[str, Any], names: tuple[str, ...], what: str) -> float | None:
    said = _first(row, names)
    if said is None:
        return None
    found = _number(said, what)
    if not 0 <= found <= 100:
        raise ValueError(f"{what} is {said!r}, no percentage")
    return found


def _number(said: Any, what: str) -> float:
    try:
        found = float(said.removesuffix("%") if isinstance(said, str) else said)
    except (TypeError, ValueError):
        raise ValueError(f"{what} is {said!r}, no number") from None
    if isinstance(said, bool) or not math.isfinite(found):
        raise ValueError(f"{what} is {said!r}, no number")
    return found


def _time_ms(said: Any) -> int:
    """RFC 3339, UTC unless it says otherwise; or seconds, or milliseconds, since 1970."""
    if isinstance(said, str) and not said.replace(".", "", 1).isdigit():
        try:
            at = datetime.fromisoformat(said.replace("Z", "+00:00"))
        except ValueError:
            raise ValueError(f"the time is {said!r}: write 2026-11-21T09:00:00Z") from None
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    number = _number(said, "the time")
    if not 0 < number < 1e14:
        raise ValueError(f"the time is {said!r}, no time")
    return round(number if number > 1e11 else number * 1000)
