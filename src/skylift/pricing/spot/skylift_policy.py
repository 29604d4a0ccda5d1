"""Skylift's policy for a job with a deadline on a spot market: a decision process over a market that is learned.

Before a job starts, `Values` says for each kind of market in the prior what it costs to go on from any state. While it
runs, `Belief` weighs the kinds by what has been seen, and of idle, spot and on-demand the one is taken whose cost,
averaged over the kinds, is least. The safety net of the published policies stays below it whatever the model says:
with less time left than the remaining work and two changeovers, whoever is not on spot goes to on-demand and stays.
"""

from __future__ import annotations

import functools
import math

from skylift.pricing.spot.market import QUANTUM_H, Belief, Market, Prior, shipped_prior
from skylift.pricing.spot.model import Job, Mode, Policy, PolicyMaker, View
from skylift.pricing.spot.policies import is_tight, tight_at
from skylift.pricing.spot.values import Values

RECONSIDERED = 5
"""Quanta after which a choice is made again if nothing happens: ten minutes, half of the youngest bucket of ages."""
IDLE_MUST_SAVE_H = 0.02
"""Of on-demand: being idle is chosen if it promises at least this more than running. The tables know the kind of
market from the next step on and so make waiting look better than it is to one who does not."""
LEAVING_MUST_SAVE_H = 0.04
"""The same for leaving on-demand, against going to and fro on differences that the steps of the tables blur."""


class Tables:
    """What a policy knows of a job before it starts; made once for all jobs of the same shape."""

    def __init__(self, job: Job, prior: Prior) -> None:
        self.markets = [Market(kind) for kind in prior.kinds]
        hours = [quanta * QUANTUM_H for quanta in (job.work, job.slack, job.changeover)]
        self.values = [Values(hours[0], hours[1], hours[2], float(job.ratio), kind) for kind in prior.kinds]


@functools.lru_cache(maxsize=32)
def tables(job: Job, prior: Prior) -> Tables:
    return Tables(job, prior)


class SkyliftPolicy(Policy):
    """Made for one job; `tables` may be shared."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._belief = Belief(tables.markets)
        self._chosen: tuple[Mode, int] = ("idle", 0)
        """And until which quantum that stands, if the market stays as it is."""

    def observe(self, available: bool, quanta: int) -> None:
        self._belief.observe(available, quanta * QUANTUM_H)
        self._chosen = ("idle", 0)

    def decide(self, view: View) -> Mode:
        if view.mode == "spot":
            return "spot"
        if is_tight(view):
            return "on-demand"
        mode, until = self._chosen
        if view.t >= until or mode != view.mode:
            mode = self._least(view)
            self._chosen = (mode, min(view.t + RECONSIDERED, tight_at(view)))
        return mode

    def stands_until(self, view: View, mode: Mode) -> int:
        return view.job.deadline if mode == "spot" or is_tight(view) else max(view.t + 1, self._chosen[1])

    def _least(self, view: View) -> Mode:
        idle, running, spot = self.costs(view)
        idle += IDLE_MUST_SAVE_H
        if view.mode == "on-demand":
            running -= LEAVING_MUST_SAVE_H
        if spot <= idle and spot <= running:
            return "spot"
        return "idle" if idle < running else "on-demand"

    def costs(self, view: View) -> tuple[float, float, float]:
        """Expected, in hours of on-demand: of being idle now, of running on on-demand, of running on spot."""
        job = view.job
        work, slack = view.remaining * QUANTUM_H, (view.left - view.remaining) * QUANTUM_H
        changeover, ratio = job.changeover * QUANTUM_H, float(job.ratio)
        starting = view.changeover_left * QUANTUM_H if view.mode == "on-demand" else changeover
        idle = running = spot = 0.0
        for at, weight, phase in self._belief.weights(view.available, (view.t - view.since) * QUANTUM_H):
            values = self._tables.values[at]
            idle += weight * values.at(values.idle, work, slack, phase)
            running += weight * values.after_launch(work, slack - starting, phase)
            if view.available:
                spot += weight * values.at(values.spot, work, slack - changeover, phase)
        return idle, starting + running, changeover * ratio + spot if view.available else math.inf


def skylift(job: Job) -> Policy:
    return SkyliftPolicy(tables(job, shipped_prior()))


def with_prior(prior: Prior) -> PolicyMaker:
    """The policy for jobs whose market is believed to be of these kinds: for tests on markets the prior never saw."""

    def make(job: Job) -> Policy:
        return SkyliftPolicy(tables(job, prior))

    return make
