"""What a choice of one offer for each step comes to: its rows added up again, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from skylift.placement.model import Edge, Limits, Priced, Step
from skylift.placement.plan import Moved, Totals
from skylift.placement.problem import MICRO_S, Option, Problem, micros


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
