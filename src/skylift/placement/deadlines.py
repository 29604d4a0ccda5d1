"""The cheapest plans by one deadline after the other, for large graphs without edges: the relaxation of each from the
last one's basis, and of each a plan of whole offers that costs hardly more."""

from __future__ import annotations

import time
from typing import Any

from skylift.placement.problem import Option, Problem, keeps, worth
from skylift.placement.program import Program, Relaxed
from skylift.placement.rounding import followed, improved


class Deadlines:
    """`slowest` is the latest that will be asked for."""

    def __init__(self, problem: Problem, slowest: int, highspy: Any, np: Any, until: float) -> None:
        self.problem, self.until = problem, until
        self.program = Program(problem.with_limits(slowest, None), "cost", highspy, np, None)
        self.solver = self.program.opened()
        self.deadline = 0.0
        self.slope = 0.0
        """What it would cost more with a unit of time more: less than nothing."""
        self.values: Any = None

    def asked(self, deadline: float) -> tuple[float, Relaxed] | None:
        """What no plan by then costs less than; None when the time is up."""
        cost, slope, found = self.program.at_deadline(self.solver, deadline, self.until - time.monotonic())
        if found is None:
            return None
        self.deadline, self.slope, self.values = deadline, slope, found.values
        return cost, found

    def whole(self) -> list[Option] | None:
        """The cheapest that rounding gives by the deadline that was asked for last."""
        within = self.problem.with_limits(int(self.deadline), None)
        chosen = followed(within, self.values)
        if chosen is None:
            return None
        plans = [chosen, improved(within, chosen)]
        good = [one for one in plans if (total := worth(within, one)) is not None and keeps(within, total)]
        return min(good, key=lambda one: sum(option.cost for option in one), default=None)
