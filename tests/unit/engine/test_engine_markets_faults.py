"""Markets of attempts when something comes between: a commit that fails, another engine, a full backend, the last
machine of its kind, a budget that is spent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec
import pytest
from engine_world import SKYLIFT, World
from test_engine_markets import HOUR_S, NEEDS, TRAIN, Asked, SeeingBackend, redeliveries, report, seeing

from skylift.asl.events import PauseRequested, Usage
from skylift.engine.inputs import Recover, Send
from skylift.engine.limits import EngineLimits
from skylift.errors import JournalUnavailable
from skylift.ports.compute import Cancelled, Lost, Market, TaskCall
from skylift.ports.tasks import TaskSpec
from skylift.pricing.spot.live import safety_net
from skylift.stores.memory import MemoryJournal


class OutlivingBackend(SeeingBackend):
    """Its attempts go on when the engine dies. The next one's object takes those up that it is given again."""

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = msgspec.structs.replace(self.capabilities, outlives_engine=True)
        self.known: set[str] = set()

    def submit(self, calls: Sequence[TaskCall]) -> None:
        super().submit([call for call in calls if call.token not in self.calls])
        self.known |= {call.token for call in calls}

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        return super().poll([token for token in tokens if token in self.known])


class FailingJournal(MemoryJournal):
    fails = False

    def commit(self, batch: Any) -> None:
        if self.fails:
            raise JournalUnavailable("full")
        super().commit(batch)


def world_with(backend: SeeingBackend, answer: Market | None, **settings: Any) -> tuple[World, Asked]:
    policy = Asked(answer)
    tasks = {"train": TaskSpec(name="train", target="m:train", requirements=NEEDS)}
    world = World(tasks, **{"spot_policy": policy, **settings})
    world.backend, world.backends = backend, {"manual": backend}
    world.restart()
    return world, policy


def recover(world: World) -> None:
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))


def wait_while_commits_fail(world: World, journal: FailingJournal, run_id: str) -> None:
    """Another run's event makes something to commit in the turn in which the markets are asked."""
    journal.fails = True
    world.clock.advance(30_000)
    world.turn(Send(run_id=run_id, event=PauseRequested()))
    journal.fails = False
    for _ in range(3):
        world.wait(30)


def test_what_is_to_leave_is_asked_again_after_a_commit_that_failed() -> None:
    journal, backend = FailingJournal(), SeeingBackend()
    world, policy = world_with(backend, "on-demand", journal=journal)
    world.start(TRAIN)
    (token,) = backend.calls
    other = world.start({"W": {"Type": "Wait", "Seconds": 9_000}})
    policy.answer, backend.saved_ms = "spot", 5.0
    wait_while_commits_fail(world, journal, other)
    assert backend.released == [token]


def test_what_waits_in_vain_is_recalled_after_a_commit_that_failed() -> None:
    journal, backend = FailingJournal(), SeeingBackend()
    backend.status = "queued"
    world, policy = world_with(backend, "spot", journal=journal)
    world.start(TRAIN)
    (token,) = backend.calls
    other = world.start({"W": {"Type": "Wait", "Seconds": 9_000}})
    policy.answer = "on-demand"
    wait_while_commits_fail(world, journal, other)
    assert backend.cancelled == [token]
    report(world, token, Cancelled())
    assert backend.calls[token].market == "on-demand"


def test_what_goes_on_without_its_engine_is_taken_up_although_the_policy_would_wait() -> None:
    backend = OutlivingBackend()
    world, policy = world_with(backend, "on-demand")
    run_id = world.start(TRAIN)
    (token,) = backend.calls
    backend.known.clear()
    policy.answer = None
    recover(world)
    assert token in backend.known
    world.wait(30)
    assert backend.released == []
    backend.saved_ms, policy.answer = 5.0, "spot"
    world.wait(30)
    assert backend.released == [token] and policy.states[-1].market == "on-demand"
    world.answer("trained")
    assert world.record(run_id).output == "trained"


def test_what_another_engine_has_on_spot_is_left_there() -> None:
    backend = OutlivingBackend()
    world, policy = world_with(backend, "spot")
    world.start(TRAIN)
    backend.known.clear()
    backend.saved_ms, policy.answer = 5.0, "on-demand"
    recover(world)
    policy.answer = None
    world.wait(30)
    world.wait(30)
    assert backend.released == [] and backend.cancelled == []


