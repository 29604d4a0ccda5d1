"""The windows of a trace in which a job is started: quanta sampled from ticks, starts evenly spaced."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence

from skylift.pricing.spot.model import QUANTUM_MS, Job, Run, hours
from skylift.pricing.spot.traces import Trace, TraceInvalid


def windows(trace: Trace, job: Job, count: int, within: int | None = None) -> list[list[Run]]:
    """What the job meets at each start: runs of quanta until its deadline. Starts are spread over the first `within`
    quanta of the trace, or over all. Raises TraceInvalid for a trace that is too short."""
    market = sampled(trace)
    ends = list(itertools.accumulate(quanta for _, quanta in market))
    length = ends[-1] if within is None else min(ends[-1], within)
    room = length - job.deadline
    if room < 1:
        raise TraceInvalid(
            f"the trace {trace.name} is {hours(length)} long: a job of {hours(job.deadline)} does not fit in",
            hint="choose longer traces with --match, or a shorter deadline",
        )
    if count > room:
        raise TraceInvalid(
            f"the trace {trace.name} has room for {room} different starts, not for {count}",
            hint="ask for fewer: --starts of an evaluation, --markets of a plan",
        )
    return [_cut(market, ends, start, start + job.deadline) for start in starts(length, job, count)]


def quanta_of(trace: Trace) -> int:
    """Quanta that begin within the trace."""
    return -(-trace.length_ms // QUANTUM_MS)


def sampled(trace: Trace) -> list[Run]:
    """Whether spot is available at the start of each quantum that begins within the trace, as runs."""
    ticks = itertools.accumulate(trace.runs)
    ends = [-(-end * trace.gap_ms // QUANTUM_MS) for end in ticks]  # the first quantum that begins after the run
    lengths = (end - begin for begin, end in zip([0, *ends], ends, strict=False))
    return merged((trace.first == (number % 2 == 0), length) for number, length in enumerate(lengths))


def starts(quanta: int, job: Job, count: int) -> list[int]:
    """Evenly spaced from 0 to the last that leaves the deadline and one quantum more."""
    last = quanta - job.deadline - 1
    return [last * number // max(1, count - 1) for number in range(count)]


def merged(runs: Iterable[Run]) -> list[Run]:
    """Without empty runs, and neighbours of the same value as one."""
    there = (run for run in runs if run[1])
    return [(value, sum(quanta for _, quanta in same)) for value, same in itertools.groupby(there, lambda run: run[0])]


def _cut(market: Sequence[Run], ends: Sequence[int], begin: int, end: int) -> list[Run]:
    """The quanta from `begin` to `end`, without the latter."""
    found: list[Run] = []
    for number in range(bisect.bisect_right(ends, begin), len(market)):
        if begin >= end:
            break
        until = min(ends[number], end)
        found.append((market[number][0], until - begin))
        begin = until
    return found
