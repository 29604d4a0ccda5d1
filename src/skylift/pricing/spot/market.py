"""A model of spot markets: runs of "there is spot" and "there is none" that end the less likely the longer they have
lasted, and otherwise after a short run than after a long one; of several kinds of market, of which a job learns the one
it is in.

A kind is two tables of hazards, ends per hour by the length of the run before and by the age of this one, for up and
for down. Ages fall into the buckets between `EDGES`; within one the hazard is constant. How long a run has lasted when
a job begins is not known, nor the one before: it is taken for one after a run of middling length, that has reached the
median age of what stands at a random moment.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec

from skylift.pricing.spot.model import QUANTUM_MS, Run

EDGES = (0.0, 1 / 3, 1.0, 3.0, 8.0)
"""Hours of age at which buckets begin. The last has no end. Finer ones gave nothing on markets held out."""
BUCKETS = len(EDGES)
BEFORE = (0, 1, 1, 2, 2)
"""By the bucket in which a run ends: which row of hazards the next run follows, after a short, middling or long one."""
HISTORIES = max(BEFORE) + 1
UNKNOWN = 1
"""Taken for the first run."""
Hazards = tuple[tuple[float, ...], ...]
"""By the run before, then by bucket of age."""
QUANTUM_H = QUANTUM_MS / 3_600_000
SHIPPED = Path(__file__).parent / "prior.json"
NEGLIGIBLE = 1e-3
"""A weight below which a kind has no say."""
_LONGEST_H = 2_000.0
"""Of a run, where means are taken: a kind with a last hazard of nearly nothing would have none."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of market."""

    up: Hazards
    """Ends per hour of a time with spot."""
    down: Hazards
    """The same of a time without."""
    share: float
    """Of the time, with spot."""
    weight: float = 1.0
    """How common it is, against the others."""


class Prior(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed of a market before anything is seen of it."""

    version: int = 1
    source: str = ""
    kinds: tuple[Kind, ...]


@functools.cache
def shipped_prior() -> Prior:
    """Fitted by tools/fit_spot_prior.py; parameters, from which no trace could be made again."""
    return msgspec.json.decode(SHIPPED.read_bytes(), type=Prior)


def phase(available: bool, before: int, at: int) -> int:
    """The number of a state of the market: all with spot come first."""
    return ((0 if available else HISTORIES) + before) * BUCKETS + at


def bucket(age: float) -> int:
    return bisect.bisect_right(EDGES, age + 1e-9) - 1


class Chances:
    """What follows from the hazards of one kind, for one of up and down."""

    def __init__(self, hazards: Sequence[float]) -> None:
        self.hazards = tuple(hazards)
        widths = [after - before for before, after in itertools.pairwise(EDGES)]
        self._sums = [0.0, *itertools.accumulate(width * rate for width, rate in zip(widths, hazards, strict=False))]
        self.mean, self.start = self._mean_and_start()

    def sum_to(self, age: float) -> float:
        """The hazard added up to an age: exp(-sum) is the chance that a run lasts that long."""
        at = bucket(age)
        return self._sums[at] + (age - EDGES[at]) * self.hazards[at]

    def drawn(self, chance: float, age: float = 0.0) -> float:
        """The age at which a run ends that has reached `age`, for a uniform `chance` above 0."""
        goal = self.sum_to(age) - math.log(chance)
        at = max(0, bisect.bisect_right(self._sums, goal) - 1)
        return min(_LONGEST_H, EDGES[at] + (goal - self._sums[at]) / max(self.hazards[at], 1e-6))

    def _mean_and_start(self) -> tuple[float, float]:
        """The mean length of a run, and the median age of the one that stands at a random moment: ages of those are
        spread like the chance to last that long."""
        steps = [0.0, *(0.02 * 1.05**number for number in range(240) if 0.02 * 1.05**number < _LONGEST_H)]
        chances = [math.exp(-self.sum_to(step)) for step in steps]
        areas = [
            (b - a) * (p + q) / 2
            for (a, b), (p, q) in zip(itertools.pairwise(steps), itertools.pairwise(chances), strict=True)
        ]
        sums = list(itertools.accumulate(areas))
        return sums[-1], steps[bisect.bisect_left(sums, sums[-1] / 2) + 1]


class Market:
    """One kind, both ways."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.of = {True: [Chances(row) for row in kind.up], False: [Chances(row) for row in kind.down]}
        self.start = {available: rows[UNKNOWN].start for available, rows in self.of.items()}
        """The age of the run that a job meets first."""

    def window(self, quanta: int, draw: random.Random) -> list[Run]:
        """Runs that last so many quanta together, as a job might meet them."""
        available = draw.random() < self.kind.share
        age, before = self.start[available], UNKNOWN
        left, found = quanta, list[Run]()
        while left > 0:
            ends = self.of[available][before].drawn(1.0 - draw.random(), age)
            length = min(left, max(1, round((ends - age) / QUANTUM_H)))
            found.append((available, length))
            left, available, age, before = left - length, not available, 0.0, BEFORE[bucket(ends)]
        return found


class Belief:
    """How likely each kind is, after what has been seen since the job began."""

    def __init__(self, markets: Sequence[Market]) -> None:
        self._markets = markets
        self._logs = [math.log(market.kind.weight) for market in markets]
        self._before: list[int] | None = None
        """The run before, by kind: for each its age at the start was another."""

    def observe(self, available: bool, hours: float) -> None:
        """A run has ended after so many hours; the first one may have begun long before."""
        before = []
        for at, market in enumerate(self._markets):
            age = hours + self._start(market, available)
            end = self._chances(at, available).hazards[bucket(max(0.0, age - QUANTUM_H / 2))]
            self._logs[at] += self._lasted(at, available, hours) + math.log(max(end, 1e-6))
            before.append(BEFORE[bucket(age)])
        self._before = before

    def weights(self, available: bool, hours: float) -> list[tuple[int, float, int]]:
        """Of the kinds that are not out of the question: number, weight, and the phase in which it sees the market."""
        logs = [log + self._lasted(at, available, hours) for at, log in enumerate(self._logs)]
        most = max(logs)
        raw = [math.exp(log - most) for log in logs]
        total = sum(raw)
        return [
            (at, one / total, self._phase(at, available, hours))
            for at, one in enumerate(raw)
            if one > NEGLIGIBLE * total
        ]

    def _chances(self, at: int, available: bool) -> Chances:
        return self._markets[at].of[available][UNKNOWN if self._before is None else self._before[at]]

    def _start(self, market: Market, available: bool) -> float:
        return market.start[available] if self._before is None else 0.0

    def _lasted(self, at: int, available: bool, hours: float) -> float:
        """The logarithm of the chance that the current run has lasted so long."""
        chances, start = self._chances(at, available), self._start(self._markets[at], available)
        lasted = chances.sum_to(start) - chances.sum_to(start + hours)
        if self._before is not None:
            return lasted
        share = self._markets[at].kind.share
        return lasted + math.log(share if available else 1.0 - share)

    def _phase(self, at: int, available: bool, hours: float) -> int:
        age = hours + self._start(self._markets[at], available)
        return phase(available, UNKNOWN if self._before is None else self._before[at], bucket(age))
