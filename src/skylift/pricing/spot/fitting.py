"""Fits the prior of `market` to recorded markets: a kind for each, drawn towards what all have in common."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from skylift.pricing.spot.market import BEFORE, BUCKETS, EDGES, HISTORIES, QUANTUM_H, Kind, Prior, bucket
from skylift.pricing.spot.model import Run
from skylift.pricing.spot.traces import Trace
from skylift.pricing.spot.windows import sampled

FAITH = 3.0
"""Ends that what is common counts as, in each cell of a single market."""
COMMON_FAITH = 5.0
"""The same for the shape without regard to the run before, in each cell of what is common."""


class Tally(msgspec.Struct):
    """Of one market: ends and hours, for up and down, by the run before and by bucket of age."""

    ends: list[list[list[float]]]
    hours: list[list[list[float]]]
    spot_hours: float = 0.0
    all_hours: float = 0.0


def fit(traces: Sequence[Trace], source: str = "") -> Prior:
    """Raises ValueError where there are none."""
    return fit_to_runs([sampled(trace) for trace in traces], source)


def fit_to_runs(markets: Sequence[Sequence[Run]], source: str = "") -> Prior:
    if not markets:
        raise ValueError("a prior is fitted to at least one market")
    tallies = [_tally(market) for market in markets]
    common = [_common(tallies, way) for way in (0, 1)]
    kinds = [
        Kind(up=_drawn(tally, 0, common[0]), down=_drawn(tally, 1, common[1]), share=_share(tally)) for tally in tallies
    ]
    return Prior(source=source, kinds=tuple(kinds))


def _tally(market: Sequence[Run]) -> Tally:
    """A run is taken to have ended halfway through its last tick of ten minutes, for traces that are finer by half of
    their own length; the last run of a trace has not ended."""
    found = Tally(ends=_zeros(), hours=_zeros())
    before: int | None = None
    for number, (available, quanta) in enumerate(market):
        last = number == len(market) - 1
        hours = quanta * QUANTUM_H
        found.all_hours += hours
        found.spot_hours += hours if available else 0.0
        age = hours if last else hours - min(1 / 12, hours / 2)
        if before is not None:
            _count(found, 0 if available else 1, before, age, ended=not last)
        before = BEFORE[bucket(age)]
    return found


def _count(found: Tally, way: int, before: int, age: float, *, ended: bool) -> None:
    at = bucket(age)
    for each in range(at + 1):
        above = EDGES[each + 1] if each < BUCKETS - 1 else age
        found.hours[way][before][each] += min(age, above) - EDGES[each]
    if ended:
        found.ends[way][before][at] += 1


def _common(tallies: Sequence[Tally], way: int) -> list[list[float]]:
    ends = [[sum(tally.ends[way][row][at] for tally in tallies) for at in range(BUCKETS)] for row in range(HISTORIES)]
    hours = [[sum(tally.hours[way][row][at] for tally in tallies) for at in range(BUCKETS)] for row in range(HISTORIES)]
    shape = [
        (sum(row[at] for row in ends) + 0.3) / (sum(row[at] for row in hours) + 0.3 / 0.3) for at in range(BUCKETS)
    ]
    return [
        [(ends[row][at] + COMMON_FAITH) / (hours[row][at] + COMMON_FAITH / shape[at]) for at in range(BUCKETS)]
        for row in range(HISTORIES)
    ]


def _drawn(tally: Tally, way: int, common: list[list[float]]) -> tuple[tuple[float, ...], ...]:
    """The hazards of one market: its own level, and its own shape as far as it has been seen."""
    ends, hours = tally.ends[way], tally.hours[way]
    cells = [(row, at) for row in range(HISTORIES) for at in range(BUCKETS)]
    expected = sum(hours[row][at] * common[row][at] for row, at in cells)
    level = (sum(ends[row][at] for row, at in cells) + 1) / (expected + 1)
    return tuple(
        tuple(
            (ends[row][at] + FAITH) / (hours[row][at] + FAITH / max(1e-4, level * common[row][at]))
            for at in range(BUCKETS)
        )
        for row in range(HISTORIES)
    )


def _share(tally: Tally) -> float:
    """Of the time with spot, drawn a little towards half of it."""
    return (tally.spot_hours + 12) / (tally.all_hours + 24)


def _zeros() -> list[list[list[float]]]:
    return [[[0.0] * BUCKETS for _ in range(HISTORIES)] for _ in range(2)]