def test_a_new_engine_waits_where_nothing_can_be_left_of_the_one_before() -> None:
    world, backend, policy = seeing(None)
    world.start(TRAIN)
    recover(world)
    assert not backend.calls
    policy.answer = "spot"
    world.wait(30)
    assert len(backend.calls) == 1


def test_the_market_is_chosen_anew_while_an_attempt_waits_for_its_turn() -> None:
    backend = SeeingBackend()
    world, policy = world_with(backend, "spot", limits=EngineLimits(look_ms=0, window=1))
    world.start({"P": {"Type": "Parallel", "Branches": [branch("A"), branch("B")]}})
    (first,) = backend.calls
    policy.answer = "on-demand"
    world.wait(30)
    world.answer("trained", first)
    (second,) = backend.calls.values()
    assert second.token != first and second.market == "on-demand"


def branch(name: str) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: {"Type": "Task", "Resource": f"{SKYLIFT}train", "End": True}}}


def test_the_last_machine_is_no_gap_for_who_has_it() -> None:
    world, backend, policy = seeing("spot")
    backend.available = True
    world.start(TRAIN)
    backend.available = False  # all of them are in use: by us
    for _ in range(4):
        world.wait(30)
    policy.states.clear()
    (token,) = backend.calls
    backend.available = True
    del backend.calls[token]
    world.wait(30)
    report(world, token, Lost(reason="taken", preempted=True))
    assert policy.states[-1].seen == ((True, 150_000),)


def test_what_its_budget_holds_back_is_not_said_to_wait_for_a_machine() -> None:
    world, *_ = seeing(None)
    run_id = world.start(TRAIN)
    (attempt,) = world.engine._book.runs[run_id].attempts.values()
    attempt.held = True
    (waiting,) = world.engine.in_flight(run_id)
    assert waiting.what == "held" and waiting.why is None


@pytest.mark.parametrize("method", ["sight", "standings", "release"])
def test_a_backend_in_trouble_stops_no_engine(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full, a provider that does not answer: its steps go on where they are."""
    world, backend, policy = seeing("on-demand")
    run_id = world.start(TRAIN)
    policy.answer, backend.saved_ms = "spot", 5.0

    def failing(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(backend, method, failing)
    for _ in range(3):
        world.wait(30)
    world.answer("trained")
    assert world.record(run_id).output == "trained"


def on_spot_with_little_time(saved_ms: float) -> tuple[World, SeeingBackend, str, str]:
    """Ten hours in, of twenty, only that of ten hours' work is saved: if its machine went now it would be late."""
    backend = SeeingBackend()
    world, _ = world_with(backend, "spot", spot_policy=safety_net)
    run_id = world.start(TRAIN)
    (token,) = backend.calls
    backend.saved_ms = saved_ms
    world.wait(10 * HOUR_S)
    return world, backend, run_id, token


def test_what_would_be_late_without_its_spot_machine_saves_its_work_and_leaves() -> None:
    world, backend, run_id, token = on_spot_with_little_time(30_000.0)
    assert backend.released == [token]
    del backend.calls[token]
    report(world, token, Lost(reason="left", preempted=True, usage=Usage(saved_ms=9.9 * HOUR_S * 1000)))
    assert [(e.reason, e.cause) for e in redeliveries(world, run_id)] == [("moved", "taken back from spot: left")]
    assert backend.calls[token].market == "spot"  # with all that is saved there is time again


def test_what_has_saved_enough_stays_on_spot() -> None:
    _, backend, _, _ = on_spot_with_little_time(HOUR_S * 1000.0)
    assert backend.released == []


def test_what_does_not_leave_spot_and_loses_its_machine_was_preempted() -> None:
    world, backend, run_id, token = on_spot_with_little_time(0.0)
    assert backend.released == [token]
    world.wait(30)
    del backend.calls[token]
    report(world, token, Lost(reason="gone", preempted=True, usage=Usage(duration_ms=1.0)))
    assert [(e.reason, e.cause) for e in redeliveries(world, run_id)] == [("preempted", "gone")]
    assert backend.calls[token].market == "on-demand"
