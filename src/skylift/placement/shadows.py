"""What each limit of a plan costs: the best plan without it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from skylift.errors import SetupError
from skylift.placement.limits import FACETS, without
from skylift.placement.model import Edge, Limits, Step
from skylift.placement.plan import Plan, Shadow
from skylift.placement.problem import Problem, problem_of
from skylift.placement.search import SECONDS, best
from skylift.placement.totals import moved, rows_of, totals_of
from skylift.placement.words import dollars, duration

QUOTAS = "quotas"


def shadows(
    plan: Plan,
    steps: Sequence[Step],
    edges: Sequence[Edge] = (),
    seconds: float = SECONDS,
    problem: Problem | None = None,
) -> list[Shadow]:
    """What each limit costs: the best plan without it, all the others staying."""
    limits = plan.limits
    problem = problem or problem_of(steps, limits, edges)
    found = []
    for name in ("deadline_s", "budget", *FACETS):
        if getattr(limits, name) not in (None, ()):
            free = _freed(problem, steps, limits, edges, name)
            try:
                found.append(_shadow(plan, steps, edges, name, free, seconds))
            except SetupError:  # not in the time: nothing is said of it
                continue
    return found


def of_quotas(plan: Plan, steps: Sequence[Step], edges: Sequence[Edge], free: Problem, seconds: float) -> Shadow:
    """What quotas that steps share cost; `free` is the problem without them."""
    found = _shadow(plan, steps, edges, QUOTAS, free, seconds)
    words = [f"{dollars(found.costs)} cheaper"] if found.costs > 0 else []
    words += [f"{duration(found.takes_s)} sooner"] if found.takes_s > 0 else []
    said = " and ".join(words) or "neither cheaper nor sooner"
    return msgspec.structs.replace(found, says=f"quotas of what runs at once: without them the plan would be {said}")


def _freed(problem: Problem, steps: Sequence[Step], limits: Limits, edges: Sequence[Edge], name: str) -> Problem:
    """Only limits on what is bought change which offers there are."""
    if name == "deadline_s":
        return problem.with_limits(None, problem.budget)
    if name == "budget":
        return problem.with_limits(problem.deadline, None)
    return problem_of(steps, without(limits, name), edges)


def _shadow(
    plan: Plan, steps: Sequence[Step], edges: Sequence[Edge], name: str, free: Problem, seconds: float
) -> Shadow:
    limits = plan.limits
    chosen = best(free, plan.objective, seconds).chosen
    assert chosen is not None, "the plan itself keeps the other limits"
    priced = rows_of(steps, chosen)
    totals = totals_of(free, priced, moved(steps, priced, edges), limits)
    limit, value = name.removesuffix("_s"), "of what runs at once" if name == QUOTAS else _shown(limits, name)
    costs, takes = plan.totals.cost - totals.cost, plan.totals.time_high_s - totals.time_high_s
    return Shadow(
        limit=limit,
        value=value,
        without=totals,
        costs=costs,
        takes_s=takes,
        says=_says(plan, limit, value, costs, takes),
    )


def _shown(limits: Limits, name: str) -> str:
    if limits.deadline_s is not None and name == "deadline_s":
        return duration(limits.deadline_s)
    if limits.budget is not None and name == "budget":
        return dollars(limits.budget)
    return ", ".join(getattr(limits, name))


def _says(plan: Plan, limit: str, value: str, costs: Fraction, takes: float) -> str:
    if (plan.objective == "cost" and costs == 0) or (plan.objective == "time" and takes == 0):
        return f"{limit} {value}: costs nothing, the best plan keeps it anyway"
    if plan.objective == "cost":
        words = f"{dollars(abs(costs))} {'cheaper' if costs > 0 else 'dearer'}"
    else:
        words = f"{duration(abs(takes))} {'quicker' if takes > 0 else 'slower'}"
    note = "" if plan.gap == 0 else ", as far as the solver came in its time"
    return f"{limit} {value}: without it the plan would be {words}{note}"
