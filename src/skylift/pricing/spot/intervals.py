"""Confidence intervals of mean costs: a bootstrap over traces, and over the starts within each."""

from __future__ import annotations

import functools
import random
import statistics

import msgspec

RESAMPLES = 400
SEED = 2024
"""The same windows give the same intervals."""

Costs = list[list[float]]
"""By trace, then by start."""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """Of 95 %."""

    low: float
    high: float


def mean(costs: Costs) -> float:
    return statistics.fmean(cost for trace in costs for cost in trace)


def interval_of_mean(costs: Costs) -> Interval:
    return _interval(_means(costs))


def interval_of_ratio(costs: Costs, base: Costs) -> Interval:
    """Of mean over mean, both of the same windows."""
    return _interval([over / under for over, under in zip(_means(costs), _means(base), strict=True)])


def _means(costs: Costs) -> list[float]:
    draws = _draws(len(costs), len(costs[0]))
    return [statistics.fmean([costs[trace][start] for trace, start in draw]) for draw in draws]


@functools.lru_cache(maxsize=4)
def _draws(traces: int, starts: int) -> list[list[tuple[int, int]]]:
    """Traces with replacement, and of each its starts with replacement: windows of one trace resemble each other, so
    that drawing windows alone would promise too much."""
    generator = random.Random(SEED)
    return [
        [(trace, start) for trace in generator.choices(range(traces), k=traces)
         for start in generator.choices(range(starts), k=starts)]
        for _ in range(RESAMPLES)
    ]  # fmt: skip


def _interval(values: list[float]) -> Interval:
    ordered = sorted(values)
    tail = round(len(ordered) * 0.025)
    return Interval(low=ordered[tail], high=ordered[-1 - tail])
