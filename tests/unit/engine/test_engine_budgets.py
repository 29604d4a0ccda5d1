"""Budgets: alerts once, a pause before the next attempt, and nothing forgotten over restarts, undone turns and other
engines."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from engine_world import SKYLIFT, ManualBackend, World

from skylift.asl.events import BudgetReached, PauseRequested, RedriveRequested, ResumeRequested, Usage
from skylift.engine.inputs import Recover, Send
from skylift.engine.limits import BudgetPlan
from skylift.engine.month import MonthAccount
from skylift.engine.months import LOOK_MS
from skylift.engine.spending import begin_of, catalogue_price, month_of
from skylift.errors import JournalUnavailable, SkyliftError
from skylift.ports.compute import Failed, Lost, Offer, Requirements, Succeeded
from skylift.ports.tasks import TaskSpec

TASK = f"{SKYLIFT}work"
CHAIN: dict[str, Any] = {name: {"Type": "Task", "Resource": TASK} for name in "ABC"}
MAP: dict[str, Any] = {
    "M": {
        "Type": "Map",
        "Items": [1, 2, 3],
        "MaxConcurrency": 1,
        "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": TASK, "End": True}}},
    }
}
SIDES: dict[str, Any] = {
    "P": {
        "Type": "Parallel",
        "Branches": [
            {"StartAt": "L", "States": {"L": {"Type": "Task", "Resource": TASK, "End": True}}},
            {
                "StartAt": "R",
                "States": {
                    "R": {"Type": "Task", "Resource": TASK, "Next": "S"},
                    "S": {"Type": "Task", "Resource": TASK, "End": True},
                },
            },
        ],
    }
}


class PricedBackend(ManualBackend):
    """A dollar an hour."""

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        return [Offer(backend=self.name, instance_type="x", vcpus=1, memory_mib=1, price_usd_micro_per_hour=1_000_000)]


def world_of(**settings: Any) -> World:
    world = World({"work": TaskSpec(name="work", target="m:work", on="manual")}, **settings)
    world.backend = PricedBackend()
    world.backends = {"manual": world.backend}
    world.restart()
    return world


def paid(usd: str) -> Succeeded:
    return Succeeded(output=1, usage=cost(usd))


def cost(usd: str) -> Usage:
    return Usage(service="batch", duration_ms=1.0, cost_usd_micro=int(Fraction(usd) * 1_000_000))


def alerts(world: World, run_id: str) -> list[tuple[str, str, int]]:
    events = [entry.event for entry in world.journal.entries(run_id)]
    return [(e.scope, e.share, e.spent_usd_micro) for e in events if isinstance(e, BudgetReached)]


def pauses(world: World, run_id: str) -> list[str | None]:
    return [e.event.cause for e in world.journal.entries(run_id) if isinstance(e.event, PauseRequested)]


def ask(world: World, run_id: str, event: Any) -> None:
    world.ask(lambda reply: Send(run_id=run_id, event=event, reply=reply))


def begin(world: World, states: dict[str, Any] = CHAIN, budget: str | None = "5", **more: Any) -> str:
    return world.start(states, attributes={} if budget is None else {"budget": budget}, **more)


def test_a_run_within_its_budget_is_told_of_thresholds_and_goes_on() -> None:
    world = world_of()
    run_id = begin(world)
    for usd in ("2.5", "0.5", "1.999999"):
        world.answer(paid(usd))
    assert world.record(run_id).status == "SUCCEEDED"
    assert alerts(world, run_id) == [("run", "0.5", 2_500_000), ("run", "0.8", 4_999_999)]
    assert pauses(world, run_id) == []


def test_a_budget_that_is_met_exactly_pauses_before_the_next_attempt() -> None:
    world = world_of()
    run_id = begin(world)
    world.answer(paid("5"))
    assert world.record(run_id).status == "PAUSED"
    assert world.backend.calls == {}
    assert [share for _, share, _ in alerts(world, run_id)] == ["0.5", "0.8", "1"]
    assert pauses(world, run_id) == ["its budget of $5.00 is spent ($5.00)"]


def test_it_goes_on_with_more_and_not_without() -> None:
    world = world_of()
    run_id = begin(world)
    world.answer(paid("6"))
    with pytest.raises(SkyliftError, match=r"its budget of \$5\.00 is spent \(\$6\.00\)") as refused:
        ask(world, run_id, ResumeRequested())
    assert refused.value.code == "BUDGET" and f"skylift resume {run_id} --budget" in (refused.value.hint or "")
    with pytest.raises(SkyliftError, match=r"its budget of \$6\.00 is spent"):
        ask(world, run_id, ResumeRequested(budget="6"))
    ask(world, run_id, ResumeRequested(budget="10"))
    assert world.record(run_id).status == "RUNNING" and len(world.backend.calls) == 1
    world.answer(paid("1"))
    world.answer(paid("1"))
    assert world.record(run_id).status == "SUCCEEDED"
    # Of the new budget each threshold is told once, too: 6 of 10 at once, then 8 of 10.
    assert [(s, m) for _, s, m in alerts(world, run_id)][3:] == [("0.5", 6_000_000), ("0.8", 8_000_000)]


def test_a_restart_forgets_nothing_and_tells_nothing_twice() -> None:
    world = world_of()
    run_id = begin(world)
    world.answer(paid("3"))
    world.restart()
    world.ask(lambda reply: Recover(run_ids=[run_id], reply=reply))
    world.answer(paid("2"))
    assert world.record(run_id).status == "PAUSED"
    assert [share for _, share, _ in alerts(world, run_id)] == ["0.5", "0.8", "1"]
    world.restart()
    with pytest.raises(SkyliftError, match="is spent"):
        ask(world, run_id, ResumeRequested())
    ask(world, run_id, ResumeRequested(budget="20"))
    world.restart()
    world.ask(lambda reply: Recover(run_ids=[run_id], reply=reply))
    world.answer(paid("14"))  # 19 of 20: the raised budget is known to the next engine
    assert world.record(run_id).status == "SUCCEEDED"


def test_a_run_without_a_budget_can_be_given_one() -> None:
    world = world_of()
    run_id = begin(world, budget=None)
    world.answer(paid("3"))
    ask(world, run_id, ResumeRequested(budget="4"))
    world.answer(paid("1"))
    assert world.record(run_id).status == "PAUSED" and len(alerts(world, run_id)) == 3


def test_what_is_lost_and_what_fails_is_spent_too_and_waits_for_money() -> None:
    world = world_of()
    run_id = begin(world)
    world.answer(Lost(reason="gone", preempted=True, usage=cost("5")))
    world.wait(60)
    assert world.record(run_id).status == "PAUSED" and world.backend.calls == {}
    (waiting,) = world.engine.in_flight(run_id)
    assert waiting.what == "held"
    world.restart()
    world.ask(lambda reply: Recover(run_ids=[run_id], reply=reply))
    world.wait(60)
    assert world.backend.calls == {}  # the next engine holds it back as well
    ask(world, run_id, ResumeRequested(budget="9"))
    (call,) = world.backend.calls.values()
    assert call.delivery == 2
    world.answer(Failed(error="E", usage=cost("4")))
    assert world.record(run_id).status == "FAILED"
    with pytest.raises(SkyliftError, match="is spent"):
        ask(world, run_id, RedriveRequested())


def test_tasks_that_run_go_on_and_those_behind_them_wait() -> None:
    world = world_of()
    run_id = begin(world, SIDES)
    left, right = world.backend.calls
    world.answer(paid("5"), right)
    assert world.record(run_id).status == "PAUSED" and list(world.backend.calls) == [left]
    world.answer(paid("1"), left)
    assert world.backend.calls == {} and len(pauses(world, run_id)) == 1
    ask(world, run_id, ResumeRequested(budget="7"))
    world.answer(paid("0.5"))
    assert world.record(run_id).status == "SUCCEEDED"


def test_no_iteration_begins_once_it_is_spent() -> None:
    world = world_of()
    run_id = begin(world, MAP, "2")
    world.answer(paid("1"))
    world.answer(paid("1"))
    assert world.record(run_id).status == "PAUSED" and world.backend.calls == {}


def test_running_attempts_count_by_estimate() -> None:
    """A dollar an hour: after three hours of the left side the right side's next attempt does not begin."""
    world = world_of()
    run_id = begin(world, SIDES, "3")
    _, right = world.backend.calls
    world.wait(2 * 3600)
    assert [(s, m) for _, s, m in alerts(world, run_id)] == [("0.5", 4_000_000), ("0.8", 4_000_000), ("1", 4_000_000)]
    assert world.record(run_id).status == "PAUSED"
    assert "$4.00 of it by running attempts, estimated" in (pauses(world, run_id)[0] or "")
    world.answer(paid("0.1"), right)  # it was cheaper than that, but the left side has cost two dollars by now
    ask(world, run_id, ResumeRequested())
    assert world.record(run_id).status == "RUNNING"


