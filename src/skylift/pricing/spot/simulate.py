"""One job under one policy on one window of a market, quantum by quantum."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from skylift.pricing.spot.model import Job, Mode, Policy, PolicyWrong, Run, View


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was held, and when the work was done. A job that is late is finished on on-demand, and pays for that."""

    spot: int
    """Quanta on spot, changeovers included."""
    on_demand: int
    """Quanta on on-demand, changeovers included."""
    ended: int
    """The quantum at whose beginning the work was done."""
    launches: int
    preemptions: int

    def cost(self, job: Job) -> Fraction:
        return job.cost(self.spot, self.on_demand)

    def late(self, job: Job) -> bool:
        return self.ended > job.deadline


def simulate(job: Job, window: Sequence[Run], policy: Policy) -> Outcome:
    """`window` are the runs of the market from the start of the job; what it has beyond the deadline is not used, and
    a window that ends before the deadline is a ValueError."""
    length = sum(quanta for _, quanta in window)
    if length < job.deadline:
        raise ValueError(f"the window has {length} quanta and the deadline is {job.deadline}")
    return _Simulation(job, policy).over(window)


class _Simulation:
    def __init__(self, job: Job, policy: Policy) -> None:
        self.job = job
        self.policy = policy
        self.view = View(job)
        self.paid: dict[Mode, int] = {"idle": 0, "spot": 0, "on-demand": 0}
        self.launches = 0
        self.preemptions = 0

    def over(self, window: Sequence[Run]) -> Outcome:
        view, deadline = self.view, self.job.deadline
        for available, quanta in window:
            self._change(available)
            if self._within(min(view.t + quanta, deadline)):
                return self._outcome(view.t)
            if view.t == deadline:
                break
            self.policy.observe(available, quanta)
        return self._late()

    def _change(self, available: bool) -> None:
        view = self.view
        view.available, view.since = available, view.t
        if view.mode == "spot" and not available:
            view.mode, view.changeover_left = "idle", 0
            self.preemptions += 1

    def _within(self, end: int) -> bool:
        """Until the market changes; whether the work was done before."""
        view, policy, job = self.view, self.policy, self.job
        while view.t < end:
            wanted = policy.decide(view)
            if wanted != view.mode:
                self._move(wanted)
            quanta = min(end, max(view.t + 1, policy.stands_until(view, wanted))) - view.t
            if wanted != "idle":
                quanta = min(quanta, view.changeover_left + job.work - view.progress)
                starting = min(quanta, view.changeover_left)
                view.changeover_left -= starting
                view.progress += quanta - starting
                self.paid[wanted] += quanta
            view.t += quanta
            if view.progress == job.work:
                return True
        return False

    def _move(self, wanted: Mode) -> None:
        view = self.view
        if wanted == "spot" and not view.available:
            raise PolicyWrong(f"{type(self.policy).__name__} asks for spot at quantum {view.t}, where there is none")
        view.mode = wanted
        view.changeover_left = 0
        if wanted != "idle":
            view.changeover_left = self.job.changeover
            self.launches += 1

    def _late(self) -> Outcome:
        view = self.view
        if view.mode != "on-demand":
            self._move("on-demand")
        more = view.changeover_left + self.job.work - view.progress
        self.paid["on-demand"] += more
        return self._outcome(view.t + more)

    def _outcome(self, ended: int) -> Outcome:
        return Outcome(
            spot=self.paid["spot"],
            on_demand=self.paid["on-demand"],
            ended=ended,
            launches=self.launches,
            preemptions=self.preemptions,
        )
