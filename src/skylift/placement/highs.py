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
from typing import Any, Literal

from skylift.errors import SetupError
from skylift.placement.problem import Option, Problem, worth
from skylift.placement.program import Program, Relaxed, Solved, kept_of, value_of
from skylift.placement.sweep import least_delays

PASSES = (0.98, 0.95, 0.9, 0.8, 0.65, 0.5, 0.25, 0.0)
"""Over a plan in hand, to make it cheaper: each takes the steps above that share of all savings there could be."""
NEWTON = 30
"""Deadlines at most on the way to the least one."""
SQUEEZES = 12
"""Deadlines that are tried for a plan within a budget."""


def solve(problem: Problem, aim: Literal["cost", "time"], seconds: float, hint: list[Option] | None = None) -> Solved:
    """The best plan, or the best one found in so many seconds."""
    highspy, np = _solver()
    until = time.monotonic() + seconds
    within = _within_reach(problem)
    if within.empty():
        return Solved(None, math.inf, True)
    best = kept_of(problem, aim, [hint] if hint is not None else [])
    relaxed = _relaxed(within, aim, highspy, np, best, max(until - time.monotonic(), 0.1))
    if relaxed.infeasible:
        return Solved(None, math.inf, True)
    tried = [_rounded(within, aim, relaxed.values), _followed(within, relaxed.values), hint]
    if aim == "time":
        tried.append(_squeezed(within, relaxed.values))
    best = kept_of(problem, aim, [improved(problem, one) for one in tried if one is not None])
    core = within if best is None else _core(within, aim, relaxed, value_of(aim, worth(problem, best)), np)
    if best is not None and all(len(options) == 1 for options in core.options):
        return Solved(best, min(relaxed.bound, value_of(aim, worth(problem, best))), True)
    program = Program(core, aim, highspy, np, best)
    return program.searched(problem, best, relaxed.bound, until)


def _relaxed(
    problem: Problem, aim: Literal["cost", "time"], highspy: Any, np: Any, best: list[Option] | None, seconds: float
) -> Relaxed:
    if aim == "time" and problem.budget is not None and not problem.links:
        found = _least_time_relaxed(problem, highspy, np, seconds)
        if found is not None:
            return found
    return Program(problem, aim, highspy, np, best).relaxed(seconds)


def _least_time_relaxed(problem: Problem, highspy: Any, np: Any, seconds: float) -> Relaxed | None:
    """The least deadline at which the relaxation costs no more than the budget. Its cost is convex in the deadline, so
    that Newton's steps from below never go past it, and each has the last one's basis to go on from. None if it does
    not come to an end.

    At that deadline an offer of reduced cost r, with money worth s per unit of time, makes a plan later by r / s."""
    assert problem.budget is not None
    budget = problem.budget
    quickest = worth(problem, [min(options, key=lambda o: (o.time, o.cost)) for options in problem.options])
    slowest = worth(problem, [options[0] for options in problem.options])
    if quickest is None or slowest is None or quickest.time >= slowest.time:
        return None
    priced = problem.restricted([[o._replace(cost=o.high) for o in options] for options in problem.options])
    program = Program(priced.with_limits(slowest.time, None), "cost", highspy, np, None)
    solver, deadline, until = program.opened(), float(quickest.time), time.monotonic() + seconds
    for _ in range(NEWTON):
        cost, slope, found = program.at_deadline(solver, deadline, until - time.monotonic())
        if found is None:
            return None
        if cost <= budget * (1 + 1e-9) or slope >= 0:
            break
        deadline += (cost - budget) / -slope
    else:
        return None
    if slope >= 0:
        return None
    late = max(cost - budget, 0.0) / -slope
    return Relaxed(found.values, found.reduced / -slope, (deadline - late) * (1 - 1e-8), False)


def _solver() -> tuple[Any, Any]:
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


