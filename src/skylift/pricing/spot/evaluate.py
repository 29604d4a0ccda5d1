"""Policies on recorded markets: what each costs over on-demand only and over the optimum, and how often it is late."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from skylift.pricing.spot.intervals import Costs, Interval, interval_of_mean, interval_of_ratio, mean
from skylift.pricing.spot.model import QUANTUM_MS, Job, Run
from skylift.pricing.spot.named import OMNISCIENT, Policies, Variant
from skylift.pricing.spot.omniscient import least_cost
from skylift.pricing.spot.simulate import Outcome, simulate
from skylift.pricing.spot.traces import Trace
from skylift.pricing.spot.windows import windows

Markets = list[list[list[Run]]]
"""By trace, then by start: what the job meets."""


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Means over all windows of all traces."""

    cost: float
    """Over on-demand only: work + changeover at price 1."""
    vs_omniscient: float
    """The mean cost over the mean cost of the optimum."""
    late: float
    """Share of the windows."""
    cost_ci95: Interval
    vs_omniscient_ci95: Interval
    spot_hours: float | None = None
    on_demand_hours: float | None = None
    launches: float | None = None
    preemptions: float | None = None
    slices: int | None = None
    leaving: str | None = None
    """Of the best time slicing: what leaving on-demand means without spot, "stays" or "idles"."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    policies: dict[str, Result]
    costs: dict[str, Costs]
    """Of every window, to compare policies pair by pair."""


def evaluate(traces: Sequence[Trace], job: Job, starts: int, policies: Policies) -> Evaluation:
    """The given policies, and the optimum, which is always among them. Raises TraceInvalid for a trace that is too
    short."""
    markets = [windows(trace, job, starts) for trace in traces]
    least = [[float(least_cost(job, window)) for window in market] for market in markets]
    found: dict[str, Result] = {}
    costs: dict[str, Costs] = {}
    for name, variants in policies.items():
        variant, outcomes = _best(job, markets, variants)
        costs[name] = [[float(outcome.cost(job)) for outcome in market] for market in outcomes]
        found[name] = _result(job, variant, [one for market in outcomes for one in market], costs[name], least)
    one = Interval(low=1.0, high=1.0)
    found[OMNISCIENT] = Result(
        cost=mean(least), vs_omniscient=1.0, late=0.0, cost_ci95=interval_of_mean(least), vs_omniscient_ci95=one
    )
    return Evaluation(policies=found, costs={**costs, OMNISCIENT: least})


def _best(job: Job, markets: Markets, variants: Sequence[Variant]) -> tuple[Variant, list[list[Outcome]]]:
    """In hindsight. Only policies with settings have more than one variant."""
    tried = [(variant, _outcomes(job, markets, variant)) for variant in variants]
    return min(tried, key=lambda one: sum(outcome.cost(job) for market in one[1] for outcome in market))


def _outcomes(job: Job, markets: Markets, variant: Variant) -> list[list[Outcome]]:
    return [[simulate(job, window, variant.make(job)) for window in market] for market in markets]


def _result(job: Job, variant: Variant, outcomes: list[Outcome], costs: Costs, least: Costs) -> Result:
    return Result(
        cost=mean(costs),
        vs_omniscient=mean(costs) / mean(least),
        late=statistics.fmean(outcome.late(job) for outcome in outcomes),
        cost_ci95=interval_of_mean(costs),
        vs_omniscient_ci95=interval_of_ratio(costs, least),
        spot_hours=_hours(outcome.spot for outcome in outcomes),
        on_demand_hours=_hours(outcome.on_demand for outcome in outcomes),
        launches=statistics.fmean(outcome.launches for outcome in outcomes),
        preemptions=statistics.fmean(outcome.preemptions for outcome in outcomes),
        slices=variant.slices,
        leaving=None if variant.stays is None else "stays" if variant.stays else "idles",
    )


def _hours(quanta: Iterable[int]) -> float:
    return statistics.fmean(quanta) * QUANTUM_MS / 3_600_000
