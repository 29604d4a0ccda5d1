"""Several zones together beside each of them alone: what the choice is worth on recorded markets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from skylift.pricing.spot.intervals import Costs, Interval, interval_of_mean, interval_of_ratio, mean
from skylift.pricing.spot.market import Prior, shipped_prior
from skylift.pricing.spot.model import Job, JobInvalid, Run
from skylift.pricing.spot.simulate import simulate
from skylift.pricing.spot.skylift_policy import with_prior
from skylift.pricing.spot.traces import Trace, TraceInvalid
from skylift.pricing.spot.windows import quanta_of, windows
from skylift.pricing.spot.zones import simulate_zones, zones_policy


class ZonesResult(msgspec.Struct, frozen=True, kw_only=True):
    """Mean costs over on-demand only, of the same starts."""

    cost: float
    """With the choice."""
    cost_ci95: Interval
    late: float
    alone: dict[str, float]
    """Of each zone by itself, with Skylift's policy."""
    best_alone: str
    """The cheapest of them on the mean, which nobody knows before."""
    vs_best_alone: float
    vs_best_alone_ci95: Interval
    by_start: float
    """The mean of the cheapest zone of each start, chosen anew for each in hindsight."""
    spot_hours: dict[str, float]
    on_demand_hours: float


def evaluate_zones(
    traces: Sequence[Trace], job: Job, starts: int, ratios: Mapping[str, Fraction], prior: Prior | None = None
) -> ZonesResult:
    """Traces of the same time, one for each zone; `ratios` by name, of others it is the job's. Raises TraceInvalid
    where they do not fit together, JobInvalid for a price of a zone that is not there."""
    prior = prior or shipped_prior()
    _check(traces, ratios)
    each = [ratios.get(trace.name, job.ratio) for trace in traces]
    shortest = min(quanta_of(trace) for trace in traces)  # so that starts mean the same time in each zone
    markets = [windows(trace, job, starts, shortest) for trace in traces]
    alone = [_alone(msgspec.structs.replace(job, ratio=ratio), market, prior)
             for ratio, market in zip(each, markets, strict=True)]  # fmt: skip
    outcomes = [
        simulate_zones(job, window, each, zones_policy(job, each, prior)) for window in zip(*markets, strict=True)
    ]
    ours: Costs = [[float(outcome.cost(job, each)) for outcome in outcomes]]
    best = min(range(len(traces)), key=lambda zone: sum(alone[zone]))
    return ZonesResult(
        cost=mean(ours),
        cost_ci95=interval_of_mean(ours),
        late=sum(outcome.late(job) for outcome in outcomes) / len(outcomes),
        alone={trace.name: mean([costs]) for trace, costs in zip(traces, alone, strict=True)},
        best_alone=traces[best].name,
        vs_best_alone=mean(ours) / mean([alone[best]]),
        vs_best_alone_ci95=interval_of_ratio(ours, [alone[best]]),
        by_start=sum(min(costs) for costs in zip(*alone, strict=True)) / len(outcomes),
        spot_hours={
            trace.name: sum(outcome.spot[zone] for outcome in outcomes) / len(outcomes) / 30
            for zone, trace in enumerate(traces)
        },
        on_demand_hours=sum(outcome.on_demand for outcome in outcomes) / len(outcomes) / 30,
    )


def _alone(job: Job, market: Sequence[Sequence[Run]], prior: Prior) -> list[float]:
    make = with_prior(prior)
    return [float(simulate(job, window, make(job)).cost(job)) for window in market]


def _check(traces: Sequence[Trace], ratios: Mapping[str, Fraction]) -> None:
    if len(traces) < 2:
        raise TraceInvalid(
            f"only {traces[0].name} is chosen: a choice of zones needs two traces at least",
            hint="leave --match out, or make it fit the traces of one machine in several zones",
        )
    unknown = sorted(set(ratios) - {trace.name for trace in traces})
    if unknown:
        raise JobInvalid(
            f"a price is given for {unknown[0]}, which is not among the zones",
            hint=f"zones: {', '.join(trace.name for trace in traces)}",
        )