def test_what_runs_goes_on_costing_over_a_restart_and_a_turn_that_is_thrown_away() -> None:
    world = world_of()
    run_id = begin(world, SIDES, "5")
    world.wait(3600)
    real, failing = world.journal.commit, [True]

    def commit(batch: Any) -> None:
        if failing[0]:
            failing[0] = False
            raise JournalUnavailable("full")
        real(batch)

    world.journal.commit = commit
    world.wait(1_800)  # 2 x 1.5 hours: more than half of it, told once the commit works again
    world.wait(5)  # the run is loaded
    world.wait(5)
    assert [(s, round(m, -5)) for _, s, m in alerts(world, run_id)] == [("0.5", 3_000_000)]
    world.restart()
    world.ask(lambda reply: Recover(run_ids=[run_id], reply=reply))
    world.wait(3600)
    assert [s for _, s, _ in alerts(world, run_id)] == ["0.5", "0.8", "1"]
    assert world.record(run_id).status == "PAUSED"


def test_what_waits_for_a_machine_has_cost_nothing() -> None:
    world = world_of()
    run_id = begin(world, SIDES, "1")
    world.backend.status = "queued"
    world.wait(10 * 3600)
    assert world.record(run_id).status == "RUNNING" and alerts(world, run_id) == []
    world.backend.status = "running"
    world.wait(1800)
    assert world.record(run_id).status == "PAUSED"  # two of them for half an hour each


