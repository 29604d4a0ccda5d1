"""Reads logs of a machine's use: lines of JSON, as `skylift waste record` writes them, or CSV with a head. Says what in
them cannot be used; never guesses it. Pure."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median_low
from typing import Any

import msgspec

from skylift.errors import SetupError

GAP_FACTOR = 5
"""Lines that lie this much further apart than usual: the machine was off, or nobody kept the log."""
MOST_BAD = 5
"""Lines that are named."""
LATEST_MS = 32_503_680_000_000
"""The year 3000: what is later is no time that a machine has seen."""
_AT = ("at", "time", "timestamp", "date")
_CPU = ("cpu", "cpu_percent", "cpu_pct", "cpu_util")
_GPU = ("gpu", "gpu_percent", "gpu_pct", "gpu_util")
_MEMORY = ("memory_mib", "mem_mib", "memory_mb")
_MEMORY_PERCENT = ("memory", "memory_percent", "mem", "mem_percent", "memory_pct")

_LONGEST_LINE = 100_000
"""Below what a reader of CSV takes for a field, whatever others in this process have allowed it."""


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
    no_zone: int = 0
    """Lines whose time says no time zone: they are taken to be UTC."""

    @property
    def looks_like_shares(self) -> bool:
        """Whether no use is above 1 %: whoever wrote it may have meant shares of 1."""
        most = max(max(sample.cpu, sample.gpu or 0.0) for sample in self.samples)
        return len(self.samples) > 1 and 0 < most <= 1

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
    return read_logs([(name, lines)])


def read_logs(logs: Sequence[tuple[str, Iterable[str]]]) -> UseLog:
    """Of one machine, each with its name; read as one. Raises UseLogInvalid where no line can be used."""
    found = _Reading()
    for name, lines in logs:
        found.read(lines, f"{name}, " if len(logs) > 1 else "")
    if not found.samples:
        names, first = ", ".join(name for name, _ in logs), f"; {found.bad[0]}" if found.bad else ""
        raise UseLogInvalid(
            f"{names} has no line that can be used{first}",
            hint='write one with: skylift waste record --log FILE; or a CSV with the head "time,cpu,gpu,memory_mib"',
        )
    return _log(found)


class _Reading:
    """What was read so far."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.bad: list[str] = []
        self.bad_count = 0
        self.every_ms: list[int] = []
        """How often whoever wrote them says that there is a line."""
        self.no_zone = 0

    def read(self, lines: Iterable[str], where: str) -> None:
        head: _Head | None = None
        for number, line in enumerate(lines, 1):
            text = line.strip().lstrip("\ufeff")
            if not text or text.startswith("#"):
                continue
            try:
                if len(text) > _LONGEST_LINE:
                    raise ValueError(f"longer than {_LONGEST_LINE} characters")
                if text[0] == "{":
                    self._take(_json_row(text))
                    continue
                named = head_of(text) if head is None or text[0].isalpha() or text[0] == '"' else None
                if head is None and named is None:
                    raise ValueError(f"neither JSON nor the head of a CSV with a time and cpu: {text[:60]!r}")
                if named is None:
                    self._take(_row(text, head))
                head = named or head
            except (ValueError, TypeError, OverflowError, RecursionError, csv.Error) as problem:
                self._is_bad(f"{where}line {number}: {str(problem)[:120]}")

    def _take(self, row: Mapping[str, Any]) -> None:
        sample, has_zone = _sample(row)
        self.samples.append(sample)
        self.no_zone += not has_zone
        every_s = row.get("every_s")
        if isinstance(every_s, int | float) and 0 < every_s < 1e9:
            self.every_ms.append(max(1, round(every_s * 1000)))

    def _is_bad(self, said: str) -> None:
        self.bad_count += 1
        if len(self.bad) < MOST_BAD:
            self.bad.append(said)