def _rounded(problem: Problem, aim: str, values: Any) -> list[Option]:
    """Of the offers that the relaxation takes a part of, the one on the safe side of the limit."""
    chosen = []
    at = 0
    for options in problem.options:
        taken = [option for number, option in enumerate(options) if values[at + number] > 1e-7] or options
        at += len(options)
        safe = (lambda o: (o.time, o.cost)) if aim == "cost" else (lambda o: (o.high, o.time))
        chosen.append(min(taken, key=safe))
    return chosen


def _followed(problem: Problem, values: Any) -> list[Option] | None:
    """Steps in order, each as cheap as can be if it ends when it would in the relaxation at the latest: what one gains
    by taking a whole offer, those after it may spend."""
    if problem.deadline is None or problem.links:
        return None
    shares, at = [], 0
    for options in problem.options:
        parts = [float(share) for share in values[at : at + len(options)]]
        at += len(options)
        most = max(parts)
        whole = options[parts.index(most)].time
        mixed = math.floor(sum(option.time * share for option, share in zip(options, parts, strict=True)))
        shares.append(whole if most > 1 - 1e-6 else mixed)
    graph = problem.graph
    tails = graph.tails(shares, _none)
    ends, chosen = [0] * len(shares), [options[-1] for options in problem.options]
    for step in graph.order:
        begun = max((ends[one] for one in graph.before[step]), default=0)
        most_time = problem.deadline - begun - tails[step]
        chosen[step] = next((option for option in problem.options[step] if option.time <= most_time), chosen[step])
        ends[step] = begun + chosen[step].time
    return chosen


def _squeezed(problem: Problem, values: Any) -> list[Option] | None:
    """The quickest plan within the budget that following the relaxation to one deadline or another gives."""
    if problem.links or problem.budget is None:
        return None
    quickest = [min(options, key=lambda option: (option.time, option.cost)) for options in problem.options]
    ends = [worth(problem, quickest), worth(problem, [options[0] for options in problem.options])]
    low, high = (0 if end is None else end.time for end in ends)
    best: list[Option] | None = None
    for _ in range(SQUEEZES):
        middle = (low + high) // 2
        within = problem.with_limits(middle, problem.budget)
        tried = kept_of(within, "time", [_followed(within, values), improved(within, quickest)])
        if tried is None:
            low = middle
        else:
            best, high = tried, middle
    return best


def improved(problem: Problem, chosen: list[Option]) -> list[Option]:
    """Each step as cheap as the slack of the plan allows, the largest savings first. Exact, and only for graphs
    without edges: with them the sites decide."""
    if problem.deadline is None or problem.links:
        return chosen
    best = list(chosen)
    gains = sorted(one.cost - options[0].cost for one, options in zip(best, problem.options, strict=True))
    for share in PASSES:
        _cheapened(problem, best, gains[int(share * (len(gains) - 1))])
    return best


def _cheapened(problem: Problem, best: list[Option], least: int) -> None:
    """Steps in order, each with the slack that is left when it begins; only where it saves so much."""
    graph = problem.graph
    tails = graph.tails([option.time for option in best], _none)
    ends = [0] * len(best)
    assert problem.deadline is not None
    for step in graph.order:
        begun = max((ends[one] for one in graph.before[step]), default=0)
        most = problem.deadline - begun - tails[step]
        for option in problem.options[step]:
            if best[step].cost - option.cost < max(least, 1):
                break
            if option.time <= most:
                best[step] = option
                break
        ends[step] = begun + best[step].time


def _none(one: int, other: int) -> int:
    return 0


def _core(problem: Problem, aim: str, relaxed: Relaxed, best: int, np: Any) -> Problem:
    """The offers with which a plan can still be better than the best."""
    most = (best - relaxed.bound) * (1 + 1e-9) + 1e-9 * max(abs(best), 1)
    kept, at = [], 0
    for options in problem.options:
        reduced = relaxed.reduced[at : at + len(options)]
        at += len(options)
        kept.append([option for option, dearer in zip(options, reduced, strict=True) if dearer <= most])
    return problem.restricted([few or options for few, options in zip(kept, problem.options, strict=True)])
