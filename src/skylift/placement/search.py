"""Which method answers a problem: the quickest that is exact for it."""

from __future__ import annotations

import math
import time as clock
from typing import NamedTuple

from skylift.errors import SetupError
from skylift.placement.elimination import eliminate
from skylift.placement.highs import solve
from skylift.placement.model import Objective
from skylift.placement.problem import Option, Problem, keeps, worth
from skylift.placement.sweep import MOST_WORK, first_guess, sweep

SECONDS = 1.0
"""For each question about a plan."""
WHOLE = 1.5
"""Of a large graph, from reading its offers to its plan, for each thousand steps: what is not used before is the
solver's. Two seconds are asked for; the solver is seldom punctual, and the plan is still to be added up."""
LEAST = 0.5
"""For the solver at least, however long reading took."""
SHARE = 0.6
"""Of that for the least time, where the cheapest of that time is to be found after it."""
PATIENCE = 5.0
"""For the solver where graphs are small: mostly enough to prove the plan."""
SMALL = 300
"""Steps of a small graph."""
SEPARATE = "each step by itself: no limit binds"
SITES = "sites by dynamic programming over the edges: no limit binds"
SWEPT = "dynamic programming over the steps in order, in whole numbers"
SOLVED = "mixed-integer program, HiGHS"


class Found(NamedTuple):
    """The best choice, or none if nothing keeps the limits."""

    chosen: list[Option] | None
    bound: float
    """In the units of the problem: parts of a micro-dollar or microseconds."""
    method: str


def patience(steps: int, begun: float) -> float:
    """What is left for the solver of a plan that was begun to be made then."""
    if steps < SMALL:
        return PATIENCE
    return max(WHOLE * max(1.0, steps / 1000) - (clock.monotonic() - begun), LEAST)


def best(problem: Problem, objective: Objective, seconds: float = SECONDS, work: int = MOST_WORK) -> Found:
    """`work` is what may be spent without a solver."""
    if problem.empty():
        return Found(None, math.inf, SEPARATE)
    return _cheapest(problem, seconds, work=work) if objective == "cost" else _quickest(problem, seconds)


def _cheapest(problem: Problem, seconds: float, known: list[Option] | None = None, work: int = MOST_WORK) -> Found:
    """`known` is a plan that keeps the limits, if there is one already."""
    free = eliminate(problem)
    if free is not None:
        total = worth(problem, free)
        if total is not None and keeps(problem, total):
            return Found(free, total.cost, SITES if problem.links else SEPARATE)
    if _hopeless(problem):
        return Found(None, math.inf, SEPARATE)
    swept = sweep(problem, "cost", work)
    if swept is not None:
        return _first(problem, swept)
    found = solve(problem, "cost", seconds, known or _guessed(problem))
    if found.chosen is None and not found.proven:
        raise SetupError(
            f"no plan was found in {seconds:g} s, and none was shown to be impossible",
            hint="give it more seconds, or fewer offers: regions, clouds, markets",
        )
    return Found(found.chosen, found.bound, SOLVED if found.proven else f"{SOLVED}, stopped after {seconds:.2g} s")


def _first(problem: Problem, swept: list[list[Option]]) -> Found:
    if not swept:
        return Found(None, math.inf, SWEPT)
    total = worth(problem, swept[0])
    assert total is not None
    return Found(swept[0], total.cost, SWEPT)


def _quickest(problem: Problem, seconds: float) -> Found:
    """The least time first, then the least cost in that time."""
    begun = clock.monotonic()
    quickest = _least_time(problem, seconds * SHARE)
    total = None if quickest.chosen is None else worth(problem, quickest.chosen)
    if total is None:
        return quickest
    left = max(seconds - (clock.monotonic() - begun), seconds / 8)
    cheapest = _cheapest(problem.with_limits(total.time, problem.budget), left, quickest.chosen)
    method = f"{quickest.method}; then the cheapest of that time: {cheapest.method}"
    return Found(cheapest.chosen, quickest.bound, method)


def _least_time(problem: Problem, seconds: float) -> Found:
    if not problem.links:
        each = _quickest_each(problem)
        total = worth(problem, each)
        if total is not None and keeps(problem, total):
            return Found(each, total.time, SEPARATE)
    if _hopeless(problem):
        return Found(None, math.inf, SEPARATE)
    swept = sweep(problem, "time")
    if swept is not None:
        total = worth(problem, swept[0]) if swept else None
        return Found(None, math.inf, SWEPT) if total is None else Found(swept[0], total.time, SWEPT)
    found = solve(problem, "time", seconds, eliminate(problem))
    if found.chosen is None and not found.proven:
        raise SetupError(f"no plan was found in {seconds:g} s", hint="give it more seconds, or fewer offers")
    method = SOLVED if found.proven else f"{SOLVED}, stopped after {seconds:.2g} s"
    return Found(found.chosen, max(found.bound, _least_span(problem)), method)


def _guessed(problem: Problem) -> list[Option] | None:
    guess = first_guess(problem) if len(problem.graph) < 100 else None
    if guess is not None:
        return guess[0]
    return None if problem.links else _quickest_each(problem)


def _quickest_each(problem: Problem) -> list[Option]:
    return [min(options, key=lambda option: (option.time, option.cost)) for options in problem.options]


def _hopeless(problem: Problem) -> bool:
    """Whether the least that each step takes and costs is too much already."""
    least = sum(min(option.high for option in options) for options in problem.options)
    if problem.budget is not None and least > problem.budget:
        return True
    return problem.deadline is not None and _least_span(problem) > problem.deadline


def _least_span(problem: Problem) -> int:
    """No plan is quicker: each step at its quickest, and nothing to be moved."""
    times = [min(option.time for option in options) for options in problem.options]
    starts = problem.graph.starts(times, _at_once)
    return max((begun + time for begun, time in zip(starts, times, strict=True)), default=0)


def _at_once(one: int, other: int) -> int:
    return 0
