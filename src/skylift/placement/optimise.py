"""The plan of a graph of steps: for each the offer with which all of it costs least, or ends soonest, within limits.

Exact: `Plan.gap` is 0 unless the solver's time ran out, and then says how much better a plan there could be at most.
Totals are added up again from the chosen rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from skylift.placement.impossible import Question, impossible, too_little
from skylift.placement.model import Edge, Limits, Objective, Priced, Quotas, Step
from skylift.placement.plan import Choice, Impossible, Moved, Plan, Wait
from skylift.placement.problem import MICRO_S, Problem, problem_of
from skylift.placement.search import SECONDS, Found, best, patience
from skylift.placement.sharing import share
from skylift.placement.totals import delays_of, moved, rows_of, time_of, totals_of

EXPECTED = "expected times and costs, added up along the critical path and over all steps"


def optimise(
    steps: Sequence[Step],
    limits: Limits | None = None,
    objective: Objective = "cost",
    *,
    edges: Sequence[Edge] = (),
    seconds: float | None = None,
    quotas: Quotas | None = None,
) -> Plan | Impossible:
    """The cheapest plan, or the quickest and of those the cheapest. Steps that may run at once take no more of `quotas`
    than there is, or one waits for the other (`Plan.waits`). `seconds` is what a solver may take, where one is
    needed: five unless given; from 300 steps on so much that all takes less than two for a thousand. A plan that
    was not proven best in it says its gap."""
    limits, begun = limits or Limits(), monotonic()
    problem = problem_of(steps, limits, edges)
    seconds = patience(len(steps), begun) if seconds is None else seconds
    asked = Question(steps, limits, objective, edges, quotas or {}, seconds)
    found = best(problem, objective, seconds)
    if found.chosen is None:
        return impossible(asked._replace(seconds=min(seconds, SECONDS)), problem)
    shared = share(steps, limits, objective, edges, asked.quotas, problem, found, seconds)
    if shared.found.chosen is None:
        return too_little(asked, shared)
    return _plan(shared.steps, limits, objective, edges, shared.problem, shared.found, shared.waits)


def rule_of(limits: Limits) -> str:
    if limits.confidence is None:
        return EXPECTED
    return (
        f"each step at what it keeps with a probability of {limits.confidence:g}, added up along the critical path and "
        "over all steps: exact if steps are slow together, more than enough where they are slow independently"
    )


def _plan(
    steps: Sequence[Step],
    limits: Limits,
    objective: Objective,
    edges: Sequence[Edge],
    problem: Problem,
    found: Found,
    waits: tuple[Wait, ...] = (),
) -> Plan:
    assert found.chosen is not None
    priced = rows_of(steps, found.chosen)
    moves = moved(steps, priced, edges)
    totals = totals_of(problem, priced, moves, limits)
    value = float(totals.cost) if objective == "cost" else totals.time_high_s
    bound = found.bound / (problem.unit if objective == "cost" else MICRO_S)
    gap = max(0.0, (value - bound) / value) if value > 0 else 0.0
    return Plan(
        objective=objective,
        limits=limits,
        choices=_choices(steps, priced, problem, moves, limits),
        moves=moves,
        totals=totals,
        bound=min(bound, value),
        gap=gap if gap > 1e-9 else 0.0,
        method=found.method,
        rule=rule_of(limits),
        waits=waits,
    )


def _choices(
    steps: Sequence[Step], priced: Sequence[Priced], problem: Problem, moves: Sequence[Moved], limits: Limits
) -> tuple[Choice, ...]:
    delays = delays_of(problem, moves)
    times = [time_of(one, limits) for one in priced]
    starts = problem.graph.starts(times, lambda one, other: delays.get((one, other), 0))
    tails = problem.graph.tails(times, lambda one, other: delays.get((one, other), 0))
    span = max((begun + time for begun, time in zip(starts, times, strict=True)), default=0)
    return tuple(
        Choice(
            step=step.name,
            priced=one,
            starts_s=begun / MICRO_S,
            ends_s=(begun + time) / MICRO_S,
            slack_s=(span - begun - time - tail) / MICRO_S,
            width=step.width,
        )
        for step, one, begun, time, tail in zip(steps, priced, starts, times, tails, strict=True)
    )
