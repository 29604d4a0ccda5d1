"""What to expect of a job on a spot market: many markets that it might meet, played through with one policy."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from skylift.pricing.spot.market import Market, Prior
from skylift.pricing.spot.model import QUANTUM_MS, Job, Mode, Policy, PolicyMaker, Run, View
from skylift.pricing.spot.policies import is_tight
from skylift.pricing.spot.simulate import Outcome, simulate

SAMPLES = 300
SEED = 2024
_Number = TypeVar("_Number", int, float)


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the markets played; a range is what nine in ten of them lie in."""

    markets: int
    cost: float
    """Over on-demand only: work and one changeover at price 1."""
    cost_low: float
    cost_high: float
    preemptions: float
    preemptions_low: int
    preemptions_high: int
    launches: float
    spot_hours: float
    on_demand_hours: float
    idle_hours: float
    hours: float
    """From start to end."""
    hours_high: float
    on_demand_chance: float
    """Of using on-demand at all."""
    fallback_chance: float
    """Of having to go to on-demand for the rest, for the deadline is near."""
    fallback_hours: float
    """On on-demand at the end, of those that had to."""
    late: float

    @property
    def saving(self) -> float:
        return 1.0 - self.cost


def believed(job: Job, prior: Prior, samples: int = SAMPLES, seed: int = SEED) -> list[list[Run]]:
    """Markets drawn from the prior: the same seed gives the same."""
    draw = random.Random(seed)
    markets = [Market(kind) for kind in prior.kinds]
    weights = [kind.weight for kind in prior.kinds]
    return [draw.choices(markets, weights)[0].window(job.deadline, draw) for _ in range(samples)]


def outlook(job: Job, windows: Sequence[Sequence[Run]], make: PolicyMaker) -> Outlook:
    """Raises ValueError without windows."""
    if not windows:
        raise ValueError("an outlook needs at least one market")
    played = [_play(job, window, make) for window in windows]
    outcomes = [outcome for outcome, _ in played]
    costs = sorted(float(outcome.cost(job)) for outcome in outcomes)
    preemptions = sorted(outcome.preemptions for outcome in outcomes)
    falls = [outcome.ended - at for outcome, at in played if at is not None]
    return Outlook(
        markets=len(played),
        cost=statistics.fmean(costs),
        cost_low=_quantile(costs, 0.05),
        cost_high=_quantile(costs, 0.95),
        preemptions=statistics.fmean(preemptions),
        preemptions_low=_quantile(preemptions, 0.05),
        preemptions_high=_quantile(preemptions, 0.95),
        launches=statistics.fmean(outcome.launches for outcome in outcomes),
        spot_hours=_hours([outcome.spot for outcome in outcomes]),
        on_demand_hours=_hours([outcome.on_demand for outcome in outcomes]),
        idle_hours=_hours([outcome.ended - outcome.spot - outcome.on_demand for outcome in outcomes]),
        hours=_hours([outcome.ended for outcome in outcomes]),
        hours_high=_hours([_quantile(sorted(outcome.ended for outcome in outcomes), 0.95)]),
        on_demand_chance=statistics.fmean(outcome.on_demand > 0 for outcome in outcomes),
        fallback_chance=len(falls) / len(played),
        fallback_hours=_hours(falls),
        late=statistics.fmean(outcome.late(job) for outcome in outcomes),
    )


class _Watched(Policy):
    """Notes when the safety net took over for good."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.fell_at: int | None = None

    def decide(self, view: View) -> Mode:
        mode = self._policy.decide(view)
        if self.fell_at is None and mode == "on-demand" and is_tight(view):
            self.fell_at = view.t
        return mode

    def stands_until(self, view: View, mode: Mode) -> int:
        until = self._policy.stands_until(view, mode)
        return until if self.fell_at is not None or mode != "on-demand" else min(until, view.t + 1)

    def observe(self, available: bool, quanta: int) -> None:
        self._policy.observe(available, quanta)


def _play(job: Job, window: Sequence[Run], make: PolicyMaker) -> tuple[Outcome, int | None]:
    policy = _Watched(make(job))
    outcome = simulate(job, window, policy)
    return outcome, policy.fell_at


def _quantile(ordered: Sequence[_Number], share: float) -> _Number:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _hours(quanta: Sequence[int]) -> float:
    return statistics.fmean(quanta) * QUANTUM_MS / 3_600_000 if quanta else 0.0
