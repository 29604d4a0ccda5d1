"""A month's ledger is what the month's budget goes by: whatever outlives what, each delivery is in one month, once."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from engine_world import SKYLIFT, World
from test_engine_budget_estimates import used, world_of

from skylift.accounting import Accounts, By, month_window, runs_in
from skylift.engine.month import MonthAccount
from skylift.engine.spending import catalogue_price, month_of
from skylift.pricing.catalogue import catalogue
from skylift.pricing.ledger import Ledger
from skylift.reader import RunReader

TASK = f"{SKYLIFT}work"
DAY_S = 24 * 3600


def ledger_of(
    world: World, month: str, by: By = "run", pipeline: str | None = None, transitions: bool = False
) -> Accounts:
    reader: Any = RunReader(world.journal, None, lambda owner: True)  # type: ignore[arg-type]  # nobody reads logs here
    given = Ledger(catalogue())
    found = Accounts(reader, catalogue(), given, transitions=transitions, now_ms=world.clock.now_ms)
    window = month_window(month)
    for record in runs_in(world.journal, window, pipeline):
        found.add(record, by, window)
    return found


def spent(world: World, month: str) -> Fraction:
    account = MonthAccount(world.journal, month, catalogue_price)
    account.look()
    return account.spent["month"]


def call(mode: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::states:startExecution{mode}",
        "Arguments": {"StateMachineArn": "inner", "Input": {}},
    }


@pytest.mark.parametrize("mode", ["", ".sync:2"])
def test_what_outlives_its_caller_is_in_the_month_in_which_it_ended(mode: str) -> None:
    world = world_of()
    steps = {name: {"Type": "Task", "Resource": TASK} for name in "IJ"}
    world.machines = {"inner": world.document(steps)}
    first = month_of(world.clock.now_ms())
    caller = world.start({"Call": call(mode)}, attributes={})
    world.settle()
    world.answer(used(3600))
    world.wait(40 * DAY_S)
    second = month_of(world.clock.now_ms())
    assert first != second
    assert (world.record(caller).status == "SUCCEEDED") is (mode == "")
    world.answer(used(7200))
    world.settle()
    for month, hours in ((first, 1), (second, 2)):
        found = ledger_of(world, month)
        assert found.ledger.total.cost == spent(world, month) == hours * 85_000
        assert found.runs == 1 and found.ledger.total.deliveries == 1
    assert ledger_of(world, "1999-01").runs == 0


def test_what_has_not_ended_is_the_business_of_this_month_alone() -> None:
    world = world_of()
    first = month_of(world.clock.now_ms())
    world.start({"A": {"Type": "Task", "Resource": TASK}}, attributes={})
    world.wait(40 * DAY_S)
    assert (ledger_of(world, first).going_on, ledger_of(world, first).runs) == (0, 0)
    now = ledger_of(world, month_of(world.clock.now_ms()))
    assert (now.going_on, now.runs) == (1, 1)


def test_a_pipeline_that_others_call_has_a_ledger_of_its_own() -> None:
    world = world_of()
    world.machines = {"inner": world.document({"I": {"Type": "Task", "Resource": TASK}})}
    month = month_of(world.clock.now_ms())
    world.start({"Call": call(".sync:2")}, pipeline="outer", attributes={})
    world.settle()
    world.answer(used(3600))
    world.settle()
    names = {record.pipeline for record in world.journal.runs()}
    assert len(names) == 2 and "outer" in names
    for name in names:
        found = ledger_of(world, month, "pipeline", name)
        assert found.runs == 1 and list(found.ledger.lines) == [name]
        assert found.ledger.total.cost == spent(world, month) == 85_000
    assert ledger_of(world, month).runs == 1  # and beside all others it is in the run that called it, once


@pytest.mark.parametrize("by", ["step", "run", "pipeline", "day"])
def test_transitions_are_in_the_month_in_which_they_were_made_with_those_of_called_runs(by: By) -> None:
    world = world_of()
    tasks = {name: {"Type": "Task", "Resource": TASK} for name in "IJ"}
    world.machines = {"inner": world.document(tasks)}
    first = month_of(world.clock.now_ms())
    world.start({"Call": call(".sync:2"), "After": {"Type": "Pass"}}, attributes={})
    world.settle()
    world.wait(40 * DAY_S)
    second = month_of(world.clock.now_ms())
    for _ in tasks:
        world.answer(used(3600))
        world.settle()
    # Two starts, Call and I; then J and After
    for month, count in ((first, 4), (second, 2)):
        found = ledger_of(world, month, by, transitions=True).ledger
        assert found.total.requests == sum(line.requests for line in found.lines.values()) == count
        assert found.total.parts.requests == 25 * count  # micro-dollars each
    assert ledger_of(world, "1999-01", by, transitions=True).runs == 0


@pytest.mark.parametrize("month", ["2026-1", "\uff12026-11", "2026-11-01", "2026-13", "", "0000-01", " 2026-11"])
def test_a_month_that_is_none(month: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        month_window(month)
