"""Activities: tasks that wait for a worker who asks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_world import World

from skylift.asl.events import StopRequested, TaskStarted
from skylift.engine.inputs import Callback, Heartbeat, Recover, Send
from skylift.engine.router import Router
from skylift.errors import SetupError
from skylift.ports.compute import Failed, Succeeded

ACCOUNT = "123456789012"
QUEUE = f"arn:aws:states:us-east-1:{ACCOUNT}:activity:paint"


def start(world: World, value: Any = None, **fields: Any) -> str:
    task = {"Type": "Task", "Resource": QUEUE, "Arguments": "{% $states.input %}", **fields}
    return world.start({"A": task}, value, account=ACCOUNT)


def token_of(run_id: str) -> str:
    return f"{run_id}:1-1"


def test_a_worker_takes_it_and_answers() -> None:
    world = World()
    run_id = start(world, {"colour": "red"})
    offer = world.journal.take(QUEUE, "worker 7")
    assert (offer.token, json.loads(offer.input)) == (token_of(run_id), {"colour": "red"})
    assert world.journal.take(QUEUE, "worker 8") is None
    world.settle()
    world.ask(lambda reply: Callback(token=offer.token, outcome=Succeeded(output=1), reply=reply))
    assert world.record(run_id).output == 1
    started = [entry.event for entry in world.journal.entries(run_id) if isinstance(entry.event, TaskStarted)]
    assert started == [TaskStarted(token="1-1", worker="worker 7")]


def test_an_answer_that_is_faster_than_the_look_into_the_journal() -> None:
    from skylift.engine.limits import EngineLimits

    world = World(limits=EngineLimits(look_ms=60_000))
    run_id = start(world)
    world.journal.take(QUEUE, None)
    world.turn(Callback(token=token_of(run_id), outcome=Succeeded(output=1)))
    assert world.events(run_id) == ["RunStarted", "TaskStarted", "TaskSucceeded"]


def test_the_time_limit_counts_from_the_beginning_and_withdraws_the_offer() -> None:
    world = World()
    run_id = start(world, TimeoutSeconds=10)
    world.wait(10)
    assert world.record(run_id).error == "States.Timeout"
    assert world.journal.take(QUEUE, None) is None


def test_heartbeats_count_from_the_take() -> None:
    world = World()
    run_id = start(world, HeartbeatSeconds=5)
    world.wait(60)
    world.journal.take(QUEUE, None)
    world.settle()
    world.wait(4)
    world.ask(lambda reply: Heartbeat(token=token_of(run_id), reply=reply))
    world.wait(4)
    assert world.record(run_id).status == "RUNNING"
    world.wait(2)
    assert world.record(run_id).error == "States.HeartbeatTimeout"


def test_stopping_the_run_withdraws_the_offer() -> None:
    world = World()
    run_id = start(world)
    world.ask(lambda reply: Send(run_id=run_id, event=StopRequested(), reply=reply))
    assert world.journal.take(QUEUE, None) is None


@pytest.mark.parametrize("taken", [False, True])
def test_a_restart_offers_nothing_twice(taken: bool) -> None:
    world = World()
    run_id = start(world, HeartbeatSeconds=5, TimeoutSeconds=100)
    if taken:
        world.journal.take(QUEUE, "w")
        world.settle()
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    assert (world.journal.take(QUEUE, "w") is None) == taken
    world.settle()
    assert world.journal.take(QUEUE, "w") is None
    world.wait(6)
    assert world.record(run_id).error == "States.HeartbeatTimeout"


def test_a_retry_is_a_new_offer() -> None:
    world = World()
    run_id = start(world, Retry=[{"ErrorEquals": ["Oops"], "IntervalSeconds": 1}])
    world.journal.take(QUEUE, None)
    world.turn(Callback(token=token_of(run_id), outcome=Failed(error="Oops", cause="c")))
    world.wait(1)
    offer = world.journal.take(QUEUE, None)
    assert offer.token == f"{run_id}:1-2"
    with pytest.raises(SetupError) as caught:
        world.ask(lambda reply: Callback(token=token_of(run_id), outcome=Succeeded(output=1), reply=reply))
    assert caught.value.code == "TASK-TIMED-OUT"


def test_an_activity_that_does_not_exist_or_is_another_accounts() -> None:
    world = World()
    other = QUEUE.replace(ACCOUNT, "210987654321")
    run_id = world.start({"A": {"Type": "Task", "Resource": other}}, account=ACCOUNT)
    assert (world.record(run_id).error, world.journal.take(other, None)) == ("States.Runtime", None)
    world.restart(router=Router(world.backends, has_activity=lambda arn: False))
    assert world.record(start(world)).cause == f"The activity '{QUEUE}' does not exist."


@pytest.mark.parametrize("token", ["", "x", "run1", "run1:", ":1-1", "run1:one", "run1:1-1-1"])
def test_tokens_that_are_none(token: str) -> None:
    world = World()
    start(world)
    for make in (
        lambda r: Callback(token=token, outcome=Succeeded(output=1), reply=r),
        lambda r: Heartbeat(token=token, reply=r),
    ):
        with pytest.raises(SetupError) as caught:
            world.ask(make)
        assert caught.value.code == "TOKEN-INVALID"
