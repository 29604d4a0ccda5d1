"""The least time that a budget allows, for large graphs without edges: what no plan can be quicker than, and a plan
that is hardly slower.

Both come from the relaxation of the cheapest plan by a deadline, whose cost is convex in the deadline. The least
deadline at which it costs no more than the budget is found by Newton's steps from below, which never go past it, each
from the last one's basis. A plan of whole offers costs a little more than that, so that one within the budget has a
deadline a little later: a few steps of false position find it.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from skylift.placement.deadlines import Deadlines
from skylift.placement.problem import Option, Problem, worth
from skylift.placement.program import Relaxed

NEWTON = 30
"""Deadlines at most on the way to the least one."""
TRIED = 6
"""Deadlines of plans."""
NEAR = 5e-4
"""Deadlines that are nearer to each other than that share are near enough."""


class Least(NamedTuple):
    relaxed: Relaxed
    plan: list[Option] | None


def least_time(problem: Problem, highspy: Any, np: Any, until: float) -> Least | None:
    """None if the relaxation does not come to an end, or the quickest offers are the cheapest as well."""
    assert problem.budget is not None
    quickest = worth(problem, [min(options, key=lambda o: (o.time, o.cost)) for options in problem.options])
    slowest = worth(problem, [options[0] for options in problem.options])
    if quickest is None or slowest is None or quickest.time >= slowest.time:
        return None
    descent = _Descent(problem, slowest.time, highspy, np, until)
    relaxed = descent.newton(float(quickest.time))
    return None if relaxed is None else Least(relaxed, descent.plan())


class _Descent:
    """Deadlines asked for one after the other; what is spent is counted as the budget counts it."""

    def __init__(self, problem: Problem, slowest: int, highspy: Any, np: Any, until: float) -> None:
        assert problem.budget is not None
        self.problem, self.until, self.budget = problem, until, problem.budget
        order = [sorted(range(len(own)), key=lambda one: (own[one].high, own[one].time)) for own in problem.options]
        priced = problem.restricted(
            [
                [own[one]._replace(cost=own[one].high) for one in by_high]
                for own, by_high in zip(problem.options, order, strict=True)
            ]
        )
        self.own = [{option.row: option for option in options} for options in problem.options]
        first = np.cumsum([0, *(len(own) for own in problem.options)])
        self.place = np.argsort(np.concatenate([at + np.array(o) for at, o in zip(first, order, strict=False)]))
        """Of each offer of the problem, where it stands in the order of what the budget counts."""
        self.by = Deadlines(priced, slowest, highspy, np, until)

    def newton(self, deadline: float) -> Relaxed | None:
        """At the least deadline an offer of reduced cost r, with money worth s per unit of time, makes a plan later by
        r / s."""
        for _ in range(NEWTON):
            asked = self.by.asked(deadline)
            if asked is None or self.by.slope >= 0:
                return None
            cost, found = asked
            if cost <= self.budget * (1 + 1e-9):
                late = max(cost - self.budget, 0.0) / -self.by.slope
                values, reduced = found.values[self.place], found.reduced[self.place] / -self.by.slope
                return Relaxed(values, reduced, (deadline - late) * (1 - 1e-8), False)
            deadline += (cost - self.budget) / -self.by.slope
        return None

    def plan(self) -> list[Option] | None:
        """The quickest within the budget of those that some deadlines give."""
        found: list[list[Option]] = []
        low = high = None
        for _ in range(TRIED):
            tried = self.by.whole()
            if tried is None:
                break
            over = sum(option.cost for option in tried) - self.budget
            if over <= 0:
                found.append([own[option.row] for own, option in zip(self.own, tried, strict=True)])
                high = (self.by.deadline, over)
            else:
                low = (self.by.deadline, over)
            deadline = self._next(low, high)
            if deadline is None or time.monotonic() > self.until or self.by.asked(deadline) is None:
                break
        kept = [(total.time, total.cost, one) for one in found if (total := worth(self.problem, one)) is not None]
        return min(kept)[2] if kept else None

    def _next(self, low: tuple[float, int] | None, high: tuple[float, int] | None) -> float | None:
        """Between one that was too dear and one that was not; beyond the last where all were too dear."""
        if high is None:
            assert low is not None
            return None if self.by.slope >= 0 else self.by.deadline + 1.2 * low[1] / -self.by.slope
        if low is None:
            return None  # the least there is
        if high[0] - low[0] <= NEAR * high[0]:
            return None
        share = low[1] / (low[1] - high[1])
        return low[0] + (high[0] - low[0]) * min(max(share, 0.1), 0.9)
