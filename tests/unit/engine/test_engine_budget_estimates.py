"""What is out counts as it will be billed; a wide map gets no more than a budget pays for; rehearsals have a month of
their own; a long journal keeps nobody waiting."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from engine_world import SKYLIFT, ManualBackend, World

from skylift.asl.events import BudgetReached, PauseRequested, ResumeRequested, Usage
from skylift.engine.inputs import Recover, Send
from skylift.engine.limits import BudgetPlan
from skylift.engine.month import MonthAccount
from skylift.engine.purse import Purse
from skylift.engine.reply import Reply
from skylift.engine.spending import Account, catalogue_price, month_of
from skylift.engine.tariff import Tariff, catalogue_tariff
from skylift.errors import JournalUnavailable, SkyliftError
from skylift.ports.compute import Offer, Requirements, Succeeded
from skylift.ports.tasks import TaskSpec

TASK = f"{SKYLIFT}work"
WIDE: dict[str, Any] = {
    "M": {
        "Type": "Map",
        "Items": list(range(10)),
        "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": TASK, "End": True}}},
    }
}
CHAIN: dict[str, Any] = {name: {"Type": "Task", "Resource": TASK} for name in "ABC"}
MINUTE = Fraction(85_000, 60)
"""c5.large in us-east-1 for the minute that is billed at least, in micro-dollars: $0.085 an hour."""


class CloudBackend(ManualBackend):
    """Buys machines that the catalogue knows."""

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        return [
            Offer(
                backend=self.name,
                instance_type="c5.large",
                vcpus=2,
                memory_mib=4096,
                region="us-east-1",
                price_usd_micro_per_hour=85_000,
                service="batch",
            )
        ]


def world_of(name: str = "cloud", **settings: Any) -> World:
    world = World({"work": TaskSpec(name="work", target="m:work", on=name)}, **settings)
    world.backend = CloudBackend(name)
    world.backends = {name: world.backend}
    world.restart()
    return world


def used(seconds: float, backend: str = "cloud") -> Succeeded:
    usage = Usage(
        service="batch",
        instance_type="c5.large",
        vcpus=2,
        memory_mib=4096,
        region="us-east-1",
        market="on-demand",
        startup_ms=0.0,
        duration_ms=seconds * 1000,
        backend=backend,
    )
    return Succeeded(output=1, usage=usage)


def begin(world: World, states: dict[str, Any] = CHAIN, budget: str | None = None) -> str:
    return world.start(states, attributes={} if budget is None else {"budget": budget})


def ask(world: World, run_id: str, event: Any) -> None:
    world.ask(lambda reply: Send(run_id=run_id, event=event, reply=reply))


def told(world: World, run_id: str) -> list[BudgetReached]:
    return [e.event for e in world.journal.entries(run_id) if isinstance(e.event, BudgetReached)]


def causes(world: World, run_id: str) -> list[str]:
    return [e.event.cause or "" for e in world.journal.entries(run_id) if isinstance(e.event, PauseRequested)]


# What is out ---------------------------------------------------------------------------------------------------------


def test_an_attempt_costs_the_minimum_from_its_first_second() -> None:
    """A minute is billed of a second: half of a budget of two minutes is spent as soon as it runs."""
    world = world_of()
    run_id = begin(world, budget=f"{float(2 * MINUTE) / 1e6 + 1e-6:.6f}")
    world.wait(1)
    assert told(world, run_id) == []  # half of it is a little more than a minute
    world.wait(60)
    assert [alert.running_usd_micro for alert in told(world, run_id)] == [round(MINUTE * 61 / 60)]
    run_id = begin(world, budget=f"{float(2 * MINUTE) / 1e6 - 1e-6:.6f}")
    world.wait(1)
    (half,) = told(world, run_id)
    assert (half.share, half.running_usd_micro) == ("0.5", round(MINUTE))


def test_a_tariff_is_what_the_ledger_will_charge() -> None:
    (offer,) = CloudBackend().offers(Requirements())
    assert catalogue_tariff(offer, Requirements()) == Tariff(85_000, 60_000, 1_000)
    own = Offer(backend="pool", instance_type="box", vcpus=1, memory_mib=1, price_usd_micro_per_hour=5)
    assert catalogue_tariff(own, Requirements()) == Tariff(5)
    function = Offer(
        backend="f",
        instance_type="lambda",
        vcpus=1,
        memory_mib=1024,
        region="us-east-1",
        price_usd_micro_per_hour=60_000,
        service="function",
    )
    found = catalogue_tariff(function, Requirements())
    assert (found.minimum_ms, found.increment_ms, found.request) == (1, 1, Fraction(1, 5))


@pytest.mark.parametrize("elapsed_ms", [0, 1, 59_999, 60_000, 60_001, 61_000, 3_600_001])
def test_the_quick_estimate_is_never_below_the_exact_one(elapsed_ms: int) -> None:
    for tariff in (Tariff(85_000, 60_000, 1_000), Tariff(7, 0, 60_000, Fraction(1, 5)), Tariff(1)):
        world = world_of()
        begin(world)
        purse = Purse("run", Account(told=set()))
        attempt = world.engine._book.runs["run1"].attempts.popitem()[1]  # only as a name
        purse.given(attempt, tariff, 0)
        exact = purse.running(elapsed_ms, lambda held: [])
        assert exact == Fraction(tariff.hour * tariff.billed_ms(elapsed_ms), 3_600_000) + tariff.request
        assert purse.most(elapsed_ms) >= exact
        assert purse.running(elapsed_ms + 1, lambda held: [t for ts in held.values() for t in ts]) == 0
        purse.ended(attempt)
        assert purse.most(elapsed_ms) == 0


def test_a_wide_map_gets_no_more_attempts_than_the_budget_pays_for() -> None:
    """Ten iterations of a minute at least each, and money for three and a half minutes: four begin."""
    world = world_of()
    run_id = begin(world, WIDE, budget=f"{float(MINUTE * 7 / 2) / 1e6:.6f}")
    assert len(world.backend.calls) == 4 and world.record(run_id).status == "RUNNING"
    held = [one for one in world.engine.in_flight(run_id) if one.what == "held"]
    assert len(held) == 6
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    world.settle()
    assert len(world.backend.calls) == 4  # no more after a restart; a minute of each is spent whatever comes
    assert "by running attempts, estimated" in causes(world, run_id)[0]
    for _ in range(4):
        world.answer(used(1))
    assert world.backend.calls == {} and world.record(run_id).status == "PAUSED"
    with pytest.raises(SkyliftError, match="is spent"):
        ask(world, run_id, ResumeRequested())
    ask(world, run_id, ResumeRequested(budget=f"{float(MINUTE * 11 / 2) / 1e6:.6f}"))
    assert len(world.backend.calls) == 2
    ask(world, run_id, ResumeRequested(budget="5"))
    assert len(world.backend.calls) == 6 and world.record(run_id).status == "RUNNING"
    while world.backend.calls:
        world.answer(used(1))
    assert world.record(run_id).status == "SUCCEEDED"


def test_what_is_cheaper_than_it_looked_lets_the_rest_go() -> None:
    """What was bought cost nothing: the next ones go by themselves."""
    world = world_of()
    run_id = begin(world, WIDE, budget=f"{float(MINUTE * 3) / 1e6 - 1e-6:.6f}")
    assert len(world.backend.calls) == 3
    for done in range(10):
        assert len(world.backend.calls) == min(3, 10 - done)
        world.answer(Succeeded(output=1))
    assert world.record(run_id).status == "SUCCEEDED" and causes(world, run_id) == []


def test_only_telling_holds_nothing_back() -> None:
    world = world_of(budget=BudgetPlan(stop=False))
    run_id = begin(world, WIDE, budget="0.001")
    assert len(world.backend.calls) == 10 and world.record(run_id).status == "RUNNING"


def test_a_month_holds_wide_maps_of_all_runs_back() -> None:
    world = world_of(budget=BudgetPlan(month=f"{float(MINUTE * 12) / 1e6 - 1e-6:.6f}"))
    first, second = begin(world, WIDE), begin(world, WIDE)
    assert len(world.backend.calls) == 12
    assert {world.record(one).status for one in (first, second)} == {"RUNNING"}
    for _ in range(12):
        world.answer(used(1))
    assert [world.record(one).status for one in (first, second)] == ["SUCCEEDED", "PAUSED"]
    assert world.backend.calls == {}


# Rehearsals ----------------------------------------------------------------------------------------------------------


def test_rehearsals_spend_nothing_of_the_month() -> None:
    plan = BudgetPlan(month="1")
    world = world_of(budget=plan)
    rehearsed = CloudBackend("simulated")
    world.backends["simulated"] = rehearsed
    world.restart(budget=plan)
    world.tasks = {"work": TaskSpec(name="work", target="m:work", on="simulated")}
    virtual = begin(world)
    (token,) = rehearsed.calls
    rehearsed.calls.clear()
    world.answer(used(12 * 3600, "simulated"), token)  # 12 x $0.085: more than a dollar
    assert world.record(virtual).status == "PAUSED" and rehearsed.calls == {}
    assert {alert.scope for alert in told(world, virtual)} == {"rehearsal"}
    assert "of rehearsals alone" in causes(world, virtual)[0]
    with pytest.raises(SkyliftError, match="of rehearsals alone") as refused:
        ask(world, virtual, ResumeRequested())
    assert "rehearsals = false" in (refused.value.hint or "")

    world.tasks = {"work": TaskSpec(name="work", target="m:work", on="cloud")}
    real = begin(world)
    world.answer(used(6 * 3600))
    world.answer(used(3600))
    assert world.record(real).status == "RUNNING"
    assert [(alert.scope, alert.share) for alert in told(world, real)] == [("month", "0.5")]
    account = MonthAccount(world.journal, month_of(world.clock.now_ms()), catalogue_price)
    account.look()
    assert account.spent == {"month": 7 * 85_000, "rehearsal": 12 * 85_000}

    world.restart(budget=BudgetPlan(month="1", rehearsals=False))
    world.ask(lambda reply: Recover(reply=reply))
    ask(world, virtual, ResumeRequested())
    assert world.record(virtual).status == "RUNNING"


def test_a_planned_run_is_stopped_by_the_month_wherever_its_plan_sends_it() -> None:
    from skylift.engine.budgets import Budgets
    from skylift.ports.compute import Bought
    from skylift.ports.tasks import TaskTable

    world = world_of(budget=BudgetPlan(month="1"))
    run = world.engine._book.runs[begin(world)]
    budgets: Budgets = world.engine._guard._asked()
    bought = Bought(
        backend="simulated", service="batch", instance_type="c5.large", vcpus=2, memory_mib=1, region="us-east-1"
    )
    run.table = TaskTable(bundle=None, tasks={}, plan={"A": bought})
    assert budgets._costs.of_run(run, "rehearsal") and not budgets._costs.of_run(run, "month")


# A long journal ------------------------------------------------------------------------------------------------------


def fill(world: World, runs: int) -> None:
    """Each has cost an hour."""
    for _ in range(runs):
        begin(world, {"A": {"Type": "Task", "Resource": TASK}})
        world.answer(used(3600))


def test_a_long_journal_is_read_in_steps_and_what_costs_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of()
    fill(world, 12)
    monkeypatch.setattr("skylift.engine.month.STEP", 60)
    world.restart(budget=BudgetPlan(month=f"{12 * 0.085 + 0.05:.6f}"))
    waiting = begin(world)
    (held,) = world.engine.in_flight(waiting)
    assert held.what == "held" and world.backend.calls == {}
    free = world.start({"A": {"Type": "Pass"}})
    turns = 0
    while not world.backend.calls:
        due = world.turn()
        turns += 1
        assert due == world.clock.now_ms() or world.backend.calls
    assert turns > 1 and world.record(free).status == "SUCCEEDED"  # it did not wait for the journal
    assert [alert.share for alert in told(world, waiting)] == ["0.5", "0.8"]
    world.answer(used(3600))
    assert world.record(waiting).status == "PAUSED" and [a.share for a in told(world, waiting)] == ["0.5", "0.8", "1"]


def test_what_is_spent_while_the_journal_is_read_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt of an earlier life ends between two steps, once before its run is read and once after."""
    world = world_of()
    first = begin(world)
    fill_after = world.backend.calls.copy()
    world.backend.calls.clear()
    fill(world, 12)
    last = begin(world)
    world.backend.calls |= fill_after
    monkeypatch.setattr("skylift.engine.month.STEP", 60)
    world.restart(budget=BudgetPlan(month="100"))
    world.inbox.append(Recover(run_ids=[first, last], reply=Reply()))
    for _ in range(3):
        world.turn()
    tokens = list(world.backend.calls)
    for token in tokens:
        world.answer(used(3600), token)
    world.settle()
    purse = world.engine._guard._asked()._months.pots["month"]
    account = MonthAccount(world.journal, month_of(world.clock.now_ms()), catalogue_price)
    account.look()
    assert purse.account.spent == account.spent["month"] == (12 + len(tokens)) * 85_000


