"""The optimizer against trying everything: small graphs, every limit, both objectives, with and without the solver."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.placement.explain import explained
from skylift.placement.front import front
from skylift.placement.highs import solve
from skylift.placement.model import Edge, Limits, Move, Priced, Site, Step, Table, Way
from skylift.placement.optimise import optimise
from skylift.placement.plan import Impossible, Nearest, Plan
from skylift.placement.problem import Worth, keeps, problem_of, worth
from skylift.placement.saved import decoded, encoded

REGIONS = ("eu-west-1", "eu-north-1", "us-east-1")


def way(number: int, region: str) -> Way:
    market = "spot" if number % 2 else "on-demand"
    return Way(
        backend="batch",
        service="batch",
        instance_type=f"m{number}",
        vcpus=2,
        memory_mib=4096,
        region=region,
        market=market,
    )


@st.composite
def offers(draw: st.DrawFn, name: str) -> tuple[Priced, ...]:
    found = []
    for number in range(draw(st.integers(1, 5))):
        cost, time = Fraction(draw(st.integers(0, 60)), draw(st.sampled_from([1, 2, 3]))), draw(st.integers(1, 30)) / 4
        found.append(
            Priced(
                offer=way(number, draw(st.sampled_from(REGIONS))),
                cost=cost,
                time_s=time,
                time_high_s=time + draw(st.integers(0, 8)) / 4,
                cost_high=cost + draw(st.integers(0, 20)),
            )
        )
    return tuple(found)


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 5))):
        names = [step.name for step in steps]
        after = (
            tuple(sorted(draw(st.sets(st.sampled_from(names), min_size=draw(st.integers(0, 1)), max_size=2))))
            if names
            else ()
        )
        steps.append(Step(name=f"s{number}", after=after, offers=draw(offers(f"s{number}"))))
    return steps


@st.composite
def edges_of(draw: st.DrawFn, steps: Sequence[Step]) -> list[Edge]:
    """Some of the graph's, with prices between regions; one pair in some has none."""
    pairs = [(name, step.name) for step in steps for name in step.after]
    found = []
    for source, target in draw(st.lists(st.sampled_from(pairs), max_size=5, unique=True)) if pairs else []:
        moves = {}
        for one, other in itertools.permutations(REGIONS, 2):
            if draw(st.integers(0, 5)):
                move = Move(cost=Fraction(draw(st.integers(0, 30)), 2), time_s=draw(st.integers(0, 12)) / 4)
                moves[Site("aws", one), Site("aws", other)] = move
        found.append(Edge(source=source, target=target, moves=moves))
    return found


