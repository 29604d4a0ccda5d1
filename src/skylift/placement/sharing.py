"""The best plan where steps that may run at once share quotas.

Mostly the plan that is best without quotas keeps them. Where it does not, a step may wait for another, which costs
nothing but time. So without a deadline the cheapest plan is as cheap as without quotas, its steps one after the other
where a quota is short (see `waiting`). With a deadline, and for the quickest plan, on small graphs the exact program in
which steps may wait for each other (see `in_turn`). On others the better of

1. the exact program in which nothing waits: whichever steps run at once, they never take more than there is;
2. the offers without quotas in an order that keeps them, then the best in that order of which each takes no more.

`Found.bound` is then that of the problem without quotas, which no plan can beat: the gap says what quotas may have
cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from skylift.errors import SetupError
from skylift.placement.graph import Delay
from skylift.placement.highs import solve_within
from skylift.placement.in_turn import Turns, in_turn, with_turns
from skylift.placement.model import Edge, Limits, Objective, Quotas, Step
from skylift.placement.plan import Wait
from skylift.placement.problem import Option, Problem, problem_of, worth
from skylift.placement.program import Pool
from skylift.placement.quotas import Overdrawn, Takes, capacity, overdrawn, takes_of
from skylift.placement.search import Found, best
from skylift.placement.waiting import waits

NO_WAIT = "mixed-integer program with the quotas in it, HiGHS: nothing waits for a quota"
"""Also the beginning of the method of what was made cheaper from there."""
IN_TURN = "mixed-integer program with the quotas and who waits for whom in it, HiGHS"
IN_TURN_STOPPED = f"{IN_TURN}, stopped"
WAITING = "steps that a quota is too small for one after the other; then {method}"


class Shared(NamedTuple):
    """What came of it: the steps with the waits among what they come after."""

    steps: Sequence[Step]
    problem: Problem
    found: Found
    waits: tuple[Wait, ...] = ()
    short: tuple[Overdrawn, ...] = ()
    """Quotas that the best plan without them takes too much of."""


def share(
    steps: Sequence[Step],
    limits: Limits,
    objective: Objective,
    edges: Sequence[Edge],
    quotas: Quotas,
    problem: Problem,
    free: Found,
    seconds: float,
) -> Shared:
    """`free` is the best without quotas."""
    if free.chosen is None:
        return Shared(steps, problem, free)
    short = overdrawn(problem.graph, _takes(steps, free.chosen), quotas)
    if not short:
        return Shared(steps, problem, free)
    asked = _Asked(steps, limits, objective, edges, quotas, problem, free, seconds)
    found = asked.waiting() if objective == "cost" and limits.deadline_s is None else asked.in_time()
    return found._replace(short=tuple(short))


def _takes(steps: Sequence[Step], chosen: Sequence[Option]) -> list[Takes]:
    return [takes_of(step, option.row) for step, option in zip(steps, chosen, strict=True)]


class _Asked(NamedTuple):
    steps: Sequence[Step]
    limits: Limits
    objective: Objective
    edges: Sequence[Edge]
    quotas: Quotas
    problem: Problem
    free: Found
    seconds: float

    def in_time(self) -> Shared:
        """Where waiting counts."""
        problem = problem_of(self.steps, self.limits, self.edges, by_takes=True)
        pools = self._pools(problem)
        tried = [one for one in (self._in_turn(problem, pools),) if one is not None]
        if not tried or tried[0].found.method != IN_TURN:
            tried += [self._calm(problem, pools, self.objective), self.waiting()]
            if self.objective == "cost" and all(one.found.chosen is None for one in tried):
                tried.append(self._cheapened(problem, pools))
        return min(tried, key=self._worse)

    def _worse(self, shared: Shared) -> tuple[float, float]:
        if shared.found.chosen is None:
            return (math.inf, math.inf)
        total = worth(shared.problem, shared.found.chosen)
        assert total is not None
        cost = total.cost / shared.problem.unit
        return (cost, total.time) if self.objective == "cost" else (total.time, cost)

    def _bound(self, problem: Problem) -> float:
        """Of the problem without quotas, in the units of this one."""
        bound = self.free.bound
        return bound * problem.unit / self.problem.unit if self.objective == "cost" else bound

    def _in_turn(self, problem: Problem, pools: list[Pool]) -> Shared | None:
        """Exact; None for graphs that are too large, or without a solver."""
        try:
            found = in_turn(problem, self.objective, self.seconds, pools)
            if found is not None and found.chosen is not None and self.objective == "time":
                found = self._cheapest_of_that_time(problem, pools, found)
        except SetupError:
            return None
        if found is None:
            return None
        names, pool_names = problem.graph.names, self._pool_names(problem)
        waits = tuple(
            Wait(step=names[step], waits_for=names[giver], quota=pool_names[pool])
            for (giver, step), pool in sorted(found.waits.items())
        )
        ordered = with_turns(problem, list(found.waits))
        bound, method = self._bound(problem), IN_TURN_STOPPED
        if found.proven:
            total = None if found.chosen is None else worth(ordered, found.chosen)
            bound = math.inf if total is None else float(total.cost if self.objective == "cost" else total.time)
            method = IN_TURN
        return Shared(with_waits(self.steps, waits), ordered, Found(found.chosen, bound, method), waits)

    def _cheapest_of_that_time(self, problem: Problem, pools: list[Pool], found: Turns) -> Turns:
        assert found.chosen is not None
        total = worth(with_turns(problem, list(found.waits)), found.chosen)
        assert total is not None
        again = in_turn(problem.with_limits(total.time, problem.budget), "cost", self.seconds, pools)
        if again is None or again.chosen is None:
            return found
        return again._replace(proven=found.proven)

    def _pool_names(self, problem: Problem) -> list[str]:
        """Of the quotas that can be too small."""
        most = [
            [takes_of(step, option.row) for option in options]
            for step, options in zip(self.steps, problem.options, strict=True)
        ]
        return [
            name
            for name, room in self.quotas.items()
            if sum(max((one.get(name, 0) for one in own), default=0) for own in most) > capacity(room)
        ]

    def _pools(self, problem: Problem) -> list[Pool]:
        return [
            Pool(
                capacity(self.quotas[name]),
                [
                    [takes_of(step, option.row).get(name, 0) for option in options]
                    for step, options in zip(self.steps, problem.options, strict=True)
                ],
            )
            for name in self._pool_names(problem)
        ]

    def _cheapened(self, problem: Problem, pools: list[Pool]) -> Shared:
        """From the quickest plan in which nothing waits to a cheaper one of which no step takes more."""
        quickest = self._calm(problem, pools, "time")
        if quickest.found.chosen is None:
            return quickest
        answer = best(self._taking_no_more(problem, quickest.found.chosen), "cost", self.seconds)
        return quickest._replace(found=Found(answer.chosen, self._bound(problem), f"{NO_WAIT}; then {answer.method}"))

    def _taking_no_more(self, problem: Problem, chosen: Sequence[Option]) -> Problem:
        most = _takes(self.steps, chosen)
        return problem.restricted(
            [
                [option for option in options if _no_more(takes_of(step, option.row), upper)]
                for step, options, upper in zip(self.steps, problem.options, most, strict=True)
            ]
        )

    def _calm(self, problem: Problem, pools: list[Pool], aim: Objective) -> Shared:
        """In which nothing waits; without a choice if there is none, or none was found in the time."""

        def allowed(chosen: list[Option]) -> bool:
            return not overdrawn(problem.graph, _takes(self.steps, chosen), self.quotas)

        try:
            chosen = solve_within(problem, aim, self.seconds, pools, allowed).chosen
        except SetupError:  # no solver
            chosen = None
        return Shared(self.steps, problem, Found(chosen, self._bound(problem), NO_WAIT))

    def waiting(self) -> Shared:
        """The offers of the plan without quotas, in an order in which they keep them; then the best in that order."""
        assert self.free.chosen is not None
        problem = problem_of(self.steps, self.limits, self.edges, by_takes=True)
        times = [option.time for option in self.free.chosen]
        most = _takes(self.steps, self.free.chosen)
        found = waits(problem.graph, times, _delays(problem, self.free.chosen), most, self.quotas)
        names = [step.name for step in self.steps]
        said = tuple(
            Wait(step=names[step], waits_for=names[giver], quota=name) for (giver, step), name in found.items()
        )
        steps = with_waits(self.steps, said)
        ordered = self._taking_no_more(problem_of(steps, self.limits, self.edges, by_takes=True), self.free.chosen)
        answer = best(ordered, self.objective, self.seconds)
        method = WAITING.format(method=answer.method)
        return Shared(steps, ordered, Found(answer.chosen, self._bound(ordered), method), said)


def with_waits(steps: Sequence[Step], waits: Sequence[Wait]) -> Sequence[Step]:
    """In the order of a plan."""
    later: dict[str, list[str]] = {}
    for wait in waits:
        later.setdefault(wait.step, []).append(wait.waits_for)
    return [
        msgspec.structs.replace(step, after=(*step.after, *later[step.name])) if step.name in later else step
        for step in steps
    ]


def _delays(problem: Problem, chosen: Sequence[Option]) -> Delay:
    delays: dict[tuple[int, int], int] = {}
    for link in problem.links:
        haul = link.hauls[chosen[link.source].site, chosen[link.target].site]
        pair = (link.source, link.target)
        delays[pair] = max(delays.get(pair, 0), haul.time)
    return lambda one, other: delays.get((one, other), 0)


def _no_more(takes: Takes, upper: Takes) -> bool:
    return all(amount <= upper.get(name, 0) for name, amount in takes.items())