def test_a_called_pipeline_spends_its_callers_budget() -> None:
    world = world_of()
    inner = world.document({"I": {"Type": "Task", "Resource": TASK}, "J": {"Type": "Task", "Resource": TASK}})
    world.machines = {"inner": inner}
    call = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": {"StateMachineArn": "inner", "Input": {}},
    }
    run_id = begin(world, {"Call": call, "Z": {"Type": "Task", "Resource": TASK}}, "2")
    world.settle()
    child = next(record.run_id for record in world.journal.runs() if record.parent is not None)
    world.answer(paid("2"))
    assert (world.record(run_id).status, world.record(child).status) == ("PAUSED", "PAUSED")
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    ask(world, run_id, ResumeRequested(budget="4"))
    assert (world.record(run_id).status, world.record(child).status) == ("RUNNING", "RUNNING")
    world.answer(paid("2"))
    world.settle()
    assert world.record(child).status == "SUCCEEDED" and world.record(run_id).status == "PAUSED"


# A month -------------------------------------------------------------------------------------------------------------


def test_a_months_budget_pauses_all_runs_that_cost_and_new_ones_at_once() -> None:
    world = world_of(budget=BudgetPlan(month="4"))
    first, second = begin(world, budget=None), begin(world, budget=None)
    world.answer(paid("4"))
    assert [world.record(one).status for one in (first, second)] == ["PAUSED", "PAUSED"]
    assert "the project's budget for" in (pauses(world, second)[0] or "")
    third = begin(world, budget=None)
    assert world.record(third).status == "PAUSED" and len(world.backend.calls) == 1  # the second's, which ran already
    with pytest.raises(SkyliftError, match="the project's budget") as refused:
        ask(world, third, ResumeRequested(budget="100"))
    assert "[budget]" in (refused.value.hint or "")
    world.restart(budget=BudgetPlan(month="40"))
    for run_id in (first, second, third):
        ask(world, run_id, ResumeRequested())
        assert world.record(run_id).status == "RUNNING"


