"""Exact answers in whole numbers, without a solver: for graphs that are small or narrow.

`sweep` goes through the steps in order and keeps, of all beginnings of a plan, those that no other beats in what is
spent and in when each step ends that later ones wait for. It counts its work and gives up, with None, at a fixed amount
of it: never by the clock, so that the same problem always gets the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from skylift.placement.problem import Haul, Option, Problem, Worth, keeps, worth

MOST_WORK = 200_000
"""Comparisons and extensions of beginnings; about a quarter of a second."""
MOST_STEPS = 200
"""Of a graph that is swept."""

Aim = Literal["cost", "time", "front"]


class _Label(NamedTuple):
    """The beginning of a plan: what it has spent and when what is open ends."""

    values: tuple[int, ...]
    """Cost, cost at confidence and end so far where they count, then the end of each open step."""
    before: _Label | None
    option: Option


class _Stage(NamedTuple):
    step: int
    places: tuple[int, ...]
    """Of the steps before it, among the open ones."""
    hauls: tuple[tuple[int, int, dict[tuple[int, int], Haul]], ...]
    """Of each edge into it: place among the open ends, place among the open sites, what it takes."""
    ends: tuple[int, ...]
    """Which of the open ends stay open, by place."""
    sites: tuple[int, ...]
    opens: bool
    """Others wait for this one."""
    sends: bool
    """Its site is still asked for."""
    tail: int
    rest_cost: int
    rest_high: int


def sweep(problem: Problem, aim: Aim, most: int = MOST_WORK) -> list[list[Option]] | None:
    """The best plan, or every plan of the front, cheapest first; empty if none keeps the limits; None if the graph is
    too large for this."""
    if problem.empty():
        return []
    if len(problem.graph) > MOST_STEPS:
        return None
    best = first_guess(problem) if aim == "cost" else None
    limit = None if best is None else best[1].cost
    labels: dict[tuple[int, ...], list[_Label]] = {(): [_Label(_nothing(problem, aim), None, _NONE)]}
    work = _Work(most)
    stages = _stages(problem)
    for stage in stages:
        labels = _extended(problem, stage, labels, aim, limit, work)
        if work.left < 0:
            return None
    order = [stage.step for stage in stages]
    return [_unrolled(label, order) for label in _last(labels, aim, _counts_high(problem), work)]


_NONE = Option(-1, 0, 0, 0, -1)


class _Work:
    def __init__(self, most: int) -> None:
        self.left = most


def _counts_high(problem: Problem) -> bool:
    """Whether the budget is held against something else than the cost."""
    return problem.budget is not None and any(o.high != o.cost for options in problem.options for o in options)


def _nothing(problem: Problem, aim: Aim) -> tuple[int, ...]:
    return (0,) * (1 + _counts_high(problem) + (aim != "cost"))


def _stages(problem: Problem) -> list[_Stage]:
    graph = problem.graph
    fastest = [min(option.time for option in options) for options in problem.options]
    tails = graph.tails(fastest, least_delays(problem))
    cheapest = [options[0].cost for options in problem.options]
    least_high = [min(option.high for option in options) for options in problem.options]
    rest_cost, rest_high = sum(cheapest), sum(least_high)
    waits = [len(later) for later in graph.after]
    targets = [len(links) for links in problem.out_of]
    ends: list[int] = []
    sites: list[int] = []
    found: list[_Stage] = []
    for step in graph.order:
        hauls = tuple((ends.index(link.source), sites.index(link.source), link.hauls) for link in problem.into[step])
        places = tuple(ends.index(one) for one in graph.before[step])
        for one in graph.before[step]:
            waits[one] -= 1
        for link in problem.into[step]:
            targets[link.source] -= 1
        rest_cost -= cheapest[step]
        rest_high -= least_high[step]
        stay = tuple(place for place, one in enumerate(ends) if waits[one])
        keep = tuple(place for place, one in enumerate(sites) if targets[one])
        opens, sends = bool(graph.after[step]), bool(problem.out_of[step])
        found.append(_Stage(step, places, hauls, stay, keep, opens, sends, tails[step], rest_cost, rest_high))
        ends = [ends[place] for place in stay] + [step] * opens
        sites = [sites[place] for place in keep] + [step] * sends
    return found


def least_delays(problem: Problem) -> Any:
    """Of each pair of steps the least that its edges take."""
    least: dict[tuple[int, int], int] = {}
    for link in problem.links:
        pair = (link.source, link.target)
        least[pair] = max(least.get(pair, 0), min((haul.time for haul in link.hauls.values()), default=0))
    return lambda one, other: least.get((one, other), 0)


def _extended(
    problem: Problem,
    stage: _Stage,
    labels: dict[tuple[int, ...], list[_Label]],
    aim: Aim,
    limit: int | None,
    work: _Work,
) -> dict[tuple[int, ...], list[_Label]]:
    """Every beginning with every offer of one more step, less what cannot lead to a plan or is beaten."""
    counts_high, spans = _counts_high(problem), aim != "cost"
    head = 1 + counts_high + spans
    deadline = None if problem.deadline is None else problem.deadline - stage.tail
    budget = None if problem.budget is None else problem.budget - (stage.rest_high if counts_high else stage.rest_cost)
    limit = None if limit is None else limit - stage.rest_cost
    found: dict[tuple[int, ...], list[_Label]] = {}
    options = problem.options[stage.step]
    for sites, group in labels.items():
        kept_sites = tuple(sites[place] for place in stage.sites)
        reached = [_reached(stage, sites, option.site) for option in options]
        for label in group:
            values = label.values
            ends = values[head:]
            kept_ends = tuple(ends[place] for place in stage.ends)
            start = max((ends[place] for place in stage.places), default=0)
            work.left -= len(options)
            for option, through in zip(options, reached, strict=True):
                if through is None:
                    continue
                begun, cost, high = start, values[0] + option.cost, option.high
                for place, haul in through:
                    cost += haul.cost
                    high += haul.cost
                    begun = max(begun, ends[place] + haul.time)
                end = begun + option.time
                if (deadline is not None and end > deadline) or (limit is not None and cost > limit):
                    continue
                spent = values[1] + high if counts_high else cost
                if budget is not None and spent > budget:
                    continue
                new = (cost, spent) if counts_high else (cost,)
                if spans:
                    new = (*new, max(values[head - 1], end + stage.tail))
                new = (*new, *kept_ends, end) if stage.opens else (*new, *kept_ends)
                key = (*kept_sites, option.site) if stage.sends else kept_sites
                found.setdefault(key, []).append(_Label(new, label, option))
        if work.left < 0:
            return found
    return {key: _unbeaten(group, work) for key, group in found.items()}


def _reached(stage: _Stage, sites: tuple[int, ...], site: int) -> list[tuple[int, Haul]] | None:
    through = []
    for end, place, hauls in stage.hauls:
        haul = hauls.get((sites[place], site))
        if haul is None:
            return None
        through.append((end, haul))
    return through


def _unbeaten(group: list[_Label], work: _Work) -> list[_Label]:
    group.sort(key=lambda label: label.values)
    size = len(group[0].values)
    if size == 1:
        return group[:1]
    kept: list[_Label] = []
    if size == 2:
        for label in group:
            if not kept or label.values[1] < kept[-1].values[1]:
                kept.append(label)
        return kept
    for label in group:
        work.left -= len(kept) // 4
        if work.left < 0:
            return kept
        values = label.values
        for other in kept:
            if all(map(int.__le__, other.values, values)):
                break
        else:
            kept.append(label)
    return kept


def _last(labels: dict[tuple[int, ...], list[_Label]], aim: Aim, counts_high: bool, work: _Work) -> list[_Label]:
    """With no step open all values are the plan's."""
    ended = [label for group in labels.values() for label in group]
    if not ended:
        return []
    span = 1 + counts_high
    if aim == "cost":
        return [min(ended, key=lambda label: label.values)]
    if aim == "time":
        return [min(ended, key=lambda label: (label.values[span], *label.values))]
    flat = [label._replace(values=(label.values[0], label.values[span])) for label in ended]
    return _unbeaten(flat, work)


def _unrolled(label: _Label, order: Sequence[int]) -> list[Option]:
    chosen = [_NONE] * len(order)
    at: _Label | None = label
    for step in reversed(order):
        assert at is not None
        chosen[step] = at.option
        at = at.before
    return chosen


def first_guess(problem: Problem) -> tuple[list[Option], Worth] | None:
    """A plan that keeps the limits, found quickly: all at their quickest, then each as cheap as its slack allows. None
    if that gives none."""
    chosen = [min(options, key=lambda option: (option.time, option.cost)) for options in problem.options]
    total = worth(problem, chosen)
    if total is None:
        return None
    gains = [(chosen[step].cost - options[0].cost, step) for step, options in enumerate(problem.options)]
    for _, step in sorted(gains, key=lambda gain: (-gain[0], gain[1])):
        for option in problem.options[step]:
            if option.cost >= chosen[step].cost:
                break
            tried = [*chosen[:step], option, *chosen[step + 1 :]]
            found = worth(problem, tried)
            if found is None or found.cost >= total.cost:
                continue
            if problem.deadline is None or found.time <= max(problem.deadline, 0):
                chosen, total = tried, found
                break
    return (chosen, total) if keeps(problem, total) else None
