"""Why no plan keeps the limits, and the plans that come nearest."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import msgspec

from skylift.errors import SetupError
from skylift.placement.limits import FACETS, allowed, without, without_facets
from skylift.placement.model import Edge, Limits, Objective, Quotas, Step, Table
from skylift.placement.plan import Impossible, Nearest
from skylift.placement.problem import Problem, problem_of
from skylift.placement.search import best
from skylift.placement.sharing import IN_TURN, Shared, share
from skylift.placement.totals import high_of, moved, rows_of, totals_of
from skylift.placement.words import dollars, duration, told_apart

LEAST_BUDGET = "least budget"
LEAST_BUDGET_IN_TIME = "least budget for this deadline"


class Question(NamedTuple):
    """What was asked for."""

    steps: Sequence[Step]
    limits: Limits
    objective: Objective
    edges: Sequence[Edge]
    quotas: Quotas
    seconds: float
    """For the solver, for each plan that comes near."""


class Aim(NamedTuple):
    """A plan that comes near: under which limits, and what of it is the least."""

    what: str
    limits: Limits
    objective: Objective


def impossible(asked: Question, problem: Problem) -> Impossible:
    """Even without quotas; the plans that come nearest keep them."""
    aims = _nearer(asked, problem)
    nearest = _those_found(asked, aims)
    grounds = nearest
    if LEAST_BUDGET_IN_TIME in {one.what for one in aims} - {one.what for one in nearest}:
        grounds = _those_found(asked._replace(quotas={}), aims)  # none was found in time that keeps the quotas too
    reason = _reason(asked.steps, asked.limits, problem, grounds)
    cheapest = {one.what: one.totals.cost_high for one in nearest}.get("cheapest")
    nearest = [one for one in nearest if one.what != LEAST_BUDGET or one.totals.cost_high != cheapest]
    return Impossible(objective=asked.objective, limits=asked.limits, reason=reason, nearest=tuple(nearest))


def too_little(asked: Question, shared: Shared) -> Impossible:
    """The limits could be kept if it were not for the quotas."""
    limits, free = asked.limits, without(asked.limits, "deadline_s")
    aims = [
        Aim("quickest found within the quotas", free, "time"),
        Aim("cheapest within the quotas", free, "cost"),
    ]
    if limits.budget is not None:
        aims.insert(0, Aim(f"{LEAST_BUDGET_IN_TIME} within the quotas", without(limits, "budget"), "cost"))
    nearest = _those_found(asked, aims)
    short = shared.short[0]
    names = ", ".join(asked.steps[number].name for number in short.steps[:5]) + (", …" if len(short.steps) > 5 else "")
    none = "no plan keeps" if shared.found.method == IN_TURN else "no plan was found that keeps"
    budget = "" if limits.budget is None else f" and the budget of {dollars(limits.budget)}"
    reason = (
        f"within the quotas {none} the deadline of {duration(limits.deadline_s or 0.0)}{budget}: without them {names} "
        f"would take {short.takes:g} of {short.most:g} {short.quota} at once"
    )
    return Impossible(objective=asked.objective, limits=limits, reason=reason, nearest=tuple(nearest))


def _nearer(asked: Question, problem: Problem) -> list[Aim]:
    """What to give up, the least first."""
    limits, aims = asked.limits, []
    empty, facets = problem.empty(), [name for name in FACETS if getattr(limits, name)]
    if not empty:
        if limits.deadline_s is not None and limits.budget is not None:
            aims.append(Aim(LEAST_BUDGET_IN_TIME, without(limits, "budget"), "cost"))
            aims.append(Aim("least deadline for this budget", without(limits, "deadline_s"), "time"))
        elif limits.budget is not None and limits.confidence is not None:  # what is cheapest may be unsure
            aims.append(Aim(LEAST_BUDGET, without(limits, "budget"), "cost"))
        free = without(limits, "budget", "deadline_s")
        aims += [Aim("cheapest", free, "cost"), Aim("quickest", free, "time")]
    alone = _in_the_way([asked.steps[number] for number in empty], limits, facets) if empty else []
    aims += [Aim(f"within the limits, without those of {name}", without(limits, name), "cost") for name in alone]
    if facets and not alone:
        every = f"within the limits, without those of {', '.join(facets)}"
        aims.append(Aim(every, without_facets(limits), "cost"))
    if facets and empty:
        aims.append(Aim("cheapest of all", Limits(confidence=limits.confidence), "cost"))
    return aims


def _in_the_way(steps: Sequence[Step], limits: Limits, facets: Sequence[str]) -> list[str]:
    """Limits on what is bought without any one of which each of these steps has an offer."""
    shelves = {id(step.offers): step.offers for step in steps}.values()  # steps may share their offers
    ways = [
        offers.ways if isinstance(offers, Table) else tuple(priced.offer for priced in offers) for offers in shelves
    ]
    return [name for name in facets if all(any(allowed(way, without(limits, name)) for way in own) for own in ways)]


def _those_found(asked: Question, aims: Sequence[Aim]) -> list[Nearest]:
    return [one for aim in aims if (one := _nearest(asked, aim)) is not None]


def _nearest(asked: Question, aim: Aim) -> Nearest | None:
    """None where there is none, or none was found in the time: one suggestion less."""
    steps, limits = asked.steps, aim.limits
    budgeted = aim.what.startswith(LEAST_BUDGET) and limits.confidence is not None
    priced_high = [_at_high(step, limits) for step in steps] if budgeted else steps
    problem = problem_of(priced_high, limits, asked.edges)
    try:
        found = best(problem, aim.objective, asked.seconds)
        shared = share(priced_high, limits, aim.objective, asked.edges, asked.quotas, problem, found, asked.seconds)
    except SetupError:
        return None
    if shared.found.chosen is None:
        return None
    priced = rows_of(steps, shared.found.chosen)
    totals = totals_of(shared.problem, priced, moved(steps, priced, asked.edges), limits)
    return Nearest(
        what=aim.what,
        totals=totals,
        ways=tuple(f"{step.name}: {one.offer}" for step, one in zip(steps, priced, strict=True)),
        says=f"{aim.what}: {dollars(totals.cost_high)} and {duration(totals.time_high_s)}",
    )


def _at_high(step: Step, limits: Limits) -> Step:
    """What is to be least is what the budget is held against."""
    rows = [msgspec.structs.replace(one, cost=high_of(one, limits)) for one in step.offers[:]]
    return msgspec.structs.replace(step, offers=tuple(rows))


def _reason(steps: Sequence[Step], limits: Limits, problem: Problem, nearest: Sequence[Nearest]) -> str:
    if problem.empty():
        names = ", ".join(steps[number].name for number in problem.empty()[:5])
        facets = "; ".join(f"{name} {', '.join(getattr(limits, name))}" for name in FACETS if getattr(limits, name))
        return f"no offer of {names} is allowed by {facets}"
    known = {one.what: one for one in nearest}
    quickest, cheapest = known.get("quickest"), known.get("cheapest")
    if quickest is None or cheapest is None:
        return "no choice of sites has a price for all its transfers"
    least_time = quickest.totals.time_high_s
    if limits.deadline_s is not None and least_time > limits.deadline_s:
        takes, most = told_apart(least_time, limits.deadline_s)
        return f"the quickest plan takes {takes}: the deadline is {most}"
    if limits.budget is None:
        return "no plan keeps the deadline"
    if limits.deadline_s is None:
        return _too_dear(limits, cheapest, known.get(LEAST_BUDGET, cheapest), limits.budget)
    least = known.get(LEAST_BUDGET_IN_TIME, cheapest)
    within = f" within {duration(limits.deadline_s)}"
    return f"the cheapest plan{within} costs {dollars(least.totals.cost_high)}: the budget is {dollars(limits.budget)}"


def _too_dear(limits: Limits, cheapest: Nearest, surest: Nearest, budget: Fraction) -> str:
    least, most = surest.totals.cost_high, dollars(budget)
    if least < cheapest.totals.cost_high:
        return (
            f"no plan costs less than {dollars(least)} with {100 * (limits.confidence or 0):g}%: the budget is {most}"
        )
    return f"the cheapest plan costs {dollars(least)}: the budget is {most}"
