"""The front of cost and time: plans of which none is both cheaper and quicker than another."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from skylift.errors import SetupError
from skylift.placement.deadlines import Deadlines
from skylift.placement.highs import solver
from skylift.placement.limits import without
from skylift.placement.model import Edge, Limits, Step
from skylift.placement.plan import Front, Point
from skylift.placement.problem import Option, Problem, Worth, problem_of, worth
from skylift.placement.search import SECONDS, best
from skylift.placement.sweep import MOST_STEPS, sweep
from skylift.placement.totals import moved, rows_of, totals_of

DEADLINES = 12
"""Tried between the cheapest plan and the quickest where not all points can be listed."""
ROUGH = 0.01
"""A point of a large graph that may be dearer by more than that is left to the solver for its time."""
MOST_POINTS = 60
"""Shown of a front that is known whole."""
WORK = 600_000
WORK_OF_POINT = 40_000
"""Without a solver, for each point of a front that was too much for `WORK` as a whole."""


def front(
    steps: Sequence[Step],
    limits: Limits,
    *,
    edges: Sequence[Edge] = (),
    deadlines: int = DEADLINES,
    seconds: float = SECONDS,
    problem: Problem | None = None,
) -> Front:
    """Whatever the deadline and the budget; limits on what is bought stay. `seconds` is for each point, `problem` what
    is known of the steps already."""
    free = without(limits, "deadline_s", "budget")
    problem = (problem or problem_of(steps, free, edges)).with_limits(None, None)
    if problem.empty():
        return Front(points=(), whole=True, says="a step has no offer within the limits: there is no plan")
    swept = sweep(problem, "front", WORK)
    if swept is not None:
        return _whole(steps, free, edges, problem, swept)
    return _sampled(steps, free, edges, problem, deadlines, seconds)


def _whole(
    steps: Sequence[Step], limits: Limits, edges: Sequence[Edge], problem: Problem, found: list[list[Option]]
) -> Front:
    shown = found
    if len(found) > MOST_POINTS:
        places = {round(number * (len(found) - 1) / (MOST_POINTS - 1)) for number in range(MOST_POINTS)}
        shown = [found[place] for place in sorted(places)]
    says = f"all {len(found)} points of the front, exact"
    if len(shown) < len(found):
        says = f"{len(shown)} of the {len(found)} points of the front, all exact"
    points = tuple(_point(steps, limits, edges, problem, chosen, 0.0) for chosen in shown)
    return Front(points=points, whole=len(shown) == len(found), says=says)


def _sampled(
    steps: Sequence[Step],
    limits: Limits,
    edges: Sequence[Edge],
    problem: Problem,
    deadlines: int,
    seconds: float,
) -> Front:
    """The cheapest plan for each of some deadlines, evenly spaced."""
    cheapest, quickest = best(problem, "cost", seconds), best(problem, "time", seconds)
    ends = [found.chosen for found in (cheapest, quickest)]
    if ends[0] is None or ends[1] is None:
        return Front(points=(), whole=True, says="no choice of sites has a price for all its transfers")
    slow, fast = worth(problem, ends[0]), worth(problem, ends[1])
    assert slow is not None and fast is not None
    between = [slow.time - (slow.time - fast.time) * number // (deadlines - 1) for number in range(1, deadlines - 1)]
    found = [(slow, ends[0], 0.0), *_between(problem, between, slow.time, seconds), (fast, ends[1], 0.0)]
    kept = _unbeaten(found)
    largest = max(gap for _, _, gap in kept)
    exact = "each exact" if largest == 0 else f"each at most {largest:.2%} dearer than the best of its time"
    return Front(
        points=tuple(_point(steps, limits, edges, problem, chosen, gap) for _, chosen, gap in kept),
        whole=False,
        says=f"{len(kept)} points of the front, from {deadlines} deadlines, {exact}; there are others between them",
    )


def _between(
    problem: Problem, deadlines: Sequence[int], slowest: int, seconds: float
) -> list[tuple[Worth, list[Option], float]]:
    """The cheapest by each; where none is found in the time, there is one point less."""
    known = _rounded(problem, deadlines, slowest, seconds)
    found = {deadline: [one] for deadline, one in known.items() if one[2] <= ROUGH}
    for deadline, chosen, bound in _solved(problem, [one for one in deadlines if one not in found], seconds):
        total = worth(problem, chosen)
        if total is not None:
            found[deadline] = [(total, chosen, _gap(total, bound)), *([known[deadline]] if deadline in known else [])]
    return [min(found[deadline], key=_cheapest) for deadline in deadlines if deadline in found]


def _cheapest(point: tuple[Worth, list[Option], float]) -> tuple[int, float]:
    return point[0].cost, point[2]


def _rounded(
    problem: Problem, deadlines: Sequence[int], slowest: int, seconds: float
) -> dict[int, tuple[Worth, list[Option], float]]:
    """Of large graphs, by deadline: what is rounded from a relaxation is mostly hardly dearer than it, and takes a
    tenth of the time that a search would be given."""
    if problem.links or len(problem.graph) <= MOST_STEPS:
        return {}
    highspy, np = solver()
    by = Deadlines(problem, slowest, highspy, np, monotonic() + seconds * len(deadlines))
    found = {}
    for deadline in deadlines:
        asked = by.asked(deadline)
        chosen = None if asked is None else by.whole()
        total = None if chosen is None else worth(problem, chosen)
        if asked is not None and chosen is not None and total is not None:
            found[deadline] = (total, chosen, _gap(total, asked[0] * (1 - 1e-7)))
    return found


def _solved(problem: Problem, deadlines: Sequence[int], seconds: float) -> list[tuple[int, list[Option], float]]:
    found = []
    for deadline in deadlines:
        try:
            one = best(problem.with_limits(deadline, None), "cost", seconds, WORK_OF_POINT)
        except SetupError:
            continue
        if one.chosen is not None:
            found.append((deadline, one.chosen, one.bound))
    return found


def _gap(total: Worth, bound: float) -> float:
    gap = max(0.0, (total.cost - bound) / total.cost) if total.cost else 0.0
    return gap if gap > 1e-9 else 0.0


def _unbeaten(found: list[tuple[Worth, list[Option], float]]) -> list[tuple[Worth, list[Option], float]]:
    kept: list[tuple[Worth, list[Option], float]] = []
    for one in sorted(found, key=lambda point: (point[0].cost, point[0].time)):
        if not kept or one[0].time < kept[-1][0].time:
            kept.append(one)
    return kept


def _point(
    steps: Sequence[Step], limits: Limits, edges: Sequence[Edge], problem: Problem, chosen: list[Option], gap: float
) -> Point:
    priced = rows_of(steps, chosen)
    return Point(
        totals=totals_of(problem, priced, moved(steps, priced, edges), limits),
        ways=tuple(f"{step.name}: {one.offer}" for step, one in zip(steps, priced, strict=True)),
        gap=gap,
    )