@st.composite
def limits_of(draw: st.DrawFn) -> Limits:
    return Limits(
        deadline_s=draw(st.none() | st.integers(4, 120).map(lambda quarter: quarter / 4)),
        budget=draw(st.none() | st.integers(0, 250).map(Fraction)),
        confidence=draw(st.sampled_from([None, 0.9])),
        regions=draw(st.sampled_from([(), ("eu-*",), ("us-*", "eu-n*")])),
        markets=draw(st.sampled_from([(), (), ("on-demand",)])),
    )


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[Step], list[Edge], Limits]:
    """With limits of time and money that some plans keep just so, and others do not."""
    steps = draw(graphs())
    edges = draw(edges_of(steps))
    limits = draw(limits_of())
    every = tried(steps, msgspec.structs.replace(limits, deadline_s=None, budget=None), edges)
    times, highs = sorted({one.time for one in every}), sorted({Fraction(one.high) for one in every})
    if times and draw(st.integers(0, 3)):
        limits = msgspec.structs.replace(limits, deadline_s=draw(st.sampled_from(times[: len(times) // 2 + 1])) / 1e6)
    if highs and draw(st.integers(0, 3)):
        limits = msgspec.structs.replace(limits, budget=draw(st.sampled_from(highs)))
    return steps, edges, limits


def tried(steps: Sequence[Step], limits: Limits, edges: Sequence[Edge]) -> list[Worth]:
    """Everything that keeps the limits, straight from the rows."""
    free = msgspec.structs.replace(limits, deadline_s=None, budget=None)
    found = []
    for rows in itertools.product(*(step.offers for step in steps)):
        total = by_hand(steps, rows, free, edges)
        if total is None or any(not _allowed(row.offer, limits) for row in rows):
            continue
        late = limits.deadline_s is not None and total.time > round(limits.deadline_s * 1e6)
        dear = limits.budget is not None and total.high > limits.budget
        if not late and not dear:
            found.append(total)
    return found


def _allowed(offer: Way, limits: Limits) -> bool:
    regions = tuple(pattern.rstrip("*") for pattern in limits.regions)
    return (not regions or offer.region.startswith(regions)) and (not limits.markets or offer.market in limits.markets)


def by_hand(steps: Sequence[Step], rows: Sequence[Priced], limits: Limits, edges: Sequence[Edge]) -> Worth | None:
    cost = high = Fraction(0)
    ends: dict[str, int] = {}
    site = {step.name: row.offer.site for step, row in zip(steps, rows, strict=True)}
    for step, row in zip(steps, rows, strict=True):
        begun = max((ends[name] for name in step.after), default=0)
        for edge in edges:
            if edge.target != step.name:
                continue
            move = edge.move(site[edge.source], site[edge.target])
            if move is None:
                return None
            cost, high = cost + move.cost, high + move.cost
            begun = max(begun, ends[edge.source] + round(move.time_s * 1e6))
        time, dear = row.time_s, row.cost
        if limits.confidence is not None:
            time, dear = max(time, row.time_high_s or 0), max(dear, row.cost_high or Fraction(0))
        ends[step.name] = begun + round(time * 1e6)
        cost, high = cost + row.cost, high + dear
    return Worth(cost, high, max(ends.values()))  # type: ignore[arg-type]


def worth_of(plan: Plan) -> tuple[Fraction, Fraction, int]:
    return plan.totals.cost, plan.totals.cost_high, round(plan.totals.time_high_s * 1e6)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_plan_is_the_best_of_all_that_keep_the_limits(data: st.DataObject) -> None:
    steps, edges, limits = data.draw(questions())
    every = tried(steps, limits, edges)
    for objective in ("cost", "time"):
        plan = optimise(steps, limits, objective, edges=edges)  # type: ignore[arg-type]
        if not every:
            assert isinstance(plan, Impossible), plan
            continue
        assert isinstance(plan, Plan), plan
        cost, _, time = worth_of(plan)
        assert worth_of(plan) in [tuple(one) for one in every]
        assert plan.gap == 0
        if objective == "cost":
            assert cost == min(one.cost for one in every)
        else:
            assert (time, cost) == min((one.time, one.cost) for one in every)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_the_solver_finds_the_same(data: st.DataObject) -> None:
    pytest.importorskip("highspy")
    steps, edges, limits = data.draw(questions())
    problem = problem_of(steps, limits, edges)
    every = [] if problem.empty() else tried(steps, limits, edges)
    for aim in ("cost", "time"):
        found = solve(problem, aim, 10.0)  # type: ignore[arg-type]
        assert found.proven
        if not every:
            assert found.chosen is None
            continue
        assert found.chosen is not None
        total = worth(problem, found.chosen)
        assert total is not None and keeps(problem, total)
        if aim == "cost":
            least: Fraction = min(one.cost for one in every)  # type: ignore[type-var, assignment]
            assert Fraction(total.cost, problem.unit) == least
        else:
            assert total.time == min(one.time for one in every)
        assert found.bound <= total[0 if aim == "cost" else 2]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_front_has_every_point_and_no_other(data: st.DataObject) -> None:
    steps = data.draw(graphs())
    edges = data.draw(edges_of(steps))
    limits = Limits(confidence=data.draw(st.sampled_from([None, 0.9])))
    every = {(one.cost, one.time) for one in tried(steps, limits, edges)}
    unbeaten = {
        one for one in every if not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in every)
    }
    found = front(steps, limits, edges=edges)
    points = [(point.totals.cost, round(point.totals.time_high_s * 1e6)) for point in found.points]
    assert found.whole
    assert set(points) == unbeaten and len(points) == len(unbeaten)
    assert points == sorted(points)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_more_time_more_money_and_lower_prices_never_make_a_plan_dearer(data: st.DataObject) -> None:
    steps, edges, limits = data.draw(questions())
    plan = optimise(steps, limits, edges=edges)
    looser = [limits]
    if limits.deadline_s is not None:
        looser.append(msgspec.structs.replace(limits, deadline_s=limits.deadline_s + data.draw(st.integers(1, 9))))
    if limits.budget is not None:
        looser.append(msgspec.structs.replace(limits, budget=limits.budget + data.draw(st.integers(1, 90))))
    for other in looser[1:]:
        assert _cost(optimise(steps, other, edges=edges)) <= _cost(plan)
    at = data.draw(st.integers(0, len(steps) - 1))
    cheaper = tuple(
        msgspec.structs.replace(row, cost=row.cost / 2, cost_high=(row.cost_high or row.cost) / 2)
        for row in steps[at].offers[:]
    )
    lowered = [*steps[:at], msgspec.structs.replace(steps[at], offers=cheaper), *steps[at + 1 :]]
    assert _cost(optimise(lowered, limits, edges=edges)) <= _cost(plan)


def _cost(plan: Plan | Impossible) -> Fraction:
    return plan.totals.cost if isinstance(plan, Plan) else Fraction(10**9)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_never_dearer_than_one_offer_for_all_steps(data: st.DataObject) -> None:
    """Steps that can all be bought the same ways, of which any alone would be a plan."""
    ways = [way(number, data.draw(st.sampled_from(REGIONS))) for number in range(4)]
    steps = []
    for number in range(data.draw(st.integers(1, 5))):
        rows = tuple(
            Priced(
                offer=one, cost=Fraction(data.draw(st.integers(0, 50))), time_s=data.draw(st.integers(1, 9)), parts=()
            )
            for one in ways
        )
        steps.append(Step(name=f"s{number}", after=(f"s{number - 1}",) if number else (), offers=rows))
    deadline = data.draw(st.integers(5, 50))
    plan = optimise(steps, Limits(deadline_s=deadline))
    for row in range(4):
        rows = [step.offers[row] for step in steps]
        if sum(one.time_s for one in rows) <= deadline:
            assert isinstance(plan, Plan)
            assert plan.totals.cost <= sum(one.cost for one in rows)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_same_question_gets_the_same_plan_and_a_table_the_same_as_rows(data: st.DataObject) -> None:
    steps = data.draw(graphs())
    limits = data.draw(limits_of())
    plan = optimise(steps, limits)
    assert optimise(steps, limits) == plan
    tables = [msgspec.structs.replace(step, offers=_table(step.offers)) for step in steps]  # type: ignore[arg-type]
    again = optimise(tables, limits)
    assert type(again) is type(plan)
    if isinstance(plan, Plan) and isinstance(again, Plan):
        assert (again.totals, again.choices) == (plan.totals, plan.choices)


def _table(rows: tuple[Priced, ...]) -> Table:
    np = pytest.importorskip("numpy")
    return Table(
        tuple(row.offer for row in rows),
        cost=np.array([int(row.cost * 6) for row in rows]),
        cost_high=np.array([int((row.cost_high or row.cost) * 6) for row in rows]),
        time_s=np.array([row.time_s for row in rows]),
        time_high_s=np.array([row.time_high_s for row in rows]),
        scale=6,
    )


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_is_explained_is_true_and_survives_the_file(data: st.DataObject) -> None:
    steps, edges, limits = data.draw(questions())
    objective = data.draw(st.sampled_from(["cost", "time"]))
    plan = optimise(steps, limits, objective, edges=edges)
    if isinstance(plan, Impossible):
        return
    whole = explained(plan, steps, edges=edges)
    assert whole.explanation is not None
    rows = [choice.priced for choice in plan.choices]
    for other in whole.explanation.runners_up:
        at = [step.name for step in steps].index(other.step)
        total = by_hand(steps, [*rows[:at], other.priced, *rows[at + 1 :]], limits, edges)
        assert total is not None
        assert total.cost - plan.totals.cost == other.cost_more
        late = limits.deadline_s is not None and total.time > round(limits.deadline_s * 1e6)
        assert late == ("deadline would be missed" in other.why_not) or objective == "time"
        assert (limits.budget is not None and total.high > limits.budget) == ("budget" in other.why_not)
    for shadow in whole.explanation.shadows:
        assert shadow.without is not None
        assert (shadow.costs if objective == "cost" else shadow.takes_s) >= 0
    assert decoded(encoded(whole)) == whole


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_is_nearest_is_what_it_says(data: st.DataObject) -> None:
    steps = data.draw(graphs())
    limits = data.draw(limits_of())
    answer = optimise(steps, limits)
    if isinstance(answer, Plan):
        return
    known: dict[str, Nearest] = {one.what: one for one in answer.nearest}
    free = tried(steps, msgspec.structs.replace(limits, budget=None, deadline_s=None), [])
    if "cheapest" in known:
        assert known["cheapest"].totals.cost == min(one.cost for one in free)
        assert round(known["quickest"].totals.time_high_s * 1e6) == min(one.time for one in free)
    if "least budget for this deadline" in known:
        every = tried(steps, msgspec.structs.replace(limits, budget=None), [])
        assert known["least budget for this deadline"].totals.cost_high == min(one.high for one in every)
    if limits.budget is not None and limits.deadline_s is None and "cheapest" in known:
        surest = known.get("least budget", known["cheapest"])
        assert surest.totals.cost_high == min(one.high for one in free)
    assert answer.nearest and answer.reason
