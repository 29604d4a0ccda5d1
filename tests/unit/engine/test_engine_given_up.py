"""What is cancelled is metered where it costs something: in the journal with what it was cancelled for, in the ledger,
in budgets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any

from engine_world import SKYLIFT, World
from test_engine_budget_estimates import MINUTE, CloudBackend, ask, causes, used

from skylift.asl.events import (
    PauseRequested,
    RedriveRequested,
    StopRequested,
    TaskGivenUp,
    TaskRedelivered,
    TaskTimedOut,
    Usage,
)
from skylift.engine.inputs import Recover
from skylift.engine.limits import BudgetPlan
from skylift.engine.month import MonthAccount
from skylift.engine.spending import catalogue_price, month_of
from skylift.ports.compute import Failed, Standing
from skylift.ports.journal import Entry
from skylift.ports.tasks import TaskSpec
from skylift.pricing.bill import bill
from skylift.pricing.catalogue import catalogue
from skylift.pricing.deliveries import deliveries as deliveries_in
from skylift.reader import RunReader

TASK = f"{SKYLIFT}work"
ONE: dict[str, Any] = {"A": {"Type": "Task", "Resource": TASK}}
SIDES: dict[str, Any] = {
    "P": {
        "Type": "Parallel",
        "Branches": [{"StartAt": n, "States": {n: {"Type": "Task", "Resource": TASK, "End": True}}} for n in "LR"],
    }
}


class TellingBackend(CloudBackend):
    """Says what attempts have used by now."""

    clock: Any = None
    begun_ms = 0

    def standings(self, tokens: Collection[str]) -> Mapping[str, Standing]:
        if self.status == "queued":
            return {token: Standing(market="on-demand") for token in tokens if token in self.calls}
        seconds = (self.clock.now_ms() - self.begun_ms) / 1000
        usage: Any = used(seconds).usage
        return {token: Standing(market="on-demand", usage=usage) for token in tokens if token in self.calls}


def world_of(**settings: Any) -> World:
    world = World({"work": TaskSpec(name="work", target="m:work", on="cloud")}, **settings)
    backend = TellingBackend("cloud")
    backend.clock, backend.begun_ms = world.clock, world.clock.now_ms()
    world.backend, world.backends = backend, {"cloud": backend}
    world.restart()
    return world


def given_up(world: World, run_id: str) -> list[Usage]:
    return [e.event.usage for e in world.journal.entries(run_id) if isinstance(e.event, TaskGivenUp)]


def deliveries(world: World, run_id: str) -> Any:
    reader = RunReader(world.journal, world.settings.get("logs"), lambda owner: True)  # type: ignore[arg-type]
    return reader.deliveries(world.record(run_id))


def test_what_a_stopped_run_has_used_is_in_the_ledger() -> None:
    world = world_of()
    run_id = world.start(ONE, attributes={})
    world.wait(1800)
    ask(world, run_id, StopRequested())
    assert world.record(run_id).status == "ABORTED" and world.backend.cancelled
    assert [usage.duration_ms for usage in given_up(world, run_id)] == [1_800_000]
    (delivery,) = deliveries(world, run_id)
    assert delivery.ended == "given-up"
    (line,) = bill([delivery], catalogue()).lines
    assert line.given_up == 1 and line.parts.given_up == line.cost == Fraction(85_000, 2)
    ask(world, run_id, RedriveRequested())
    assert world.record(run_id).status == "RUNNING" and len(world.backend.calls) == 1
    world.answer(used(3600))
    assert world.record(run_id).status == "SUCCEEDED"
    assert bill(deliveries(world, run_id), catalogue()).cost == Fraction(85_000 * 3, 2)


def test_a_branch_that_is_given_up_for_another_costs_what_it_used() -> None:
    world = world_of()
    run_id = world.start(SIDES, attributes={})
    world.wait(60)
    world.answer(Failed(error="E", usage=used(60).usage))
    assert world.record(run_id).status == "FAILED"
    lines = {line.name: line for line in bill(deliveries(world, run_id), catalogue()).lines}
    assert lines["L"].parts.failed == lines["R"].parts.given_up == MINUTE


def test_what_outlives_the_time_limit_of_its_run_is_given_up() -> None:
    world = world_of()
    run_id = world.start(ONE, definition=world.document(ONE, TimeoutSeconds=600), attributes={})
    world.wait(600)
    assert world.record(run_id).status == "TIMED_OUT"
    (delivery,) = deliveries(world, run_id)
    assert (delivery.ended, delivery.usage.duration_ms) == ("given-up", 600_000)


def test_an_outcome_without_a_usage_says_what_the_delivery_was_given_up_for() -> None:
    usage: Any = used(60).usage
    events: list[Any] = [
        TaskRedelivered(token="2-1", reason="lost", usage=usage),
        TaskGivenUp(token="2-1", usage=usage),
        TaskTimedOut(token="2-1", heartbeat=True),
    ]
    found = deliveries_in({"2-1": "A"}, [Entry(n, n, event) for n, event in enumerate(events, 1)])
    assert [(one.ended, one.usage) for one in found] == [("lost", usage), ("timed-out", usage)]


def test_what_only_waited_is_not_charged() -> None:
    world = world_of()
    world.backend.status = "queued"
    run_id = world.start(ONE, attributes={})
    world.wait(600)
    ask(world, run_id, StopRequested())
    assert given_up(world, run_id) == [] and deliveries(world, run_id) == []


def test_budgets_count_it_once_and_after_a_restart() -> None:
    world = world_of(budget=BudgetPlan(month="0.1"))
    stopped = world.start(ONE, attributes={})
    world.wait(3600)
    ask(world, stopped, StopRequested())  # $0.085 of $0.10, not twice that
    going_on = world.start({"A": ONE["A"], "B": ONE["A"]}, attributes={})
    assert causes(world, going_on) == [] and world.record(going_on).status == "RUNNING"
    account = MonthAccount(world.journal, month_of(world.clock.now_ms()), catalogue_price)
    account.look()
    assert account.spent["month"] == 85_000
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    world.answer(used(3600))
    assert world.record(going_on).status == "PAUSED"
    assert [e for e in world.events(going_on) if e == PauseRequested.__name__] == ["PauseRequested"]
