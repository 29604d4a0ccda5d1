"""From a relaxation, in which a step may take a part of each of two offers, to plans that take whole ones. All in whole
numbers, in the order of the steps."""

from __future__ import annotations

import math
from typing import Any

from skylift.placement.problem import Option, Problem

PASSES = (0.98, 0.95, 0.9, 0.8, 0.65, 0.5, 0.25, 0.0)
"""Over a plan in hand, to make it cheaper: each takes the steps above that share of all savings there could be."""


def rounded(problem: Problem, aim: str, values: Any) -> list[Option]:
    """Of the offers that the relaxation takes a part of, the one on the safe side of the limit."""
    chosen = []
    at = 0
    for options in problem.options:
        taken = [option for number, option in enumerate(options) if values[at + number] > 1e-7] or options
        at += len(options)
        safe = (lambda o: (o.time, o.cost)) if aim == "cost" else (lambda o: (o.high, o.time))
        chosen.append(min(taken, key=safe))
    return chosen


def followed(problem: Problem, values: Any) -> list[Option] | None:
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
