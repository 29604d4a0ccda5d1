"""The optimizer on graphs small enough to be done by hand: what it chooses, why, and what it says of bad input."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest

from skylift.errors import AuthorError, SetupError
from skylift.placement.explain import explained
from skylift.placement.front import front
from skylift.placement.model import Edge, Limits, Move, Priced, Site, Step, Table, Way
from skylift.placement.optimise import optimise
from skylift.placement.plan import Impossible, Plan
from skylift.placement.saved import decoded, encoded


def offer(name: str, cost: int, time_s: float, region: str = "eu-west-1", **more: object) -> Priced:
    market = "spot" if name.endswith("spot") else "on-demand"
    way = Way(
        backend="batch",
        service="batch",
        instance_type=name,
        vcpus=4.0,
        memory_mib=8192,
        market=market,
        region=region,
    )
    return Priced(offer=way, cost=Fraction(cost), time_s=float(time_s), **more)  # type: ignore[arg-type]


def chain(*steps: tuple[Priced, ...]) -> list[Step]:
    return [
        Step(name=f"s{number}", after=(f"s{number - 1}",) if number else (), offers=offers)
        for number, offers in enumerate(steps)
    ]


SLOW, QUICK = offer("slow", 10, 100), offer("quick", 30, 40)
TWO = chain((SLOW, QUICK), (offer("slow", 20, 200), offer("quick", 50, 90)))
"""Costs and times: 30 and 300, 50 and 240, 60 and 190, 80 and 130."""


def planned(steps: list[Step], limits: Limits | None = None, objective: str = "cost", **more: object) -> Plan:
    plan = optimise(steps, limits, objective, **more)  # type: ignore[arg-type]
    assert isinstance(plan, Plan)
    return plan


def chosen(plan: Plan) -> list[str]:
    return [choice.priced.offer.instance_type for choice in plan.choices]


def test_without_limits_each_step_takes_its_cheapest() -> None:
    plan = planned(TWO)
    assert chosen(plan) == ["slow", "slow"]
    assert (plan.totals.cost, plan.totals.time_s, plan.gap) == (30, 300.0, 0)
    assert plan.method.startswith("each step by itself")


@pytest.mark.parametrize(
    ("deadline", "expected", "cost"),
    [(300, ["slow", "slow"], 30), (299, ["quick", "slow"], 50), (239, ["slow", "quick"], 60), (130, ["quick"] * 2, 80)],
)
def test_a_deadline_is_kept_by_the_cheapest_that_keeps_it(deadline: float, expected: list[str], cost: int) -> None:
    plan = planned(TWO, Limits(deadline_s=deadline))
    assert (chosen(plan), plan.totals.cost, plan.gap) == (expected, cost, 0)


def test_the_quickest_within_a_budget() -> None:
    plan = planned(TWO, Limits(budget=Fraction(60)), "time")
    assert (chosen(plan), plan.totals.time_s) == (["slow", "quick"], 190.0)


def test_of_equally_quick_plans_the_cheapest() -> None:
    """The branch has time to spare."""
    steps = [
        Step(name="long", offers=(offer("only", 5, 50),)),
        Step(name="short", offers=(offer("quick", 9, 10), offer("slow", 3, 45))),
        Step(name="join", after=("long", "short"), offers=(offer("only", 1, 5),)),
    ]
    plan = planned(steps, objective="time")
    assert chosen(plan) == ["only", "slow", "only"]
    assert (plan.totals.time_s, plan.totals.cost) == (55.0, 9)
    assert [choice.slack_s for choice in plan.choices] == [0.0, 5.0, 0.0]
    assert [choice.starts_s for choice in plan.choices] == [0.0, 0.0, 50.0]


def test_confidence_holds_deadline_and_budget_against_the_pessimistic_figures() -> None:
    risky = offer("risky", 10, 100, time_high_s=400.0, cost_high=Fraction(90))
    sure = offer("sure", 20, 110, time_high_s=120.0, cost_high=Fraction(22))
    assert chosen(planned(chain((risky, sure)), Limits(deadline_s=200))) == ["risky"]
    assert chosen(planned(chain((risky, sure)), Limits(deadline_s=200, confidence=0.95))) == ["sure"]
    plan = planned(chain((risky, sure)), Limits(budget=Fraction(50), confidence=0.95))
    assert (chosen(plan), plan.totals.cost, plan.totals.cost_high) == (["sure"], 20, 22)
    assert "0.95" in plan.rule


def test_a_high_figure_below_the_expected_one_does_not_make_a_plan_late() -> None:
    odd = offer("odd", 10, 100, time_high_s=50.0)
    assert isinstance(optimise(chain((odd,)), Limits(deadline_s=60, confidence=0.1)), Impossible)


EAST, WEST = Site("aws", "us-east-1"), Site("aws", "eu-west-1")


def moving(cost: int, time_s: float = 0.0) -> list[Edge]:
    move = Move(cost=Fraction(cost), time_s=time_s, formula="80 GB x 0.02 USD")
    return [Edge(source="s0", target="s1", moves={(WEST, EAST): move, (EAST, WEST): move})]


def test_data_that_is_dear_to_move_keeps_steps_together() -> None:
    steps = chain((offer("a", 10, 10),), (offer("here", 30, 10), offer("there", 15, 10, "us-east-1")))
    near, far = planned(steps, edges=moving(20)), planned(steps, edges=moving(14))
    assert (chosen(near), near.totals.cost) == (["a", "here"], 40)
    assert (chosen(far), far.totals.cost) == (["a", "there"], 39)
    assert [(one.cost, one.formula) for one in far.moves] == [(14, "80 GB x 0.02 USD")]
    assert near.moves[0].cost == 0


def test_moving_takes_time_too() -> None:
    steps = chain((offer("a", 10, 10),), (offer("here", 30, 10), offer("there", 15, 10, "us-east-1")))
    edges = moving(1, time_s=30.0)
    assert planned(steps, edges=edges).totals.time_s == 50.0
    assert chosen(planned(steps, Limits(deadline_s=49), edges=edges)) == ["a", "here"]


def test_a_transfer_without_a_price_is_not_taken() -> None:
    steps = chain((offer("a", 10, 10),), (offer("here", 99, 10), offer("there", 1, 10, "us-east-1")))
    assert chosen(planned(steps, edges=[Edge(source="s0", target="s1")])) == ["a", "here"]
    nowhere = chain((offer("a", 10, 10),), (offer("there", 1, 10, "us-east-1"),))
    answer = optimise(nowhere, edges=[Edge(source="s0", target="s1")])
    assert isinstance(answer, Impossible)
    assert answer.reason == "no choice of sites has a price for all its transfers"


def test_what_is_impossible_says_what_is_near() -> None:
    answer = optimise(TWO, Limits(deadline_s=190, budget=Fraction(55)))
    assert isinstance(answer, Impossible)
    assert answer.reason == "the cheapest plan within 3 min 10 s costs $0.000060: the budget is $0.000055"
    assert [(one.what, one.totals.cost, one.totals.time_s) for one in answer.nearest] == [
        ("least budget for this deadline", 60, 190.0),
        ("least deadline for this budget", 50, 240.0),
        ("cheapest", 30, 300.0),
        ("quickest", 80, 130.0),
    ]
    late = optimise(TWO, Limits(deadline_s=100))
    assert isinstance(late, Impossible)
    assert late.reason == "the quickest plan takes 2 min 10 s: the deadline is 1 min 40 s"


def test_the_least_budget_is_not_that_of_what_is_cheapest_on_average() -> None:
    """On spot it is cheap mostly, and dear where it has bad luck: what a budget is held against is the latter."""
    lucky = offer("spot", 10, 100, cost_high=Fraction(40), time_high_s=200.0)
    steady = offer("steady", 20, 50, cost_high=Fraction(20), time_high_s=50.0)
    steps = chain((lucky, steady))
    answer = optimise(steps, Limits(budget=Fraction(15), confidence=0.9))
    assert isinstance(answer, Impossible)
    assert answer.reason == "no plan costs less than $0.000020 with 90%: the budget is $0.000015"
    assert [(one.what, one.totals.cost_high) for one in answer.nearest] == [
        ("least budget", 20),
        ("cheapest", 40),
        ("quickest", 20),
    ]
    assert chosen(planned(steps, Limits(budget=Fraction(20), confidence=0.9))) == ["steady"]
    same = optimise(chain((steady,)), Limits(budget=Fraction(15), confidence=0.9))
    assert isinstance(same, Impossible) and same.reason.startswith("the cheapest plan costs $0.000020")
    assert [one.what for one in same.nearest] == ["cheapest", "quickest"]


def test_a_limit_that_is_alone_in_the_way_is_named() -> None:
    steps = chain((offer("a", 5, 9), offer("b-spot", 1, 9)), (offer("c", 7, 9),))
    answer = optimise(steps, Limits(regions=("eu-*",), services=("function",), markets=("on-demand",)))
    assert isinstance(answer, Impossible)
    assert [(one.what, one.totals.cost) for one in answer.nearest] == [
        ("within the limits, without those of services", 12),
        ("cheapest of all", 8),
    ]
    both = optimise(steps, Limits(regions=("ap-*",), services=("function",)))
    assert isinstance(both, Impossible)
    assert both.nearest[0].what == "within the limits, without those of regions, services"


def test_plans_that_come_near_keep_the_quotas() -> None:
    pytest.importorskip("highspy")
    each = offer("a", 10, 100, takes={"cpus": 4.0})
    steps = [Step(name=name, offers=(each,)) for name in ("s0", "s1")]
    answer = optimise(steps, Limits(deadline_s=50), quotas={"cpus": 4.0})
    assert isinstance(answer, Impossible)
    assert answer.reason == "the quickest plan takes 3 min 20 s: the deadline is 50 s"
    assert {one.totals.time_s for one in answer.nearest} == {200.0}


def test_within_quotas_the_least_budget_for_the_deadline_is_named() -> None:
    pytest.importorskip("highspy")
    shelf = (offer("a", 10, 100, takes={"cpus": 4.0}), offer("b", 30, 100))
    steps = [Step(name=name, offers=shelf) for name in ("s0", "s1")]
    answer = optimise(steps, Limits(deadline_s=150, budget=Fraction(30)), quotas={"cpus": 4.0})
    assert isinstance(answer, Impossible)
    assert "the deadline of 2 min 30 s and the budget of $0.000030" in answer.reason
    assert (answer.nearest[0].what, answer.nearest[0].totals.cost, answer.nearest[0].totals.time_s) == (
        "least budget for this deadline within the quotas",
        40,
        100.0,
    )


def test_limits_on_what_is_bought() -> None:
    steps = chain((offer("a-spot", 1, 9), offer("b", 5, 9), offer("c", 7, 9, "us-east-1")))
    assert chosen(planned(steps, Limits(markets=("on-demand",)))) == ["b"]
    assert chosen(planned(steps, Limits(regions=("us-*",)))) == ["c"]
    answer = optimise(steps, Limits(regions=("ap-*",), markets=("spot",)))
    assert isinstance(answer, Impossible)
    assert answer.reason == "no offer of s0 is allowed by regions ap-*; markets spot"
    assert answer.nearest[0].totals.cost == 1


def test_the_runner_up_says_why_it_was_not_taken() -> None:
    plan = explained(planned(TWO, Limits(deadline_s=240)), TWO)
    assert plan.explanation is not None
    assert [(one.step, one.cost_more, one.why_not) for one in plan.explanation.runners_up] == [
        ("s0", -20, "$0.000020 cheaper, 1 min 0 s slower; the deadline would be missed by 1 min 0 s"),
        ("s1", 30, "$0.000030 dearer, 1 min 50 s quicker"),
    ]


def test_the_price_of_each_limit() -> None:
    steps = chain((SLOW, QUICK), (offer("slow", 20, 200), offer("quick", 50, 90), offer("far", 5, 90, "us-east-1")))
    plan = explained(planned(steps, Limits(deadline_s=240, regions=("eu-*",), markets=("on-demand",))), steps)
    assert plan.explanation is not None
    assert [(one.limit, one.costs, one.says) for one in plan.explanation.shadows] == [
        ("deadline", 20, "deadline 4 min 0 s: without it the plan would be $0.000020 cheaper"),
        ("regions", 35, "regions eu-*: without it the plan would be $0.000035 cheaper"),
        ("markets", 0, "markets on-demand: costs nothing, the best plan keeps it anyway"),
    ]


def test_the_front_is_whole_where_it_can_be() -> None:
    found = front(TWO, Limits())
    assert [(point.totals.cost, point.totals.time_s) for point in found.points] == [
        (30, 300.0),
        (50, 240.0),
        (60, 190.0),
        (80, 130.0),
    ]
    assert found.whole and found.says == "all 4 points of the front, exact"
    assert found.points[0].ways[0] == "s0: batch slow, on-demand in aws eu-west-1 (batch)"


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([Step(name="a", offers=(SLOW,), after=("b",)), Step(name="b", offers=(SLOW,), after=("a",))], "in a circle"),
        (
            [Step(name="train", offers=(SLOW,)), Step(name="b", offers=(SLOW,), after=("trian",))],
            "'trian', which is no",
        ),
        ([Step(name="a", offers=(SLOW,)), Step(name="a", offers=(SLOW,))], "two steps are called a"),
        ([Step(name="a", offers=())], "step a has no offers"),
        (chain((offer("m", -1, 5),)), r"offer 0 of step s0 \(batch m, .*\) costs less than nothing"),
        (chain((offer("m", 1, -5),)), r"offer 0 of step s0 .* takes -5 s"),
        (chain((offer("m", 1, float("nan")),)), "takes nan s"),
        (chain((offer("m", 1, 5, time_high_s=float("inf")),)), "takes inf s"),
    ],
)
def test_a_graph_that_cannot_be_meant(steps: list[Step], says: str) -> None:
    with pytest.raises(AuthorError, match=says):
        optimise(steps)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(deadline_s=-1), "deadline of -1 s"),
        (Limits(deadline_s=0), "deadline of 0 s"),
        (Limits(deadline_s=float("nan")), "deadline of nan s"),
        (Limits(budget=Fraction(-2_000_000)), "budget of -2 USD"),
        (Limits(confidence=1.0), "confidence of 1 is no probability"),
    ],
)
def test_limits_that_cannot_be_meant(limits: Limits, says: str) -> None:
    with pytest.raises(SetupError, match=says):
        optimise(TWO, limits)


def test_a_wrong_row_of_a_table_is_named() -> None:
    np = pytest.importorskip("numpy")
    ways = (SLOW.offer, QUICK.offer)
    with pytest.raises(AuthorError, match=r"offer 1 of step a .* takes -1 s"):
        optimise([Step(name="a", offers=Table(ways, cost=np.array([1, 2]), time_s=np.array([1.0, -1.0])))])
    with pytest.raises(AuthorError, match="no whole numbers"):
        optimise([Step(name="a", offers=Table(ways, cost=np.array([1.5, 2]), time_s=np.array([1.0, 1.0])))])
    with pytest.raises(ValueError, match="time_s has 1 rows, there are 2 ways"):
        Table(ways, cost=[1, 2], time_s=[1.0])


def test_a_table_is_read_without_numpy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "numpy", None)
    table = Table((SLOW.offer, QUICK.offer), cost=[10, 30], time_s=[100.0, 40.0], scale=4)
    plan = planned([Step(name="a", offers=table)], Limits(deadline_s=50))
    assert (chosen(plan), plan.totals.cost) == (["quick"], Fraction(30, 4))


def test_a_graph_too_large_for_whole_numbers_asks_for_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "highspy", None)
    steps = chain(*([(SLOW, QUICK)] * 201))
    assert planned(steps).totals.cost == 2010
    with pytest.raises(SetupError, match="without a solver") as raised:
        optimise(steps, Limits(deadline_s=19_000))
    assert raised.value.hint == "pip install 'skylift[plan]'"


def test_a_long_chain_is_solved_to_the_end() -> None:
    """Each step that is quick saves 60 s for 20: 19,000 s leave 19 of 201 to be quick."""
    pytest.importorskip("highspy")
    plan = planned(chain(*([(SLOW, QUICK)] * 201)), Limits(deadline_s=19_000))
    assert plan.gap == 0
    assert (plan.totals.cost, plan.totals.time_s) == (2010 + 19 * 20, 20_100 - 19 * 60)


def test_the_plan_file_keeps_every_figure_and_refuses_others() -> None:
    steps = chain((msgspec.structs.replace(SLOW, cost=Fraction(1, 3)), QUICK))
    plan = explained(planned(steps, Limits(budget=Fraction(7, 2), confidence=0.9)), steps)
    assert decoded(encoded(plan)) == plan
    assert encoded(plan) == encoded(decoded(encoded(plan)))
    for text, says in (
        (b"{}", "is no plan"),
        (b"not", "is no plan"),
        (encoded(plan).replace(b'"version": 1', b'"version": 9'), "of version 9"),
        (encoded(plan).replace(b'"1/3"', b'"1/0"'), "is no amount"),
        (encoded(plan).replace(b'"1/3"', b"0.5"), "an amount is a fraction"),
    ):
        with pytest.raises(SetupError, match=says):
            decoded(text, "plan.json")


@pytest.mark.parametrize("objective", ["cost", "time"])
def test_out_of_time_the_best_plan_known_stands_with_its_gap(objective: str) -> None:
    pytest.importorskip("highspy")
    steps = []
    for number in range(240):
        layer = number // 12 * 12
        after = tuple(sorted({f"s{layer - 12 + number * factor % 12}" for factor in (1, 5, 7)})) if layer else ()
        rows = tuple(offer(f"m{size}", 7 + size * size + number % 5, 100.0 / size + number % 7) for size in range(1, 6))
        steps.append(Step(name=f"s{number}", after=after, offers=rows))
    cheapest = planned(steps)
    limits = Limits(budget=cheapest.totals.cost * 3 / 2)
    if objective == "cost":
        limits = msgspec.structs.replace(limits, deadline_s=cheapest.totals.time_s * 0.7)
    plan = planned(steps, limits, objective, seconds=0.01)
    assert plan.totals.cost <= limits.budget  # type: ignore[operator]
    assert plan.totals.time_s < cheapest.totals.time_s
    value = float(plan.totals.cost) if objective == "cost" else plan.totals.time_s
    assert 0 < plan.bound <= value
    assert plan.gap == pytest.approx((value - plan.bound) / value, abs=1e-9)
