"""Tasks of ours placed on an activity: offered in an envelope, leased while a worker has them, offered again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_world import SKYLIFT, World

from skylift.asl.events import StopRequested, TaskRedelivered, Usage
from skylift.engine.inputs import Callback, Heartbeat, Recover, Send
from skylift.engine.router import Router
from skylift.errors import SetupError
from skylift.ports.compute import CodeRef, Failed, Lost, Outcome, Requirements, Succeeded, TaskCall
from skylift.ports.envelope import Answer, open_answer, open_call, open_elsewhere, seal
from skylift.ports.journal import OfferedTask
from skylift.ports.tasks import TaskSpec

ACCOUNT = "123456789012"
QUEUE = f"arn:aws:states:eu-central-1:{ACCOUNT}:activity:gpu-box"
PIPELINE = f"arn:aws:states:eu-central-1:{ACCOUNT}:stateMachine:faces"
TRAIN = {"A": {"Type": "Task", "Resource": f"{SKYLIFT}train", "Arguments": "{% $states.input %}"}}


def world_of(**spec: Any) -> World:
    return World({"train": TaskSpec(name="train", target="m:train", **spec)})


def start(world: World, value: Any = None, **more: Any) -> str:
    attributes = more.pop("attributes", {"on.train": "activity:gpu-box"})
    given = {"account": ACCOUNT, "pipeline": PIPELINE, "attributes": attributes, **more}
    return world.start(given.pop("states", TRAIN), value, **given)


def take(world: World) -> OfferedTask:
    offer = world.journal.take(QUEUE, "box 1")
    assert offer is not None
    world.settle()
    return offer


def call_in(offer: OfferedTask) -> TaskCall:
    call = open_call(json.loads(offer.input))
    assert call is not None
    return call


def answer(world: World, offer: OfferedTask, outcome: Outcome, delivery: int = 1) -> None:
    output = json.loads(seal(Answer(delivery=delivery, outcome=outcome)))
    world.ask(lambda reply: Callback(token=offer.token, outcome=Succeeded(output=output), reply=reply))


def redeliveries(world: World, run_id: str) -> list[TaskRedelivered]:
    return [e.event for e in world.journal.entries(run_id) if isinstance(e.event, TaskRedelivered)]


def test_the_worker_is_given_the_whole_call_and_its_answer_is_the_outcome() -> None:
    world = world_of(requirements=Requirements(timeout_ms=5_000, memory_mib=64))
    run_id = start(world, {"rate": 10**30})
    (waiting,) = world.engine.in_flight(run_id)
    assert (waiting.what, waiting.backend) == ("queued", "activity:gpu-box")
    offer = take(world)
    call = call_in(offer)
    assert call == TaskCall(
        token=offer.token,
        run_id=run_id,
        task="train",
        label="A",
        attempt=1,
        code=CodeRef(bundle="b", target="m:train"),
        arguments={"rate": 10**30},
        requirements=Requirements(timeout_ms=5_000, memory_mib=64),
        account=ACCOUNT,
        pipeline=PIPELINE,
        visit="1-1",
    )
    assert world.engine.in_flight(run_id)[0].what == "running"
    answer(world, offer, Succeeded(output="done", usage=Usage(duration_ms=7.0)))
    assert (world.record(run_id).status, world.record(run_id).output) == ("SUCCEEDED", "done")
    assert not world.backend.calls


def test_a_failure_in_the_answer_is_the_tasks() -> None:
    world = world_of()
    run_id = start(world)
    answer(world, take(world), Failed(error="ValueError", cause='{"errorMessage": "no"}'))
    assert (world.record(run_id).status, world.record(run_id).error) == ("FAILED", "ValueError")


def test_a_silent_worker_is_lost_and_the_same_attempt_is_offered_again() -> None:
    world = world_of()
    run_id = start(world)
    first = take(world)
    world.wait(50)
    world.ask(lambda reply: Heartbeat(token=first.token, reply=reply))
    world.wait(50)
    assert not redeliveries(world, run_id)
    world.wait(11)
    assert [(e.reason, e.cause) for e in redeliveries(world, run_id)] == [
        ("lost", "its worker gave no sign of life for 60 s")
    ]
    second = take(world)
    assert second.token == first.token
    assert (call_in(second).delivery, call_in(second).attempt) == (2, 1)
    answer(world, second, Succeeded(output=2), delivery=2)
    assert world.record(run_id).output == 2


def test_what_an_earlier_worker_failed_with_is_not_heard_but_its_result_is() -> None:
    world = world_of()
    run_id = start(world)
    first = take(world)
    world.wait(61)
    take(world)
    answer(world, first, Lost(reason="drained"), delivery=1)
    assert len(redeliveries(world, run_id)) == 1
    answer(world, first, Succeeded(output="late"), delivery=1)
    assert world.record(run_id).output == "late"


def test_a_worker_that_says_it_is_preempted_costs_no_retry() -> None:
    world = world_of()
    run_id = start(world)
    for delivery in range(1, 7):
        answer(world, take(world), Lost(reason="spot", preempted=True), delivery=delivery)
    answer(world, take(world), Succeeded(output=1), delivery=7)
    assert world.record(run_id).status == "SUCCEEDED"
    assert {e.reason for e in redeliveries(world, run_id)} == {"preempted"}


def test_losses_are_bounded() -> None:
    world = world_of()
    run_id = start(world)
    for _ in range(4):
        take(world)
        world.wait(61)
    assert world.record(run_id).error == "Lost"
    assert world.journal.take(QUEUE, None) is None


def test_the_time_limit_is_the_workers_not_the_queues() -> None:
    world = world_of(requirements=Requirements(timeout_ms=1_000))
    run_id = start(world)
    world.wait(3_600)
    assert world.record(run_id).status == "RUNNING"
    assert call_in(take(world)).requirements.timeout_ms == 1_000


@pytest.mark.parametrize("taken", ["offered", "taken", "offered again"])
def test_a_restart_neither_forgets_nor_doubles_it(taken: str) -> None:
    world = world_of()
    run_id = start(world)
    if taken != "offered":
        take(world)
    if taken == "offered again":
        world.wait(61)
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    if taken == "taken":
        assert world.journal.take(QUEUE, None) is None
        world.wait(61)
    offer = take(world)
    assert world.journal.take(QUEUE, None) is None
    delivery = 1 if taken == "offered" else 2
    assert call_in(offer).delivery == delivery
    answer(world, offer, Succeeded(output="x"), delivery=delivery)
    assert world.record(run_id).output == "x"


def test_stopping_the_run_withdraws_the_offer_or_tells_the_worker() -> None:
    world = world_of()
    run_id = start(world)
    world.ask(lambda reply: Send(run_id=run_id, event=StopRequested(), reply=reply))
    assert world.journal.take(QUEUE, None) is None
    run_id = start(world)
    offer = take(world)
    world.ask(lambda reply: Send(run_id=run_id, event=StopRequested(), reply=reply))
    with pytest.raises(SetupError) as caught:
        world.ask(lambda reply: Heartbeat(token=offer.token, reply=reply))
    assert caught.value.code == "TASK-TIMED-OUT"


def test_an_answer_by_way_of_another_engine() -> None:
    """It leaves a signal, and the engine that drives the run reads it as its own."""
    from skylift.asl.events import TaskSucceeded

    world = world_of()
    run_id = start(world)
    offer = take(world)
    output = json.loads(seal(Answer(delivery=1, outcome=Lost(reason="gone"))))
    world.journal.send(run_id, TaskSucceeded(token=offer.token.partition(":")[2], output=output))
    world.settle()
    assert [e.cause for e in redeliveries(world, run_id)] == ["gone"]
    answer(world, take(world), Succeeded(output=3), delivery=2)
    assert world.record(run_id).output == 3


def test_a_cached_result_is_not_offered() -> None:
    world = world_of(cache=True, fingerprint="f")
    run_id = start(world, {"x": 1})
    answer(world, take(world), Succeeded(output=5))
    again = start(world, {"x": 1})
    world.settle()
    assert world.record(run_id).output == world.record(again).output == 5
    assert world.journal.take(QUEUE, None) is None


def test_somebody_may_answer_by_hand() -> None:
    world = world_of()
    run_id = start(world)
    offer = take(world)
    world.turn(Callback(token=offer.token, outcome=Succeeded(output={"by": "hand"})))
    assert world.record(run_id).output == {"by": "hand"}


def test_where_it_cannot_be_placed() -> None:
    world = world_of()
    local = start(world, account="", pipeline="faces")
    assert "needs a server" in (world.record(local).cause or "")
    callback = {"A": {"Type": "Task", "Resource": f"{SKYLIFT}train.waitForTaskToken"}}
    waits = start(world, states=callback)
    assert "waits for a callback" in (world.record(waits).cause or "")
    world.restart(router=Router(world.backends, has_activity=lambda arn: False))
    missing = start(world)
    assert world.record(missing).cause == f"The activity '{QUEUE}' does not exist."


def test_code_that_may_not_run_here_may_run_on_a_box_of_its_account() -> None:
    world = world_of()
    world.restart(router=Router(world.backends, may_run=lambda account: False))
    assert world.record(start(world, attributes={})).error == "States.Permissions"
    world.settle()
    run_id = start(world)
    answer(world, take(world), Succeeded(output=1))
    assert world.record(run_id).status == "SUCCEEDED"


def test_the_settings_and_the_task_may_place_it_too() -> None:
    for spec, router in (({"on": "activity:gpu-box"}, {}), ({}, {"placement": {"train": f"activity:{QUEUE}"}})):
        world = world_of(**spec)
        world.restart(router=Router(world.backends, **router))
        run_id = start(world, attributes={})
        answer(world, take(world), Succeeded(output=1))
        assert world.record(run_id).status == "SUCCEEDED"


@pytest.mark.parametrize("value", [None, 1, {}, {"skylift": 1}, {"skylift": {"version": 1}}, {"skylift": {}, "x": 1}])
def test_what_is_not_ours_is_somebody_elses(value: Any) -> None:
    assert open_call(value) is open_answer(value) is open_elsewhere(value) is None


def test_a_document_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="version 2"):
        open_call({"skylift": {"version": 2, "call": {}}})
    with pytest.raises(ValueError, match="token"):
        open_call({"skylift": {"version": 1, "call": {}}})