def test_a_turn_that_is_thrown_away_while_the_journal_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of()
    fill(world, 6)
    monkeypatch.setattr("skylift.engine.month.STEP", 60)
    world.restart(budget=BudgetPlan(month="100"))
    waiting = begin(world)
    real, failing = world.journal.commit, [True]

    def commit(batch: Any) -> None:
        if failing[0]:
            failing[0] = False
            raise JournalUnavailable("full")
        real(batch)

    world.journal.commit = commit
    with pytest.raises(JournalUnavailable):
        world.start({"A": {"Type": "Pass"}})
    world.wait(5)
    assert list(world.backend.calls) and world.record(waiting).status == "RUNNING"
    world.answer(used(3600))
    purse = world.engine._guard._asked()._months.pots["month"]
    assert purse.account.spent == 7 * 85_000


def test_a_kept_account_that_lies_is_not_believed(tmp_path: Any) -> None:
    world = world_of()
    fill(world, 1)
    month = month_of(world.clock.now_ms())
    for text in (
        '{"prices": "", "pots": true, "runs": {"run1": {"spent": {"month": "1/0"}}}}',
        '{"prices": "", "pots": true, "runs": {"run1": {"spent": {"month": "lots"}}}}',
        '{"prices": "", "runs": {"run1": {"spent": "170000", "stopped_ms": 1}}}',
        "\x00",
    ):
        (tmp_path / f"{month}.json").write_text(text)
        account = MonthAccount(world.journal, month, catalogue_price, kept=tmp_path)
        account.look()
        assert account.spent["month"] == 85_000


def test_declared_work_of_what_is_out_is_counted_before_more_begins() -> None:
    """Half an hour each, and money for an hour and a quarter: three begin. What has ended cheaper lets more go."""
    world = world_of()
    needs = Requirements(work_ms=1_800_000)
    world.tasks = {"work": TaskSpec(name="work", target="m:work", on="cloud", requirements=needs)}
    run_id = begin(world, WIDE, budget=f"{0.085 * 1.25:.6f}")
    assert len(world.backend.calls) == 3 and told(world, run_id) == []  # nothing of it is spent
    world.answer(used(900))
    assert len(world.backend.calls) == 2  # 15 minutes and twice 30: nothing is left
    world.answer(used(900))
    assert len(world.backend.calls) == 2  # 30 and 30, so that another one may begin
    while world.backend.calls:
        world.answer(used(900))
    assert world.record(run_id).status == "PAUSED" and "is spent ($0.10625)" in causes(world, run_id)[0]
