"""The runner-up of each step: the next best offer, all other steps staying as they are, and why it was not taken."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from skylift.placement.limits import allowed
from skylift.placement.model import Edge, Limits, Offers, Priced, Quotas, Step, Table, Way
from skylift.placement.plan import Plan, RunnerUp
from skylift.placement.problem import MICRO_S, Problem, micros, problem_of
from skylift.placement.quotas import capacity, heaviest, in_parts
from skylift.placement.totals import high_of, time_of
from skylift.placement.words import dollars, duration

EXACTLY = 100
"""Steps of a graph in which other offers are held against quotas exactly."""
LOOKED_AT = 50
"""Of each step's offers, beside those that nothing beats: the cheapest and the quickest."""


class _Other(NamedTuple):
    """Another offer of a step, all other steps staying as they are."""

    priced: Priced
    cost: Fraction
    """More than now."""
    high: Fraction
    through: int
    """The longest path through the step with it, in microseconds."""
    quota: str | None
    """Of which it would take too much."""


def runners_up(
    plan: Plan,
    steps: Sequence[Step],
    edges: Sequence[Edge] = (),
    problem: Problem | None = None,
    quotas: Quotas | None = None,
) -> list[RunnerUp]:
    """Of each step the best offer that the plan could have instead, and where there is one that would be better if it
    kept the limits, that too."""
    problem = problem or problem_of(steps, plan.limits, edges)
    around, shelf = _Around(plan, problem, edges, quotas or {}), _Shelf(plan.limits)
    found: list[RunnerUp] = []
    for number, step in enumerate(steps):
        others = [
            other
            for row in sorted({*shelf.rows(step), *(option.row for option in problem.options[number])})
            if (other := around.instead(number, step.offers[row])) is not None
        ]
        found += _best_of(plan, step, others, around)
    return found


