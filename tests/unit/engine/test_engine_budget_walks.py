"""Random walks: whatever ends, is preempted, restarts, cannot be written or is raised, no attempt begins without money,
each micro-dollar counts once, and with enough of them the run comes to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from engine_world import SKYLIFT, World
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_engine_budget_estimates import MINUTE, CloudBackend, used

from skylift.asl.events import BudgetReached, ResumeRequested
from skylift.engine.inputs import Recover, Send
from skylift.engine.limits import BudgetPlan
from skylift.engine.month import MonthAccount
from skylift.engine.spending import account_of, catalogue_price, month_of
from skylift.errors import JournalUnavailable, SkyliftError
from skylift.ports.compute import Lost, TaskCall
from skylift.ports.tasks import TaskSpec

TASK = {"Type": "Task", "Resource": f"{SKYLIFT}work"}


class Watched(CloudBackend):
    """No call comes for which there is no money."""

    limit: Fraction
    """Micro-dollars."""
    spent = Fraction(0)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.unpaid: list[str] = []

    def submit(self, calls: Sequence[TaskCall]) -> None:
        for call in calls:
            out = len(self.calls.keys() - {call.token})
            if self.spent + out * MINUTE >= self.limit:
                self.unpaid.append(f"{call.token} begins: {self.spent} of {self.limit} spent, {out} out")
            super().submit([call])


class Walk:
    def __init__(self, width: int, minutes: int, monthly: bool) -> None:
        self.minutes = minutes
        self.monthly = monthly
        self.failing = False
        self.world = World({"work": TaskSpec(name="work", target="m:work", on="cloud")})
        self.backend = Watched("cloud")
        self.backend.limit = self.limit
        self.world.backend, self.world.backends = self.backend, {"cloud": self.backend}
        self.world.restart(budget=self.plan())
        processor = {"StartAt": "I", "States": {"I": {**TASK, "End": True}}}
        states = {"M": {"Type": "Map", "Items": list(range(width)), "ItemProcessor": processor}, "Z": TASK}
        self.run_id = self.world.start(states, attributes={} if monthly else {"budget": self.usd()})
        self.world.settle()

    @property
    def limit(self) -> Fraction:
        """Half a micro-dollar less than so many minutes."""
        return Fraction(self.usd()) * 1_000_000

    def usd(self) -> str:
        return f"{float(self.minutes * MINUTE - Fraction(1, 2)) / 1e6:.9f}"

    def plan(self) -> BudgetPlan:
        return BudgetPlan(month=self.usd() if self.monthly else None)

    @property
    def done(self) -> bool:
        return self.world.record(self.run_id).status == "SUCCEEDED"

    def end(self, place: int, minutes: int, lost: bool) -> None:
        """One of those that are out."""
        tokens = sorted(self.backend.calls)
        if not tokens:
            return
        token = tokens[place % len(tokens)]
        self.backend.spent += minutes * MINUTE
        outcome = used(60 * minutes)
        ended: Any = Lost(reason="gone", preempted=True, usage=outcome.usage) if lost else outcome
        self.world.answer(ended, token)
        self.world.wait(30)  # what was preempted is given out again a little later; what failed is written
        self.world.wait(30)

    def restart(self) -> None:
        self.world.restart(budget=self.plan())
        with contextlib.suppress(TimeoutError):  # the commit fails: it is taken in again
            self.world.ask(lambda reply: Recover(reply=reply))
        self.world.wait(5)

    def fail(self) -> None:
        """The next commit does; the turn is thrown away."""
        if self.failing:
            return
        self.failing, real = True, self.world.journal.commit

        def commit(batch: Any) -> None:
            self.failing, self.world.journal.commit = False, real
            raise JournalUnavailable("full")

        self.world.journal.commit = commit

    def resume(self, more: int) -> None:
        self.minutes += more
        self.backend.limit = self.limit
        if self.monthly:
            self.restart()
        event = ResumeRequested(budget=None if self.monthly else self.usd())
        with contextlib.suppress(SkyliftError, TimeoutError):
            self.world.ask(lambda reply: Send(run_id=self.run_id, event=event, reply=reply))
        self.world.wait(5)

    def check(self) -> None:
        assert self.backend.unpaid == []
        record = self.world.record(self.run_id)
        month = MonthAccount(self.world.journal, month_of(self.world.clock.now_ms()), catalogue_price)
        month.look()
        account = account_of(self.world.journal, record, catalogue_price)
        assert account.spent == month.spent["month"] == self.backend.spent
        told = [e.event for e in self.world.journal.entries(self.run_id) if isinstance(e.event, BudgetReached)]
        assert len({(one.share, one.limit_usd_micro) for one in told}) == len(told)


STEPS = st.one_of(
    st.tuples(st.just("end"), st.integers(0, 9), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("end"), st.integers(0, 9), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("restart")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("resume"), st.integers(0, 4)),
)


@settings(max_examples=60, deadline=None)
@example(1, 1, False, [("fail",), ("end", 1, 2, True)])  # the loss comes with the run that is loaded again
@example(6, 4, False, [("restart",), ("fail",), ("end", 2, 1, True)])  # and before the rest of it is known to be out
@given(st.integers(1, 8), st.integers(1, 6), st.booleans(), st.lists(STEPS, max_size=14))
def test_no_walk_begins_what_it_cannot_pay(width: int, minutes: int, monthly: bool, steps: list[Any]) -> None:
    walk = Walk(width, minutes, monthly)
    walk.check()
    for name, *arguments in steps:
        if walk.done:
            break
        getattr(walk, name)(*arguments)
        if name != "fail":
            walk.world.wait(5)
            walk.check()
    for _ in range(3 * width + 3):
        if walk.done:
            break
        walk.resume(1_000)
        while walk.backend.calls:
            walk.end(0, 1, lost=False)
    assert walk.done, (walk.world.record(walk.run_id), walk.world.events(walk.run_id))
    walk.check()
