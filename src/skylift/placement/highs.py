"""Large problems as mixed-integer programs, solved by HiGHS: the extra `plan`.

One variable says of each offer whether it is taken, one of each step when it begins, and for edges one of each pair of
sites. First the relaxation, in which a step may take a part of each of two offers: nothing is better than it, and it
says of each offer by how much a plan with it is dearer at least (its reduced cost). With any plan in hand, offers that
are dearer by more than that plan can be left out, and few are left for the search itself. Amounts and times are scaled
to floating-point numbers for the solver; what it answers is added up exactly again, and a plan that keeps a limit only
within the solver's tolerance is forbidden and the search goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from skylift.errors import SetupError
from skylift.placement.problem import Option, Problem, worth
from skylift.placement.program import Pool, Program, Relaxed, Solved, kept_of, value_of
from skylift.placement.rounding import followed, improved, rounded
from skylift.placement.sweep import least_delays
from skylift.placement.within_budget import least_time


def solve(problem: Problem, aim: Literal["cost", "time"], seconds: float, hint: list[Option] | None = None) -> Solved:
    """The best plan, or the best one found in so many seconds."""
    highspy, np = solver()
    until = time.monotonic() + seconds
    within = _within_reach(problem)
    if within.empty():
        return Solved(None, math.inf, True)
    best = kept_of(problem, aim, [hint] if hint is not None else [])
    least = None
    if aim == "time" and problem.budget is not None and not problem.links:
        least = least_time(within, highspy, np, until)
    if least is not None:
        relaxed, tried = least.relaxed, [least.plan, hint]
    else:
        relaxed = Program(within, aim, highspy, np, best).relaxed(max(until - time.monotonic(), 0.1))
        tried = [hint]
    if relaxed.infeasible:
        return Solved(None, math.inf, True)
    if relaxed.solved:
        tried += [rounded(within, aim, relaxed.values), followed(within, relaxed.values)]
    best = kept_of(problem, aim, [improved(problem, one) for one in tried if one is not None])
    core = within if best is None else _core(within, aim, relaxed, value_of(aim, worth(problem, best)), np)
    if best is not None and all(len(options) == 1 for options in core.options):
        return Solved(best, min(relaxed.bound, value_of(aim, worth(problem, best))), True)
    if best is not None and time.monotonic() > until:
        return Solved(best, min(relaxed.bound, value_of(aim, worth(problem, best))), False)
    program = Program(core, aim, highspy, np, best)
    return program.searched(problem, best, relaxed.bound, until)


def solve_within(
    problem: Problem,
    aim: Literal["cost", "time"],
    seconds: float,
    pools: Sequence[Pool],
    allowed: Callable[[list[Option]], bool],
) -> Solved:
    """The best plan in which steps that may run at once never take more of a pool than there is."""
    highspy, np = solver()
    until = time.monotonic() + seconds
    program = Program(problem, aim, highspy, np, None, pools)
    return program.searched(problem, None, 0.0, until, allowed)


def solver() -> tuple[Any, Any]:
    try:
        import highspy
        import numpy
    except ImportError as missing:
        raise SetupError(
            f"this graph is too large to be planned without a solver ({missing.name} is not installed)",
            hint="pip install 'skylift[plan]'",
        ) from missing
    return highspy, numpy


def _within_reach(problem: Problem) -> Problem:
    """Without offers that end too late however quick all others are."""
    if problem.deadline is None:
        return problem
    fastest = [min((option.time for option in options), default=0) for options in problem.options]
    delay = least_delays(problem)
    starts, tails = problem.graph.starts(fastest, delay), problem.graph.tails(fastest, delay)
    deadline = problem.deadline
    return problem.restricted(
        [
            [option for option in options if starts[step] + option.time + tails[step] <= deadline]
            for step, options in enumerate(problem.options)
        ]
    )


def _core(problem: Problem, aim: str, relaxed: Relaxed, best: int, np: Any) -> Problem:
    """The offers with which a plan can still be better than the best."""
    most = (best - relaxed.bound) * (1 + 1e-9) + 1e-9 * max(abs(best), 1)
    kept, at = [], 0
    for options in problem.options:
        reduced = relaxed.reduced[at : at + len(options)]
        at += len(options)
        kept.append([option for option, dearer in zip(options, reduced, strict=True) if dearer <= most])
    return problem.restricted([few or options for few, options in zip(kept, problem.options, strict=True)])
