"""A placement problem in exact whole numbers: the offers that can matter of each step, the graph, the limits.

Times are microseconds, amounts multiples of one part of a micro-dollar that all of them share, so that sums are exact
and quick. Times at the asked-for confidence are never below the expected ones: what keeps a limit keeps it in
expectation too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from skylift.errors import AuthorError
from skylift.placement.graph import Graph, graph_of
from skylift.placement.limits import check_limits
from skylift.placement.model import Edge, Limits, Site, Step
from skylift.placement.pruning import Survivor, survivors

MICRO_S = 1_000_000
NOWHERE = -1
"""The site of a step that no edge leads to or from: it does not matter."""


class Option(NamedTuple):
    """One offer of a step that nothing else is better than."""

    row: int
    """Its number among the step's offers."""
    cost: int
    high: int
    time: int
    site: int


class Haul(NamedTuple):
    """What an edge takes between two sites."""

    cost: int
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An edge, by numbers. Pairs that are not in `hauls` cannot be."""

    source: int
    target: int
    hauls: dict[tuple[int, int], Haul]
    number: int
    """Among the edges given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    graph: Graph
    options: list[list[Option]]
    """Of each step, the cheapest first. A step may have none left."""
    links: list[Link]
    unit: int
    """So many parts make a micro-dollar."""
    deadline: int | None
    budget: int | None
    into: list[list[Link]] = field(default_factory=list)
    out_of: list[list[Link]] = field(default_factory=list)

    def empty(self) -> list[int]:
        return [step for step, options in enumerate(self.options) if not options]

    def with_limits(self, deadline: int | None, budget: int | None) -> Problem:
        """The same offers under other limits of time and money."""
        return replace(self, deadline=deadline, budget=budget)

    def of_graph(self, graph: Graph) -> Problem:
        """The same steps in another order."""
        return replace(self, graph=graph)

    def restricted(self, options: list[list[Option]]) -> Problem:
        return replace(self, options=options)


class Worth(NamedTuple):
    """Of a whole choice."""

    cost: int
    high: int
    time: int


def worth(problem: Problem, chosen: Sequence[Option]) -> Worth | None:
    """Exact totals; None if two of the sites cannot go together."""
    cost = sum(option.cost for option in chosen)
    high = sum(option.high for option in chosen)
    delays: dict[tuple[int, int], int] = {}
    for link in problem.links:
        haul = link.hauls.get((chosen[link.source].site, chosen[link.target].site))
        if haul is None:
            return None
        cost += haul.cost
        high += haul.cost
        pair = (link.source, link.target)
        delays[pair] = max(delays.get(pair, 0), haul.time)
    times = [option.time for option in chosen]
    starts = problem.graph.starts(times, lambda one, other: delays.get((one, other), 0))
    return Worth(cost, high, max((begun + time for begun, time in zip(starts, times, strict=True)), default=0))


def keeps(problem: Problem, total: Worth) -> bool:
    return (problem.deadline is None or total.time <= problem.deadline) and (
        problem.budget is None or total.high <= problem.budget
    )


def micros(seconds: float) -> int:
    return round(seconds * MICRO_S)


def problem_of(steps: Sequence[Step], limits: Limits, edges: Sequence[Edge] = (), *, by_takes: bool = False) -> Problem:
    """What can matter of the steps' offers; with `by_takes` also those that take less of a quota. Raises AuthorError
    and SetupError for what cannot be meant."""
    check_limits(limits)
    graph = graph_of(steps, edges)
    numbers = {step.name: number for number, step in enumerate(steps)}
    sited = {numbers[name] for edge in edges for name in (edge.source, edge.target)}
    with_high = limits.budget is not None and limits.confidence is not None
    known: dict[tuple[int, bool], list[Survivor]] = {}  # steps may share their offers
    for number, step in enumerate(steps):
        key = (id(step.offers), number in sited)
        if key not in known:
            known[key] = survivors(step, limits, by_site=number in sited, with_high=with_high, by_takes=by_takes)
    kept = [known[id(step.offers), number in sited] for number, step in enumerate(steps)]
    sites: dict[Site, int] = {}
    for number in sorted(sited):
        for one in kept[number]:
            sites.setdefault(one.site, len(sites))
    amounts = [amount for found in known.values() for one in found for amount in (one.cost, one.high)]
    amounts += [move.cost for edge in edges for move in (*edge.moves.values(), edge.otherwise) if move is not None]
    unit = _shared_denominator([*amounts, limits.budget or Fraction(0)])
    options = [
        [_option(one, unit, sites[one.site] if number in sited else NOWHERE) for one in found]
        for number, found in enumerate(kept)
    ]
    links = [_link(number, edge, numbers, options, sites, unit) for number, edge in enumerate(edges)]
    into: list[list[Link]] = [[] for _ in steps]
    out_of: list[list[Link]] = [[] for _ in steps]
    for link in links:
        into[link.target].append(link)
        out_of[link.source].append(link)
    return Problem(
        graph=graph,
        options=options,
        links=links,
        unit=unit,
        deadline=None if limits.deadline_s is None else micros(limits.deadline_s),
        budget=None if limits.budget is None else math.floor(limits.budget * unit),
        into=into,
        out_of=out_of,
    )


def _option(one: Survivor, unit: int, site: int) -> Option:
    cost = one.cost.numerator * (unit // one.cost.denominator)
    high = cost if one.high is one.cost else one.high.numerator * (unit // one.high.denominator)
    return Option(one.row, cost, high, one.time, site)


def _shared_denominator(amounts: Iterable[Fraction]) -> int:
    return math.lcm(*{amount.denominator for amount in amounts})


def _link(
    number: int, edge: Edge, numbers: dict[str, int], options: list[list[Option]], sites: dict[Site, int], unit: int
) -> Link:
    source, target = numbers[edge.source], numbers[edge.target]
    named = {code: site for site, code in sites.items()}
    hauls: dict[tuple[int, int], Haul] = {}
    for one in sorted({option.site for option in options[source]}):
        for other in sorted({option.site for option in options[target]}):
            move = edge.move(named[one], named[other])
            if move is None:
                continue
            if move.cost < 0 or not 0 <= move.time_s < math.inf:
                where = f"the edge {edge.source} → {edge.target} from {named[one]} to {named[other]}"
                raise AuthorError(f"{where} costs {float(move.cost):g} micro-dollars and takes {move.time_s:g} s")
            hauls[one, other] = Haul(int(move.cost * unit), micros(move.time_s))
    return Link(source=source, target=target, hauls=hauls, number=number)
