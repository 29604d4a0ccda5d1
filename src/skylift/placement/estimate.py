"""What it is expected to cost and take to finish a step on one place: its attempts added up, with its confidence.

    cost  =  price x time billed (start-up where it is billed, run, begun increments, minimum)
           + requests + rework after preemptions + what running out of memory repeats + transfer of inputs
    time  =  start-up and run of the slowest of the width + waiting for a market + rework, by waves where quotas or
             concurrency allow fewer at once than there are

Amounts are exact fractions of what the times give; times are expectations of distributions, and with a confidence their
quantiles.
"""

from __future__ import annotations

import math
from fractions import Fraction

import msgspec

from skylift.placement.attempt import Bid, exact
from skylift.placement.interruptions import unlucky
from skylift.placement.model import Part, Priced, Way
from skylift.pricing.places import Place


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How often a step is done in a run."""

    attempts: float
    """Expected, over all its width and rounds."""
    attempts_high: float
    rounds: float = 1.0
    """One after the other."""
    rounds_high: float = 1.0
    width: int = 1
    """At once, in each round."""
    most: int | None = None
    """What the graph or the task allows at once."""


def priced(one: Bid, load: Load, backend: str, slots: int | None, confidence: float | None) -> Priced:
    """For the whole step. `slots` is how many run at once by the quotas; None for all. What is never done costs and
    takes nothing."""
    if not load.attempts_high:
        sure = None if confidence is None else 0.0
        free = None if confidence is None else Fraction(0)
        return Priced(offer=way_of(one.place, backend), cost=Fraction(0), time_s=0.0, time_high_s=sure, cost_high=free)
    waves, at_once = waves_of(load, slots)
    count = exact(load.attempts)
    cost = one.cost * count
    slowest = one.run.slowest(at_once) / one.run.mean if one.run.mean else 1.0
    alone = one.startup_mean_ms + one.waiting_ms + one.run_ms * slowest
    time_ms = load.rounds * (waves * alone + math.sqrt(waves) * _last_up(one.startup_ms, at_once))
    parts = one.parts
    if load.attempts != 1:
        parts = tuple(
            Part(what=part.what, amount=part.amount * count, formula=_times(part.formula, load.attempts))
            for part in one.parts
        )
    high_cost, high_time = None, None
    if confidence is not None:
        high_cost, high_time = _high(one, load, waves, at_once, confidence)
        high_cost, high_time = max(cost, high_cost), max(time_ms, high_time) / 1000
    return Priced(
        offer=way_of(one.place, backend),
        cost=cost,
        time_s=time_ms / 1000,
        time_high_s=high_time,
        cost_high=high_cost,
        parts=parts,
    )


def _last_up(startup_ms: tuple[float, float], at_once: int) -> float:
    """How much later than the mean the last of so many is expected to be up: the greatest of n that lie anywhere
    between a and b alike is a + (b - a) n / (n + 1). Over waves it averages out, as sums do: by their root."""
    low, high = startup_ms
    return (high - low) * (at_once / (at_once + 1) - 0.5)


def _high(one: Bid, load: Load, waves: int, at_once: int, confidence: float) -> tuple[Fraction, float]:
    """Cost and milliseconds that are kept with this probability. On spot all that runs at once is taken away at once,
    so that bad luck does not average out over it."""
    count = exact(load.attempts_high)
    slow = one.run.slowest(at_once, confidence)
    repeats = one.run_ms / (one.rework_ms or one.run_ms) if one.run_ms else 1.0
    market = one.around.market
    if one.place.market == "spot" and market is not None and not market.never:
        took, machine = unlucky(market, one.startup_ms, slow, one.around.checkpoint_ms, confidence, one.net)
        expected = one.startup_mean_ms + one.rework_ms + one.dearer_ms
        factor = max(1.0, machine / expected) if expected else 1.0
        return one.cost * count * exact(factor), load.rounds_high * waves * took * repeats
    mean = one.startup_mean_ms + one.run_ms
    late = (one.startup_ms[1] - one.startup_mean_ms) / mean / math.sqrt(max(1.0, load.attempts)) if mean else 0.0
    factor = one.run.of_sum(load.attempts_high, confidence) + late
    return one.cost * count * exact(factor), load.rounds_high * waves * (one.startup_ms[1] + slow * repeats)


def waves_of(load: Load, slots: int | None) -> tuple[int, int]:
    """How many times over, and how many at once."""
    limits = [limit for limit in (load.most, slots) if limit is not None]
    at_once = max(1, min([load.width, *limits]))
    return -(-max(1, load.width) // at_once), at_once


def way_of(place: Place, backend: str) -> Way:
    return Way(
        backend=backend,
        service=place.service,
        instance_type=place.instance_type,
        vcpus=place.vcpus,
        memory_mib=place.memory_mib,
        cloud=place.cloud,
        gpu=place.gpu,
        gpus=place.gpus,
        market=place.market,
        region=place.region,
    )


def _times(formula: str, count: float) -> str:
    return f"{formula}, x {count:g}"
