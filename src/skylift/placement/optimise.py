"""The plan of a graph of steps: for each the offer with which all of it costs least, or ends soonest, within limits.

Exact: `Plan.gap` is 0 unless the solver's time ran out, and then says how much better a plan there could be at most.
Totals are added up again from the chosen rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from time import monotonic

import msgspec

from skylift.errors import SetupError
from skylift.placement.model import (
    Choice,
    Edge,
    Impossible,
    Limits,
    Moved,
    Nearest,
    Objective,
    Plan,
    Priced,
    Quotas,
    Step,
    Totals,
    Wait,
)
from skylift.placement.problem import MICRO_S, Option, Problem, micros, problem_of
from skylift.placement.pruning import FACETS
from skylift.placement.search import SECONDS, Found, best, patience
from skylift.placement.sharing import IN_TURN, Shared, share

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
    found = best(problem, objective, seconds)
    if found.chosen is None:
        return _impossible(steps, limits, objective, edges, problem, min(seconds, SECONDS))
    shared = share(steps, limits, objective, edges, quotas or {}, problem, found, seconds)
    if shared.found.chosen is None:
        return _too_little(steps, limits, objective, edges, quotas or {}, shared, seconds)
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


def rows_of(steps: Sequence[Step], chosen: Sequence[Option]) -> list[Priced]:
    return [step.offers[option.row] for step, option in zip(steps, chosen, strict=True)]


def moved(steps: Sequence[Step], priced: Sequence[Priced], edges: Sequence[Edge]) -> tuple[Moved, ...]:
    site = {step.name: one.offer.site for step, one in zip(steps, priced, strict=True)}
    found = []
    for edge in edges:
        move = edge.move(site[edge.source], site[edge.target])
        assert move is not None
        found.append(
            Moved(
                source=edge.source,
                target=edge.target,
                from_site=site[edge.source],
                to_site=site[edge.target],
                cost=Fraction(move.cost),
                time_s=move.time_s,
                formula=move.formula,
            )
        )
    return tuple(found)


def time_of(priced: Priced, limits: Limits) -> int:
    """Microseconds, at the asked-for confidence."""
    if limits.confidence is None or priced.time_high_s is None:
        return micros(priced.time_s)
    return micros(max(priced.time_s, priced.time_high_s))


def high_of(priced: Priced, limits: Limits) -> Fraction:
    cost = Fraction(priced.cost)
    if limits.confidence is None or priced.cost_high is None:
        return cost
    return max(cost, Fraction(priced.cost_high))


def delays_of(problem: Problem, moves: Sequence[Moved]) -> dict[tuple[int, int], int]:
    numbers = {name: number for number, name in enumerate(problem.graph.names)}
    delays: dict[tuple[int, int], int] = {}
    for move in moves:
        pair = (numbers[move.source], numbers[move.target])
        delays[pair] = max(delays.get(pair, 0), micros(move.time_s))
    return delays


def totals_of(problem: Problem, priced: Sequence[Priced], moves: Sequence[Moved], limits: Limits) -> Totals:
    delays = delays_of(problem, moves)
    hauling = sum((move.cost for move in moves), Fraction(0))

    def span(times: list[int]) -> float:
        starts = problem.graph.starts(times, lambda one, other: delays.get((one, other), 0))
        return max((begun + time for begun, time in zip(starts, times, strict=True)), default=0) / MICRO_S

    return Totals(
        cost=sum((Fraction(one.cost) for one in priced), hauling),
        cost_high=sum((high_of(one, limits) for one in priced), hauling),
        time_s=span([micros(one.time_s) for one in priced]),
        time_high_s=span([time_of(one, limits) for one in priced]),
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


def _impossible(
    steps: Sequence[Step],
    limits: Limits,
    objective: Objective,
    edges: Sequence[Edge],
    problem: Problem,
    seconds: float,
) -> Impossible:
    nearest = [
        one
        for what, nearer, aim in _nearer(limits, problem)
        if (one := _nearest(steps, what, nearer, aim, edges, seconds)) is not None
    ]
    return Impossible(
        objective=objective, limits=limits, reason=_reason(steps, limits, problem, nearest), nearest=tuple(nearest)
    )


def _too_little(
    steps: Sequence[Step],
    limits: Limits,
    objective: Objective,
    edges: Sequence[Edge],
    quotas: Quotas,
    shared: Shared,
    seconds: float,
) -> Impossible:
    """The limits could be kept if it were not for the quotas."""
    nearest = []
    aims: dict[str, Objective] = {"quickest found within the quotas": "time", "cheapest within the quotas": "cost"}
    for what, aim in aims.items():
        plan = optimise(steps, without(limits, "deadline_s"), aim, edges=edges, seconds=seconds, quotas=quotas)
        if isinstance(plan, Plan):
            ways = tuple(f"{choice.step}: {choice.priced.offer}" for choice in plan.choices)
            says = f"{what}: {dollars(plan.totals.cost_high)} and {duration(plan.totals.time_high_s)}"
            nearest.append(Nearest(what=what, totals=plan.totals, ways=ways, says=says))
    short = shared.short[0]
    names = ", ".join(steps[number].name for number in short.steps[:5]) + (", …" if len(short.steps) > 5 else "")
    none = "no plan keeps" if shared.found.method == IN_TURN else "no plan was found that keeps"
    reason = (
        f"within the quotas {none} the deadline of {duration(limits.deadline_s or 0.0)}: without them {names} would "
        f"take {short.takes:g} of {short.most:g} {short.quota} at once"
    )
    return Impossible(objective=objective, limits=limits, reason=reason, nearest=tuple(nearest))


def without_facets(limits: Limits) -> Limits:
    """Limits of time and money alone."""
    return Limits(deadline_s=limits.deadline_s, budget=limits.budget, confidence=limits.confidence)


def without(limits: Limits, *names: str) -> Limits:
    none = {name: () if name in FACETS else None for name in names}
    return msgspec.structs.replace(limits, **none)


def _nearer(limits: Limits, problem: Problem) -> list[tuple[str, Limits, Objective]]:
    """What to give up, the least first."""
    asked: list[tuple[str, Limits, Objective]] = []
    facets = [name for name in FACETS if getattr(limits, name)]
    if not problem.empty():
        if limits.deadline_s is not None and limits.budget is not None:
            asked.append(("least budget for this deadline", without(limits, "budget"), "cost"))
            asked.append(("least deadline for this budget", without(limits, "deadline_s"), "time"))
        free = without(limits, "budget", "deadline_s")
        asked += [("cheapest", free, "cost"), ("quickest", free, "time")]
    if facets:
        asked.append((f"within the limits, without those of {', '.join(facets)}", without_facets(limits), "cost"))
        if problem.empty():
            asked.append(("cheapest of all", Limits(confidence=limits.confidence), "cost"))
    return asked


def _nearest(
    steps: Sequence[Step], what: str, limits: Limits, objective: Objective, edges: Sequence[Edge], seconds: float
) -> Nearest | None:
    budgeted = what.startswith("least budget") and limits.confidence is not None
    priced_high = [_at_high(step, limits) for step in steps] if budgeted else steps
    problem = problem_of(priced_high, limits, edges)
    try:
        found = best(problem, objective, seconds)
    except SetupError:  # not in the time: one suggestion less
        return None
    if found.chosen is None:
        return None
    priced = rows_of(steps, found.chosen)
    totals = totals_of(problem, priced, moved(steps, priced, edges), limits)
    return Nearest(
        what=what,
        totals=totals,
        ways=tuple(f"{step.name}: {one.offer}" for step, one in zip(steps, priced, strict=True)),
        says=f"{what}: {dollars(totals.cost_high)} and {duration(totals.time_high_s)}",
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
        takes, most = _told_apart(least_time, limits.deadline_s)
        return f"the quickest plan takes {takes}: the deadline is {most}"
    if limits.budget is not None and cheapest.totals.cost_high > limits.budget and limits.deadline_s is None:
        return f"the cheapest plan costs {dollars(cheapest.totals.cost_high)}: the budget is {dollars(limits.budget)}"
    if limits.budget is None:
        return "no plan keeps the deadline"
    least = known.get("least budget for this deadline", cheapest)
    within = "" if limits.deadline_s is None else f" within {duration(limits.deadline_s)}"
    return f"the cheapest plan{within} costs {dollars(least.totals.cost_high)}: the budget is {dollars(limits.budget)}"


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Two times, in seconds where both would read the same."""
    words = duration(one), duration(other)
    return words if words[0] != words[1] else (f"{one:.10g} s", f"{other:.10g} s")


def dollars(micro: Fraction) -> str:
    """`$12.3457`, and of what is below a dollar to the micro-dollar."""
    amount = float(micro) / 1e6
    return f"${amount:.4f}" if abs(amount) >= 1 else f"${amount:.6f}"


def duration(seconds: float) -> str:
    """`2 h 3 min`, `4 min 10 s`, `1.25 s`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
