"""The cheapest plan of a graph without limits, exactly: steps are taken out of the graph one after the other.

Dynamic programming over the sites that data is moved between. It counts its work and gives up, with None, at a fixed
amount of it: never by the clock, so that the same problem always gets the same answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from skylift.placement.problem import Option, Problem

MOST_ENTRIES = 200_000
"""Of the tables of an elimination."""


def eliminate(problem: Problem, most: int = MOST_ENTRIES) -> list[Option] | None:
    """The cheapest plan, whatever its time: sites by dynamic programming over the edges. None if the edges are too
    much entangled for that, or no choice of sites has a price."""
    chosen = [options[0] for options in problem.options]
    if not problem.links:
        return chosen
    domains = _domains(problem)
    tables: list[_Factor] = [
        _Factor((link.source, link.target), {pair: haul.cost for pair, haul in link.hauls.items()})
        for link in problem.links
    ]
    answers: list[tuple[int, tuple[int, ...], dict[tuple[int, ...], int]]] = []
    left = sorted(domains)
    while left:
        step = min(left, key=lambda one: (_size(one, tables, domains), one))
        if _size(step, tables, domains) * len(domains[step]) > most:
            return None
        scope, table, best = _without(step, tables, domains)
        if not table:
            return None
        tables = [one for one in tables if step not in one.scope] + [_Factor(scope, table)]
        answers.append((step, scope, best))
        left.remove(step)
    sites: dict[int, int] = {}
    for step, scope, best in reversed(answers):
        sites[step] = best[tuple(sites[one] for one in scope)]
        chosen[step] = domains[step][sites[step]]
    return chosen


class _Factor(NamedTuple):
    scope: tuple[int, ...]
    table: dict[tuple[int, ...], int]


def _domains(problem: Problem) -> dict[int, dict[int, Option]]:
    """Of each step at an edge, the cheapest offer at each site."""
    domains: dict[int, dict[int, Option]] = {}
    for step in sorted({end for link in problem.links for end in (link.source, link.target)}):
        for option in problem.options[step]:
            domains.setdefault(step, {}).setdefault(option.site, option)
    return domains


def _scope(step: int, tables: Sequence[_Factor]) -> tuple[int, ...]:
    return tuple(sorted({one for table in tables if step in table.scope for one in table.scope} - {step}))


def _size(step: int, tables: Sequence[_Factor], domains: dict[int, dict[int, Option]]) -> int:
    size = 1
    for one in _scope(step, tables):
        size *= len(domains[one])
    return size


def _without(
    step: int, tables: Sequence[_Factor], domains: dict[int, dict[int, Option]]
) -> tuple[tuple[int, ...], dict[tuple[int, ...], int], dict[tuple[int, ...], int]]:
    """Takes a step out: what the rest costs with the best site for it, and which site that is."""
    scope = _scope(step, tables)
    near = [
        (table.table, [-1 if one == step else scope.index(one) for one in table.scope])
        for table in tables
        if step in table.scope
    ]
    costs: dict[tuple[int, ...], int] = {}
    best: dict[tuple[int, ...], int] = {}
    for sites in itertools.product(*(domains[one] for one in scope)):
        for site, option in domains[step].items():
            parts = [
                table.get(tuple(site if place < 0 else sites[place] for place in places)) for table, places in near
            ]
            prices = [part for part in parts if part is not None]
            if len(prices) < len(parts):
                continue
            cost = option.cost + sum(prices)
            if sites not in costs or cost < costs[sites]:
                costs[sites], best[sites] = cost, site
    return scope, costs, best