def test_a_month_ends() -> None:
    world = world_of(budget=BudgetPlan(month="4"))
    run_id = begin(world, budget=None)
    world.answer(paid("3"))
    assert [share for _, share, _ in alerts(world, run_id)] == ["0.5"]
    world.backend.status = "queued"  # it costs nothing meanwhile
    world.wait(40 * 24 * 3600)
    world.answer(Succeeded(output=1))
    world.answer(paid("3"))
    assert world.record(run_id).status == "SUCCEEDED"


def test_a_month_counts_what_others_spent_and_tells_once(tmp_path: Any) -> None:
    plan = BudgetPlan(month="10", alerts=("0.5", "1"), kept=tmp_path / "spending")
    world = world_of(budget=plan)
    one = begin(world, budget=None)
    world.answer(paid("6"))
    assert [share for _, share, _ in alerts(world, one)] == ["0.5"]
    world.restart(budget=plan)
    world.ask(lambda reply: Recover(reply=reply))
    world.answer(paid("1"))
    assert [share for _, share, _ in alerts(world, one)] == ["0.5"]
    world.answer(paid("3"))
    assert [share for _, share, _ in alerts(world, one)] == ["0.5", "1"]


def test_only_telling_pauses_nothing() -> None:
    world = world_of(budget=BudgetPlan(month="1", stop=False))
    run_id = begin(world, budget="1")
    for _ in CHAIN:
        world.answer(paid("1"))
    assert world.record(run_id).status == "SUCCEEDED" and len(alerts(world, run_id)) == 6


def test_free_runs_go_on_when_the_month_is_spent() -> None:
    world = world_of(budget=BudgetPlan(month="1"))
    begin(world, budget=None)
    world.answer(paid("2"))
    world.tasks = {"work": TaskSpec(name="work", target="m:work")}  # placed nowhere: on this machine
    free = begin(world, budget=None)
    assert world.record(free).status == "RUNNING"


def test_a_kept_account_is_read_on_and_is_what_the_journal_says(tmp_path: Any) -> None:
    world = world_of()
    begin(world, budget=None)
    world.answer(paid("1.25"))
    month = month_of(world.clock.now_ms())

    def total(prices: str = "a") -> Fraction:
        account = MonthAccount(world.journal, month, catalogue_price, kept=tmp_path, prices=prices)
        account.look()
        account.look()
        return account.spent["month"]

    assert total() == 1_250_000
    world.answer(paid("0.000001"))
    assert total() == 1_250_001
    (tmp_path / f"{month}.json").write_text("{broken")
    assert total() == 1_250_001
    assert total(prices="b") == 1_250_001
    assert begin_of("2026-11") == 1_793_491_200_000


def test_a_turn_that_is_thrown_away_counts_once() -> None:
    world = world_of(budget=BudgetPlan(month="100"))
    run_id = begin(world, budget="5")
    real, failing = world.journal.commit, [True]

    def commit(batch: Any) -> None:
        if failing[0]:
            failing[0] = False
            raise JournalUnavailable("full")
        real(batch)

    world.journal.commit = commit
    world.answer(paid("3"))
    world.wait(5)
    assert world.record(run_id).status == "RUNNING"  # not 6 of 5
    assert [(scope, share) for scope, share, _ in alerts(world, run_id)] == [("run", "0.5")]


def test_engines_on_one_store_see_each_others_spending_after_a_while() -> None:
    """Until then each counts what it knew: the overshoot is what the others spend in `LOOK_MS`."""
    plan = BudgetPlan(month="4")
    one = world_of(budget=plan)
    first = begin(one, budget=None)
    other = world_of(journal=one.journal, clock=one.clock, budget=plan)
    other.owner = "other-engine"
    other.restart(owner="other-engine", is_alive=lambda owner: True)
    second = other.start(CHAIN, attributes={})
    one.answer(paid("2.5"))
    other.answer(paid("2.5"))
    assert {world.record(run).status for world, run in ((one, first), (other, second))} == {"RUNNING"}
    one.backend.status = other.backend.status = "queued"
    one.clock.advance(LOOK_MS)
    one.settle()
    assert one.record(first).status == "PAUSED" and "$5.00" in (pauses(one, first)[0] or "")
