"""Quotas that steps share while they run at once, against trying everything on small graphs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.placement import in_turn
from skylift.placement.graph import graph_of
from skylift.placement.model import Limits, Priced, Step, Way
from skylift.placement.optimise import optimise
from skylift.placement.plan import Impossible, Plan
from skylift.placement.quotas import heaviest
from skylift.placement.sharing import with_waits

NAMES = ("cores", "cards")


def way(number: int) -> Way:
    return Way(backend="batch", service="batch", instance_type=f"m{number}", vcpus=2, memory_mib=4096)


@st.composite
def graphs(draw: st.DrawFn, most: int = 5) -> list[Step]:
    steps: list[Step] = []
    for number in range(draw(st.integers(2, most))):
        names = [step.name for step in steps]
        after = tuple(sorted(draw(st.sets(st.sampled_from(names), max_size=2)))) if names else ()
        rows = tuple(
            Priced(
                offer=way(one),
                cost=Fraction(draw(st.integers(0, 30))),
                time_s=float(draw(st.integers(1, 12))),
                takes={name: float(draw(st.integers(0, 4))) for name in NAMES if draw(st.booleans())},
            )
            for one in range(draw(st.integers(1, 4)))
        )
        steps.append(Step(name=f"s{number}", after=after, offers=rows))
    return steps


def antichains(steps: Sequence[Step]) -> list[tuple[int, ...]]:
    """Sets of steps of which none comes after another."""
    numbers = {step.name: number for number, step in enumerate(steps)}
    before: list[set[int]] = []
    for step in steps:
        direct = {numbers[name] for name in step.after}
        before.append(direct | {one for other in direct for one in before[other]})
    return [
        some
        for size in range(1, len(steps) + 1)
        for some in itertools.combinations(range(len(steps)), size)
        if not any(one in before[other] or other in before[one] for one, other in itertools.combinations(some, 2))
    ]


def sorted_by_waits(steps: Sequence[Step]) -> list[Step]:
    """So that what comes before a step stands before it."""
    order = graph_of(steps, ()).order
    return [steps[number] for number in order]


def keeps(steps: Sequence[Step], rows: Mapping[str, Priced], quotas: Mapping[str, float]) -> bool:
    ordered = sorted_by_waits(steps)
    return all(
        sum(rows[ordered[number].name].takes.get(name, 0) for number in some) <= most
        for some in antichains(ordered)
        for name, most in quotas.items()
    )


def ends(steps: Sequence[Step], rows: Mapping[str, Priced]) -> float:
    found: dict[str, float] = {}
    for step in sorted_by_waits(steps):
        found[step.name] = max((found[name] for name in step.after), default=0.0) + rows[step.name].time_s
    return max(found.values())


def calm(steps: Sequence[Step], quotas: Mapping[str, float]) -> list[tuple[Fraction, float]]:
    """Cost and time of all plans in which nothing ever waits."""
    found = []
    for rows in itertools.product(*(step.offers for step in steps)):
        chosen = {step.name: row for step, row in zip(steps, rows, strict=True)}
        if keeps(steps, chosen, quotas):
            found.append((sum((row.cost for row in rows), Fraction(0)), ends(steps, chosen)))
    return found


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[Step], dict[str, float]]:
    """No step alone takes more than there is."""
    steps = draw(graphs())
    return steps, {name: float(draw(st.integers(4, 9))) for name in NAMES}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_heaviest_set_is_that_of_trying_all(data: st.DataObject) -> None:
    steps = data.draw(graphs(7))
    wants = [data.draw(st.integers(0, 5)) for _ in steps]
    weight, some = heaviest(graph_of(steps, ()), wants)
    every = antichains(steps)
    assert weight == max(sum(wants[one] for one in antichain) for antichain in every)
    assert sum(wants[one] for one in some) == weight
    assert not some or some in every


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_quotas_are_kept_whatever_the_times_are(data: st.DataObject) -> None:
    pytest.importorskip("highspy")
    steps, quotas = data.draw(questions())
    every = calm(steps, quotas)
    free = {aim: optimise(steps, objective=aim) for aim in ("cost", "time")}  # type: ignore[arg-type]
    deadline = None
    if data.draw(st.booleans()):
        quick = free["time"]
        assert isinstance(quick, Plan)
        deadline = quick.totals.time_s + data.draw(st.integers(0, 10))
    limits = Limits(deadline_s=deadline)
    good = [one for one in every if deadline is None or one[1] <= deadline]
    for aim in ("cost", "time"):
        plan = optimise(steps, limits, aim, quotas=quotas)  # type: ignore[arg-type]
        if isinstance(plan, Impossible):
            assert not good, "a plan in which nothing waits would have done"
            assert plan.nearest and "within the quotas" in plan.reason
            continue
        rows = {choice.step: choice.priced for choice in plan.choices}
        ordered = with_waits(steps, plan.waits)
        assert keeps(ordered, rows, quotas)
        assert ends(ordered, rows) == plan.totals.time_s <= (deadline or 1e9)
        assert plan.bound <= (float(plan.totals.cost) if aim == "cost" else plan.totals.time_s)
        if aim == "time" and good:
            assert plan.totals.time_s <= min(time for _, time in good)
        if aim == "cost" and deadline is None:
            unbound = free["cost"]
            assert isinstance(unbound, Plan)
            assert plan.totals.cost == unbound.totals.cost and plan.gap == 0, "waiting costs nothing"
        if aim == "cost" and deadline is not None and good:
            assert plan.totals.cost <= min(cost for cost, _ in good)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_what_comes_near_can_be_had(data: st.DataObject) -> None:
    """With what a plan that is named takes and costs as limits, there is a plan, quotas included."""
    pytest.importorskip("highspy")
    steps, quotas = data.draw(questions())
    limits = Limits(
        deadline_s=data.draw(st.none() | st.integers(1, 12).map(float)),
        budget=data.draw(st.none() | st.integers(1, 40).map(Fraction)),
    )
    answer = optimise(steps, limits, data.draw(st.sampled_from(["cost", "time"])), quotas=quotas)
    if isinstance(answer, Plan):
        return
    assert answer.nearest
    for near in answer.nearest:
        again = Limits(deadline_s=near.totals.time_high_s, budget=near.totals.cost_high)
        assert isinstance(optimise(steps, again, "time", quotas=quotas), Plan), near.says


def soonest(steps: Sequence[Step], rows: Mapping[str, Priced], quotas: Mapping[str, float]) -> float:
    """Over all orders in which steps are begun, each as soon as those before it have ended and its quotas have room
    until its end: one of them is the best there is."""
    best = float("inf")
    for order in itertools.permutations(steps):
        spans: dict[str, tuple[float, float]] = {}
        for step in order:
            if any(name not in spans for name in step.after):
                break
            row = rows[step.name]
            earliest = max((spans[name][1] for name in step.after), default=0.0)
            tried = sorted({earliest, *(end for _, end in spans.values() if end > earliest)})
            begin = next(at for at in tried if fits(at, row, spans, rows, quotas))
            spans[step.name] = (begin, begin + row.time_s)
        else:
            best = min(best, max(end for _, end in spans.values()))
    return best


def fits(
    at: float,
    row: Priced,
    spans: Mapping[str, tuple[float, float]],
    rows: Mapping[str, Priced],
    quotas: Mapping[str, float],
) -> bool:
    moments = [at, *(begin for begin, _ in spans.values() if at < begin < at + row.time_s)]
    return all(
        row.takes.get(name, 0)
        + sum(rows[other].takes.get(name, 0) for other, (begin, end) in spans.items() if begin <= moment < end)
        <= most
        for moment in moments
        for name, most in quotas.items()
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_of_small_graphs_the_plan_is_the_best_of_all_orders(data: st.DataObject) -> None:
    pytest.importorskip("highspy")
    steps = data.draw(graphs(4))
    quotas = {name: float(data.draw(st.integers(4, 7))) for name in NAMES}
    every = []
    for rows in itertools.product(*(step.offers for step in steps)):
        chosen = {step.name: row for step, row in zip(steps, rows, strict=True)}
        every.append((soonest(steps, chosen, quotas), sum((row.cost for row in rows), Fraction(0))))
    quickest = optimise(steps, objective="time", quotas=quotas)
    assert isinstance(quickest, Plan)
    assert quickest.gap == 0
    assert (quickest.totals.time_s, quickest.totals.cost) == min(every)
    deadline = min(every)[0] + data.draw(st.integers(0, 8))
    cheapest = optimise(steps, Limits(deadline_s=deadline), quotas=quotas)
    assert isinstance(cheapest, Plan)
    assert cheapest.gap == 0
    assert cheapest.totals.cost == min(cost for time, cost in every if time <= deadline)
    assert isinstance(optimise(steps, Limits(deadline_s=min(every)[0] - 0.5), quotas=quotas), Impossible)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_graphs_too_large_for_all_orders_keep_their_quotas_too(data: st.DataObject) -> None:
    """What is done there, on small ones: it may miss the best, and says by how much at most."""
    pytest.importorskip("highspy")
    steps, quotas = data.draw(questions())
    exact = {aim: optimise(steps, objective=aim, quotas=quotas) for aim in ("cost", "time")}  # type: ignore[arg-type]
    deadline = exact["time"].totals.time_s + data.draw(st.integers(0, 6))  # type: ignore[union-attr]
    best = optimise(steps, Limits(deadline_s=deadline), quotas=quotas)
    assert isinstance(best, Plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_turn, "MOST_PAIRS", -1)
        for aim, limits in (("time", Limits()), ("cost", Limits(deadline_s=deadline))):
            plan = optimise(steps, limits, aim, quotas=quotas)  # type: ignore[arg-type]
            if isinstance(plan, Impossible):
                assert aim == "cost" and "no plan was found" in plan.reason
                continue
            rows = {choice.step: choice.priced for choice in plan.choices}
            ordered = with_waits(steps, plan.waits)
            assert keeps(ordered, rows, quotas)
            assert ends(ordered, rows) == plan.totals.time_s <= (limits.deadline_s or 1e9)
            known = exact["time"] if aim == "time" else best
            assert isinstance(known, Plan)
            found, least = ((one.totals.time_s if aim == "time" else float(one.totals.cost)) for one in (plan, known))
            assert plan.bound <= least <= found
            assert plan.gap >= (found - least) / found - 1e-9 if found else plan.gap == 0
