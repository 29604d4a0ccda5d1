"""Which markets a prior is fitted to, and on which others it is then judged."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skylift.pricing.spot.fitting import fit
from skylift.pricing.spot.named import POLICIES, Policies, Variant
from skylift.pricing.spot.skylift_policy import with_prior
from skylift.pricing.spot.traces import Trace

OURS = "skylift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    judged: Sequence[Trace]
    policies: Policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Markets and policies that one table is about."""

    title: str
    what: str
    folds: Sequence[Fold]


def sections(traces: Sequence[Trace], others: Sequence[Trace]) -> list[Section]:
    """`traces` are those that the shipped prior is fitted to, `others` none of them."""
    return [
        Section(
            title="Held out in space",
            what="the prior is fitted to the markets of one zone and judged on those of the other, both ways",
            folds=_both_ways(*_zones(traces)),
        ),
        Section(
            title="Held out in time",
            what="the prior is fitted to one half of each market's days and judged on the other, both ways",
            folds=_both_ways([_half(trace, 0) for trace in traces], [_half(trace, 1) for trace in traces]),
        ),
        Section(
            title="Held out in space, time and kind",
            what="the shipped prior on machines of another kind and of other zones, which ran half a year later; spot"
            " counts as available while the recorded machine ran",
            folds=[Fold(judged=others, policies=POLICIES)],
        ),
    ]


def _both_ways(one: Sequence[Trace], other: Sequence[Trace]) -> list[Fold]:
    return [Fold(judged=one, policies=_fitted_to(other)), Fold(judged=other, policies=_fitted_to(one))]


def _fitted_to(traces: Sequence[Trace]) -> Policies:
    return {**POLICIES, OURS: (Variant(make=with_prior(fit(traces))),)}


def _zones(traces: Sequence[Trace]) -> tuple[list[Trace], list[Trace]]:
    """The zone stands first in the last part of a name. Those of the first zone, and all others."""
    first = _zone(min(traces, key=_zone))
    return [trace for trace in traces if _zone(trace) == first], [trace for trace in traces if _zone(trace) != first]


def _zone(trace: Trace) -> str:
    return trace.name.rpartition("/")[2].partition("_")[0]


def _half(trace: Trace, number: int) -> Trace:
    """The first half of the ticks (0) or the second (1)."""
    half = sum(trace.runs) // 2
    begin, end = (0, half) if number == 0 else (half, sum(trace.runs))
    runs = list(_within(trace, begin, end))
    return Trace(
        name=f"{trace.name}, half {number + 1}",
        gap_ms=trace.gap_ms,
        first=runs[0][0],
        runs=tuple(length for _, length in runs),
        kind=trace.kind,
    )


def _within(trace: Trace, begin: int, end: int) -> Iterable[tuple[bool, int]]:
    ends = itertools.accumulate(trace.runs)
    for number, (run, until) in enumerate(zip(trace.runs, ends, strict=True)):
        length = min(until, end) - max(until - run, begin)
        if length > 0:
            yield trace.first == (number % 2 == 0), length
