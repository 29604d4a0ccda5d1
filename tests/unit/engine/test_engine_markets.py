"""On which market attempts are bought, and when they are taken back for another: what the engine asks the spot policy,
and what it does with the answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from engine_world import SKYLIFT, ManualBackend, World

from skylift.asl.events import TaskRedelivered, Usage
from skylift.engine.inputs import Recover, Reported
from skylift.ports.compute import Cancelled, Lost, Market, Outcome, Requirements, SpotSight, Standing
from skylift.ports.spot import SpotState
from skylift.ports.tasks import TaskSpec
from skylift.pricing.spot.live import safety_net

TRAIN = f"{SKYLIFT}train"
HOUR_S = 3600
NEEDS = Requirements(spot=True, work_ms=10 * HOUR_S * 1000, deadline_ms=20 * HOUR_S * 1000)


class SeeingBackend(ManualBackend):
    """Sees a market, and knows what attempts have saved."""

    def __init__(self) -> None:
        super().__init__("manual")
        self.available = False
        self.saved_ms = 0.0
        self.released: list[str] = []

    def sight(self, requirements: Requirements) -> SpotSight | None:
        return SpotSight(available=self.available, ratio=0.3, startup_ms=60_000)

    def standings(self, tokens: Collection[str]) -> Mapping[str, Standing]:
        held = [self.calls[token] for token in tokens if token in self.calls]
        return {call.token: Standing(market=call.market, saved_ms=self.saved_ms) for call in held}

    def release(self, tokens: Collection[str]) -> None:
        self.released += tokens


class Asked:
    """A policy that says what the test wants, and remembers what it was shown."""

    def __init__(self, answer: Market | None) -> None:
        self.answer = answer
        self.states: list[SpotState] = []

    def __call__(self, state: SpotState) -> Market | None:
        self.states.append(state)
        return self.answer


def world_of(needs: Requirements, **settings: Any) -> World:
    return World({"train": TaskSpec(name="train", target="m:train", requirements=needs)}, **settings)


def seeing(answer: Market | None, needs: Requirements = NEEDS) -> tuple[World, SeeingBackend, Asked]:
    policy = Asked(answer)
    world = world_of(needs, spot_policy=policy)
    backend = SeeingBackend()
    world.backend, world.backends = backend, {"manual": backend}
    world.restart()
    return world, backend, policy


def report(world: World, token: str, outcome: Outcome) -> None:
    world.turn(Reported(token, outcome))
    world.settle()


def redeliveries(world: World, run_id: str) -> list[TaskRedelivered]:
    return [e.event for e in world.journal.entries(run_id) if isinstance(e.event, TaskRedelivered)]


def test_spot_is_asked_of_the_policy_and_reconsidered_while_it_waits() -> None:
    asked: list[SpotState] = []

    def policy(state: SpotState) -> Market:
        asked.append(state)
        return "spot" if state.elapsed_ms < 40_000 else "on-demand"

    world = world_of(Requirements(spot=True, work_ms=10, deadline_ms=50_000), spot_policy=policy)
    world.backend.status = "queued"
    run_id = world.start(TRAIN)
    (call,) = world.backend.calls.values()
    assert call.market == "spot"
    world.wait(30)
    assert world.backend.cancelled == []
    world.wait(30)
    assert world.backend.cancelled == [call.token]
    report(world, call.token, Cancelled())
    (call,) = world.backend.calls.values()
    assert (call.market, call.delivery) == ("on-demand", 2)
    assert asked[-1].work_ms == 10 and asked[-1].deadline_ms == 50_000
    world.answer("trained")
    assert world.record(run_id).output == "trained"
    assert [event.reason for event in redeliveries(world, run_id)] == ["moved"]


def test_what_runs_on_spot_is_left_alone() -> None:
    world = world_of(Requirements(spot=True), spot_policy=lambda state: "spot" if state.elapsed_ms < 1 else "on-demand")
    world.start(TRAIN)
    world.wait(60)
    world.wait(60)
    assert world.backend.cancelled == []


@pytest.mark.parametrize(
    ("elapsed", "done", "runs_on", "market"),
    [
        (0, 0, None, "spot"),
        (39_000, 0, None, "spot"),
        (41_000, 0, None, "on-demand"),
        (41_000, 30_000, None, "spot"),
        (44_000, 0, "spot", "spot"),
        (46_000, 0, "spot", "on-demand"),  # one launch more would just fit, if its machine went now
    ],
)
def test_the_safety_net_goes_on_demand_when_only_the_work_fits(
    elapsed: int, done: int, runs_on: Market | None, market: str
) -> None:
    state = SpotState(
        now_ms=0,
        elapsed_ms=elapsed,
        work_ms=50_000,
        done_ms=done,
        deadline_ms=100_000,
        changeover_ms=5_000,
        preemptions=0,
        market=runs_on,
    )
    assert safety_net(state) == market


def test_what_is_to_wait_is_not_given_out_and_asked_about_again() -> None:
    world, backend, policy = seeing(None)
    run_id = world.start(TRAIN)
    assert not backend.calls
    (waiting,) = world.engine.in_flight(run_id)
    assert waiting.what == "queued" and waiting.why is not None and "waits for a spot machine" in waiting.why
    world.wait(30)
    assert not backend.calls
    backend.available, policy.answer = True, "spot"
    world.wait(30)
    (call,) = backend.calls.values()
    assert (call.market, call.delivery) == ("spot", 1)
    world.answer("trained")
    assert world.record(run_id).output == "trained" and not redeliveries(world, run_id)


def test_the_policy_is_shown_what_was_seen_of_the_market() -> None:
    world, backend, policy = seeing(None)
    world.start(TRAIN)
    first = policy.states[0]
    assert first.seen == ((False, 0),) and first.market is None and first.keeps
    assert (first.ratio, first.changeover_ms, first.elapsed_ms) == (0.3, 60_000, 0)
    for available in (False, True, True, False):
        backend.available = available
        world.wait(30)
    assert policy.states[-1].seen == ((False, 60_000), (True, 60_000), (False, 0))
    assert policy.states[-1].elapsed_ms == 120_000


def test_saved_work_on_on_demand_is_taken_back_for_spot() -> None:
    world, backend, policy = seeing("on-demand")
    run_id = world.start(TRAIN)
    (call,) = backend.calls.values()
    assert call.market == "on-demand"
    policy.answer, backend.available = "spot", True
    world.wait(30)
    assert backend.released == []  # nothing of it is saved: it would begin anew
    backend.saved_ms = 5_000_000.0
    world.wait(30)
    assert backend.released == [call.token]
    asked = policy.states[-1]
    assert (asked.market, asked.done_ms, asked.launching_ms) == ("on-demand", 5_000_000, 0)
    world.wait(30)
    assert backend.released == [call.token]  # asked once
    del backend.calls[call.token]
    report(world, call.token, Lost(reason="left", preempted=True, usage=Usage(saved_ms=5_100_000.0)))
    (again,) = backend.calls.values()
    assert (again.market, again.delivery) == ("spot", 2)
    assert [(e.reason, e.cause) for e in redeliveries(world, run_id)] == [("moved", "taken back from on-demand: left")]
    assert policy.states[-1].done_ms == 5_100_000
    world.answer("trained")
    assert world.record(run_id).output == "trained"


def test_what_was_asked_to_leave_may_end_instead() -> None:
    world, backend, policy = seeing("on-demand")
    run_id = world.start(TRAIN)
    policy.answer, backend.saved_ms = "spot", 1.0
    world.wait(30)
    assert len(backend.released) == 1
    world.answer("trained")
    assert world.record(run_id).output == "trained" and not redeliveries(world, run_id)


def test_a_step_that_lost_all_its_work_is_not_taken_to_keep_it() -> None:
    world, backend, policy = seeing("spot")
    world.start(TRAIN)
    (token,) = backend.calls
    del backend.calls[token]
    report(world, token, Lost(reason="taken", preempted=True))
    assert not policy.states[-1].keeps
    del backend.calls[token]
    report(world, token, Lost(reason="taken", preempted=True, usage=Usage(saved_ms=7.0, startup_ms=90_000)))
    assert policy.states[-1].keeps
    assert (policy.states[-1].changeover_ms, policy.states[-1].preemptions) == (90_000, 2)


def test_waiting_for_spot_in_vain_loses_no_work() -> None:
    world, backend, policy = seeing("spot")
    backend.status = "queued"
    world.start(TRAIN)
    (token,) = backend.calls
    policy.answer = "on-demand"
    world.wait(30)
    assert backend.cancelled == [token]
    report(world, token, Cancelled())
    assert policy.states[-1].keeps and policy.states[-1].preemptions == 0


def test_the_market_is_asked_for_once_a_pause_however_often_it_was_lost() -> None:
    world, backend, policy = seeing("spot")
    backend.status = "queued"
    world.start(TRAIN)
    for _ in range(5):
        (token,) = backend.calls
        del backend.calls[token]
        report(world, token, Lost(reason="taken", preempted=True))
    asked = len(policy.states)
    world.wait(30)
    assert len(policy.states) == asked + 1


def test_a_new_engine_learns_from_the_backend_where_its_attempts_are() -> None:
    world, backend, policy = seeing("on-demand")
    world.start(TRAIN)
    (call,) = backend.calls.values()
    policy.answer = "spot"
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    world.wait(30)
    assert backend.released == []
    backend.saved_ms = 1.0
    world.wait(30)
    assert backend.released == [call.token]


def test_a_task_that_may_not_run_on_spot_asks_nobody() -> None:
    world, backend, policy = seeing("spot", Requirements(work_ms=10, deadline_ms=20))
    world.start(TRAIN)
    (call,) = backend.calls.values()
    assert call.market == "on-demand" and policy.states == []