def _log(found: _Reading) -> UseLog:
    samples = found.samples
    each = {sample.at_ms: sample for sample in samples}
    ordered = tuple(each[at_ms] for at_ms in sorted(each))
    times = [sample.at_ms for sample in ordered]
    steps = [after - before for before, after in pairwise(times)]
    # The lower one of two in the middle: a pause between two stretches of a log is no usual distance. One step alone
    # tells less than who wrote it.
    interval = median_low(steps if len(steps) > 1 else found.every_ms or steps or [60_000])
    gaps = tuple(
        (before, step - interval) for before, step in zip(times, steps, strict=False) if step > GAP_FACTOR * interval
    )
    return UseLog(
        samples=ordered,
        interval_ms=interval,
        gaps_ms=gaps,
        bad=tuple(found.bad),
        bad_count=found.bad_count,
        unordered=sum(after.at_ms < before.at_ms for before, after in pairwise(samples)),
        repeated=len(samples) - len(ordered),
        no_zone=found.no_zone,
    )


class _Head(msgspec.Struct, frozen=True):
    cells: tuple[str, ...]
    delimiter: str


def head_of(text: str) -> _Head | None:
    """The head of a CSV, whose cells commas, semicolons or tabs part; None for what names no time and cpu. Raises
    ValueError for one that names a column twice."""
    for delimiter in ",;\t":
        cells = tuple(cell.strip().lower() for cell in next(csv.reader([text], delimiter=delimiter), []))
        if not (set(cells) & set(_AT) and set(cells) & set(_CPU)):
            continue
        twice = next((cell for cell in cells if cell and cells.count(cell) > 1), None)
        if twice is not None:
            raise ValueError(f"the head names {twice!r} twice")
        return _Head(cells, delimiter)
    return None


def _json_row(text: str) -> Mapping[str, Any]:
    found = json.loads(text)
    return {str(key).lower(): value for key, value in found.items()}


def _row(text: str, head: _Head | None) -> Mapping[str, Any]:
    assert head is not None
    cells = next(csv.reader([text], delimiter=head.delimiter))
    if len(cells) != len(head.cells):
        raise ValueError(f"{len(cells)} cells under a head of {len(head.cells)}")
    return dict(zip(head.cells, (cell.strip() for cell in cells), strict=True))


def _sample(row: Mapping[str, Any]) -> tuple[Sample, bool]:
    """And whether its time says in which zone it is."""
    at, cpu = _first(row, _AT), _percent(row, _CPU, "cpu")
    if at is None:
        raise ValueError("no time")
    if cpu is None:
        raise ValueError("no cpu")
    memory = _first(row, _MEMORY)
    mib = None if memory is None else _number(memory, "memory_mib")
    if mib is not None and mib < 0:
        raise ValueError(f"memory_mib is {memory!r}, less than none")
    at_ms, has_zone = _moment(at)
    sample = Sample(
        at_ms=at_ms,
        cpu=cpu,
        gpu=_percent(row, _GPU, "gpu"),
        memory_mib=mib,
        memory_percent=_percent(row, _MEMORY_PERCENT, "memory"),
    )
    return sample, has_zone


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


def _moment(said: Any) -> tuple[int, bool]:
    """RFC 3339, UTC unless it says otherwise; or seconds, or milliseconds, since 1970. And whether it says so."""
    has_zone = True
    if isinstance(said, str) and not _is_number(said):
        try:
            at = datetime.fromisoformat(said.replace("Z", "+00:00"))
            has_zone = at.tzinfo is not None
            found = round((at if has_zone else at.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, OverflowError):
            raise ValueError(f"the time is {said!r}: write 2026-11-21T09:00:00Z") from None
    else:
        number = _number(said, "the time")
        found = round(number if number > 1e11 else number * 1000)
    if not 0 < found < LATEST_MS:
        raise ValueError(f"the time is {said!r}, no time of a log")
    return found, has_zone


def _is_number(said: str) -> bool:
    return said.replace(".", "", 1).isdigit()