class _Shelf:
    """Of the offers of a step those worth a look: the cheapest and the quickest. Steps may share their offers."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[int, list[int]] = {}

    def rows(self, step: Step) -> list[int]:
        offers = step.offers
        if id(offers) not in self._known:
            self._known[id(offers)] = self._ends(offers)
        return self._known[id(offers)]

    def _ends(self, offers: Offers) -> list[int]:
        if isinstance(offers, Table):
            ways: Sequence[Way] = offers.ways
            amounts: list[tuple[float, float]] = [
                (int(cost), float(time)) for cost, time in zip(offers.cost, offers.time_s, strict=True)
            ]
        else:
            ways = [priced.offer for priced in offers]
            amounts = [(float(priced.cost), priced.time_s) for priced in offers]
        rows = [row for row, way in enumerate(ways) if allowed(way, self._limits)]
        cheapest = heapq.nsmallest(LOOKED_AT, rows, key=lambda row: (*amounts[row], row))
        quickest = heapq.nsmallest(LOOKED_AT, rows, key=lambda row: (*amounts[row][::-1], row))
        return sorted({*cheapest, *quickest})


def _best_of(plan: Plan, step: Step, others: Iterable[_Other], around: _Around) -> list[RunnerUp]:
    chosen = plan.choice(step.name)
    assert chosen is not None
    rest = [other for other in others if other.priced != chosen.priced]
    keeping = [other for other in rest if around.keeps(other)]
    missing = [other for other in rest if not around.keeps(other)]
    by_cost = plan.objective == "cost"

    def order(other: _Other) -> tuple[object, ...]:
        worse = (other.cost, other.through) if by_cost else (max(other.through, around.span), other.cost)
        return (*worse, other.priced.offer.key)

    found = []
    better = [other for other in missing if (other.cost < 0 if by_cost else other.through < around.span)]
    for some in (better, keeping):
        if some:
            found.append(around.told(step, min(some, key=order)))
    return found


class _Around:
    """A plan, to see what another offer of one step would change."""

    def __init__(self, plan: Plan, problem: Problem, edges: Sequence[Edge], quotas: Quotas) -> None:
        self.quotas = quotas
        self.takes = [in_parts(choice.priced) for choice in plan.choices] if quotas else []
        self.plan, self.problem, self.limits = plan, problem, plan.limits
        self.priced = [choice.priced for choice in plan.choices]
        self.times = [time_of(one, plan.limits) for one in self.priced]
        self.sites = [one.offer.site for one in self.priced]
        numbers = {name: number for number, name in enumerate(problem.graph.names)}
        self.edges = [(numbers[edge.source], numbers[edge.target], edge) for edge in edges]
        self.of_step: list[list[tuple[int, int, Edge]]] = [[] for _ in self.priced]
        for source, target, edge in self.edges:
            self.of_step[source].append((source, target, edge))
            self.of_step[target].append((source, target, edge))
        self.delays: dict[tuple[int, int], int] = {}
        for source, target, edge in self.edges:
            self._add(self.delays, source, target, edge, self.sites[source], self.sites[target])
        self.starts = problem.graph.starts(self.times, self._delay)
        self.tails = problem.graph.tails(self.times, self._delay)
        self.span = max((one + time for one, time in zip(self.starts, self.times, strict=True)), default=0)

    def _delay(self, one: int, other: int) -> int:
        return self.delays.get((one, other), 0)

    @staticmethod
    def _add(delays: dict[tuple[int, int], int], source: int, target: int, edge: Edge, *sites: object) -> bool:
        move = edge.move(*sites)  # type: ignore[arg-type]
        if move is not None:
            delays[source, target] = max(delays.get((source, target), 0), micros(move.time_s))
        return move is not None

    def instead(self, step: int, priced: Priced) -> _Other | None:
        """None if its site cannot go together with its neighbours'."""
        hauling = Fraction(0)
        delays: dict[tuple[int, int], int] = {}
        for source, target, edge in self.of_step[step]:
            sites = [priced.offer.site if end == step else self.sites[end] for end in (source, target)]
            move, now = edge.move(sites[0], sites[1]), edge.move(self.sites[source], self.sites[target])
            if move is None or now is None:
                return None
            self._add(delays, source, target, edge, *sites)
            hauling += Fraction(move.cost) - Fraction(now.cost)
        graph = self.problem.graph
        start = max(
            (self.starts[one] + self.times[one] + delays.get((one, step), 0) for one in graph.before[step]), default=0
        )
        tail = max(
            (delays.get((step, one), 0) + self.times[one] + self.tails[one] for one in graph.after[step]), default=0
        )
        now_priced = self.priced[step]
        return _Other(
            priced=priced,
            cost=Fraction(priced.cost) - Fraction(now_priced.cost) + hauling,
            high=high_of(priced, self.limits) - high_of(now_priced, self.limits) + hauling,
            through=start + time_of(priced, self.limits) + tail,
            quota=self._overdrawn(step, priced),
        )

    def _overdrawn(self, step: int, priced: Priced) -> str | None:
        """A quota of which it would take too much; on large graphs, one of which it might."""
        if not self.quotas:
            return None
        new, now = in_parts(priced), self.takes[step]
        for name, want in new.items():
            if want <= now.get(name, 0) or name not in self.quotas:
                continue
            wants = [one.get(name, 0) for one in self.takes]
            wants[step], most = want, capacity(self.quotas[name])
            graph = self.problem.graph
            if sum(wants) > most and (len(graph) > EXACTLY or heaviest(graph, wants)[0] > most):
                return name
        return None

    def keeps(self, other: _Other) -> bool:
        return self._late(other) <= 0 and self._over(other) <= 0 and other.quota is None

    def _late(self, other: _Other) -> int:
        deadline = self.limits.deadline_s
        if self.plan.objective == "time":
            return max(other.through - self.span, 0)
        return 0 if deadline is None else max(other.through - micros(deadline), 0)

    def _over(self, other: _Other) -> Fraction:
        budget = self.limits.budget
        return Fraction(0) if budget is None else max(self.plan.totals.cost_high + other.high - budget, Fraction(0))

    def told(self, step: Step, other: _Other) -> RunnerUp:
        later = max(other.through, self.span) - self.span
        return RunnerUp(
            step=step.name,
            priced=other.priced,
            cost_more=other.cost,
            time_more_s=later / MICRO_S,
            why_not=self._why(step, other, later),
        )

    def _why(self, step: Step, other: _Other, later: int) -> str:
        cost = f"{dollars(abs(other.cost))} {'dearer' if other.cost > 0 else 'cheaper'}" if other.cost else "as dear"
        number = self.problem.graph.names.index(step.name)
        slower = time_of(other.priced, self.limits) - self.times[number]
        pace = (
            "as quick" if not slower else f"{duration(abs(slower) / MICRO_S)} {'slower' if slower > 0 else 'quicker'}"
        )
        words = [f"{cost}, {pace}"]
        late, over = self._late(other), self._over(other)
        if late and self.plan.objective == "time":
            words.append(f"all would end {duration(late / MICRO_S)} later")
        elif late:
            words.append(f"the deadline would be missed by {duration(late / MICRO_S)}")
        elif later:
            words.append(f"all would end {duration(later / MICRO_S)} later")
        if over:
            words.append(f"the budget would be exceeded by {dollars(over)}")
        if other.quota is not None:
            words.append(f"too much of {self.quotas[other.quota]:g} {other.quota} with what may run at the same time")
        if not late and not over and not other.cost and not slower and other.quota is None:
            words.append("equal: the first by name is taken")
        return "; ".join(words)
