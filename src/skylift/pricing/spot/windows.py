"""The windows of a trace in which a job is started: quanta sampled from ticks, starts evenly spaced."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from skylift.pricing.spot.model import QUANTUM_MS, Job, Run, hours
from skylift.pricing.spot.traces import Trace, TraceInvalid


def sampled(trace: Trace) -> tuple[bool, ...]:
    """Whether spot is available, at the start of each quantum that begins within the trace."""
    ticks = list(itertools.chain.from_iterable(
        itertools.repeat(trace.first == (number % 2 == 0), length) for number, length in enumerate(trace.runs)
    ))  # fmt: skip
    quanta = -(-trace.length_ms // QUANTUM_MS)
    return tuple(ticks[quantum * QUANTUM_MS // trace.gap_ms] for quantum in range(quanta))


def starts(quanta: int, job: Job, count: int) -> tuple[int, ...]:
    """Evenly spaced from 0 to the last that leaves the deadline and one quantum more."""
    last = quanta - job.deadline - 1
    if count == 1:
        return (0,)
    return tuple(last * number // (count - 1) for number in range(count))


def windows(trace: Trace, job: Job, count: int) -> list[list[Run]]:
    """What the job meets at each start: runs of quanta until its deadline. Raises TraceInvalid for a trace that is too
    short."""
    values = sampled(trace)
    if len(values) < job.deadline + 1:
        raise TraceInvalid(
            f"the trace {trace.name} is {hours(len(values))} long: a job of {hours(job.deadline)} does not fit in",
            hint="choose longer traces with --match, or a shorter deadline",
        )
    if count > len(values) - job.deadline:
        raise TraceInvalid(
            f"the trace {trace.name} has room for {len(values) - job.deadline} different starts, not for {count}",
            hint="lower --starts",
        )
    return [runs(values[start : start + job.deadline]) for start in starts(len(values), job, count)]


def runs(values: Sequence[bool]) -> list[Run]:
    return [(value, len(list(group))) for value, group in itertools.groupby(values)]
