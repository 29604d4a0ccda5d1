"""How long something takes, or how much it needs, when it was only seen a few times: a distribution, and its doubt.

Logarithms of what was seen are taken to be normal: durations and sizes are positive and skewed. With n values whose
logarithms have mean m and squared deviations S from it

    within² = (S + 0.25) / n         how much one time differs from the next
    doubt²  = within² / n            how little n values say of m

The 0.25 is one further value at a factor of e^0.5 (1.65) from the middle: nothing is certain because it was seen
once. One value gives a p10 to p90 of 0.40 to 2.5 times itself, ten equal ones of 0.81 to 1.24 times. What somebody
declares has no spread: it is taken at its word, and said so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec

PRIOR = 0.25
LEAST = 1e-3
"""What was measured as nothing took this much of its unit."""
_NORMAL = NormalDist()
_GRID = tuple((2 * place + 1) / 20 for place in range(10))


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """In whatever unit its values had."""

    median: float
    within: float = 0.0
    doubt: float = 0.0
    count: int = 0
    """Values it is made from; 0 where it was declared."""

    @property
    def sigma(self) -> float:
        return math.hypot(self.within, self.doubt)

    @property
    def mean(self) -> float:
        """Of a lognormal: median x exp(sigma² / 2)."""
        return self.median * math.exp(self.sigma**2 / 2)

    def quantile(self, share: float) -> float:
        """Median x exp(z x sigma)."""
        return self.median * math.exp(z(share) * self.sigma) if self.sigma else self.median

    def above(self, limit: float) -> float:
        """The chance to be more than that."""
        if limit <= 0:
            return 1.0
        if not self.sigma:
            return float(self.median > limit)
        return 1 - _NORMAL.cdf((math.log(limit) - math.log(self.median)) / self.sigma)

    def grid(self) -> tuple[float, ...]:
        """Ten values that are equally likely: the middles of ten equal parts."""
        return tuple(self.quantile(share) for share in _GRID) if self.sigma else (self.median,)

    def slowest(self, count: int, share: float | None = None) -> float:
        """Of so many at once the largest: expected, or at a confidence. What the sample does not know of the middle
        is the same for all of them; by how much they differ from each other is not.

        Expected: median x exp(doubt² / 2) x the largest of n at rank (n - 0.375) / (n + 0.25) (Blom, 1958).
        """
        if count <= 1 or not self.sigma:
            return self.mean if share is None else self.quantile(share)
        if share is None:
            rank = (count - 0.375) / (count + 0.25)
            return self.median * math.exp(self.doubt**2 / 2 + z(rank) * self.within)
        return self.median * math.exp(math.hypot(z(share) * self.doubt, z(share ** (1 / count)) * self.within))

    def of_sum(self, count: float, share: float) -> float:
        """By how much the sum of so many may exceed its expectation, at a confidence: a factor. Differences between
        them average out, the doubt about all of them does not."""
        if not self.sigma or share <= 0.5:
            return 1.0
        apart = math.log1p(math.expm1(self.within**2) / max(1.0, count))
        spread = math.sqrt(apart + self.doubt**2)
        return max(1.0, math.exp(z(share) * spread - spread**2 / 2))

    def times(self, factor: float) -> Spread:
        return msgspec.structs.replace(self, median=self.median * factor)


def spread_of(values: Sequence[float]) -> Spread:
    """Of what was measured, at least one value."""
    logs = [math.log(max(value, LEAST)) for value in values]
    count = len(logs)
    middle = sum(logs) / count
    within = math.sqrt((sum((value - middle) ** 2 for value in logs) + PRIOR) / count)
    return Spread(median=math.exp(middle), within=within, doubt=within / math.sqrt(count), count=count)


def declared(value: float) -> Spread:
    return Spread(median=value)


def z(share: float) -> float:
    """The standard normal quantile."""
    return _NORMAL.inv_cdf(min(max(share, 1e-9), 1 - 1e-9))
