"""Nested runs: startExecution in its four forms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_world import SKYLIFT, World

from skylift.asl.events import StopRequested
from skylift.engine.inputs import Recover, Reported, Send
from skylift.engine.resolve import ResolvedMachine
from skylift.ports.compute import Failed, Succeeded

NESTED = "arn:aws:states:::states:startExecution"
MACHINE = "arn:aws:states:local:000000000000:stateMachine:child"
DOUBLE = SKYLIFT + "double"


@pytest.fixture
def world() -> World:
    world = World({"double": None})
    world.machines["child"] = world.document(DOUBLE)
    return world


def call(mode: str, **more: Any) -> dict[str, Any]:
    arguments = {"StateMachineArn": MACHINE, "Input": {"n": "{% $states.input %}"}, **more}
    return {"A": {"Type": "Task", "Resource": NESTED + mode, "Arguments": arguments}}


def child_of(world: World, parent: str) -> str:
    (child,) = [run for run in world.journal.runs() if run.parent and run.parent.startswith(f"{parent}:")]
    return child.run_id


def test_sync_2_waits_and_gives_the_output_as_json(world: World) -> None:
    parent = world.start(call(".sync:2"), 3)
    child = child_of(world, parent)
    (attempt,) = world.backend.calls.values()
    assert (attempt.run_id, attempt.arguments) == (child, {"n": 3})
    world.answer({"x": 6})
    output = world.record(parent).output
    assert output["Output"] == {"x": 6}
    assert output["Input"] == {"n": 3}
    assert output["Status"] == "SUCCEEDED"
    assert output["ExecutionArn"].endswith(f":execution:child:{world.record(child).name}")
    assert output["StateMachineArn"] == MACHINE
    assert world.events(parent) == ["RunStarted", "TaskSubmitted", "TaskSucceeded"]


def test_sync_gives_input_and_output_as_text(world: World) -> None:
    parent = world.start(call(".sync", Name="mine"), 3)
    world.answer({"x": 6})
    output = world.record(parent).output
    assert json.loads(output["Output"]) == {"x": 6}
    assert json.loads(output["Input"]) == {"n": 3}
    assert output["Name"] == "mine"


def test_without_a_suffix_nobody_waits(world: World) -> None:
    parent = world.start(call(""), 3)
    record = world.record(parent)
    assert record.status == "SUCCEEDED"
    assert set(record.output) == {"ExecutionArn", "StartDate"}
    assert len(world.backend.calls) == 1


def test_a_child_that_fails_fails_the_task_with_its_description(world: World) -> None:
    parent = world.start(call(".sync:2"), 3)
    world.answer(Failed(error="KeyError", cause="no"))
    record = world.record(parent)
    assert record.error == "States.TaskFailed"
    cause = json.loads(record.cause or "")
    assert (cause["Status"], cause["Error"], cause["Cause"]) == ("FAILED", "KeyError", "no")


def test_the_parents_catch_sees_the_childs_error_class(world: World) -> None:
    states = call(".sync:2")
    states["A"]["Catch"] = [{"ErrorEquals": ["KeyError"], "Output": "caught", "Next": "Z"}]
    parent = world.start({**states, "Z": {"Type": "Pass"}}, 3)
    world.answer(Failed(error="KeyError", cause="no"))
    assert world.record(parent).output == "caught"


def test_stopping_the_parent_stops_the_child(world: World) -> None:
    parent = world.start(call(".sync:2"), 3)
    child = child_of(world, parent)
    world.ask(lambda reply: Send(run_id=parent, event=StopRequested(), reply=reply))
    assert world.record(child).status == "ABORTED"
    assert world.backend.calls == {}
    assert world.engine.live_runs() == []


def test_after_a_restart_parent_and_child_find_each_other(world: World) -> None:
    parent = world.start(call(".sync:2"), 3)
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    world.answer(8)
    assert world.record(parent).output["Output"] == 8
    assert world.events(parent) == ["RunStarted", "TaskSubmitted", "TaskSucceeded"]


def test_recovering_the_parent_alone_takes_its_child_along(world: World) -> None:
    parent = world.start(call(".sync:2"), 3)
    world.restart()
    world.ask(lambda reply: Recover(run_ids=[parent], reply=reply))
    world.wait(1)
    world.answer(8)
    assert world.record(parent).status == "SUCCEEDED"


def test_a_child_that_ended_while_the_parent_was_away(world: World) -> None:
    parent = world.start(call(".sync:2"), 3)
    child = child_of(world, parent)
    world.restart()
    world.ask(lambda reply: Recover(run_ids=[child], reply=reply))
    world.answer(9)
    assert world.record(child).status == "SUCCEEDED"
    assert world.record(parent).status == "RUNNING"
    world.restart()
    world.ask(lambda reply: Recover(run_ids=[parent], reply=reply))
    assert world.record(parent).output["Output"] == 9


def test_a_name_taken_with_another_input_is_refused(world: World) -> None:
    world.start(call("", Name="twin"), 1)
    other = world.start(call(".sync", Name="twin"), 2)
    assert world.record(other).error == "StepFunctions.ExecutionAlreadyExistsException"


def test_an_unknown_machine_is_refused(world: World) -> None:
    missing = MACHINE.replace("child", "nobody")
    parent = world.start(call(".sync", StateMachineArn=missing), 3)
    record = world.record(parent)
    assert record.error == "StepFunctions.StateMachineDoesNotExistException"
    assert record.cause is not None
    assert missing in record.cause


def test_a_server_may_know_further_machines(world: World) -> None:
    definition = world.document({"P": {"Type": "Pass"}})
    far = ResolvedMachine(pipeline="far", definition=definition, limits="local")
    world.restart(resolve=lambda machine, record: far if machine.endswith(":far") else None)
    parent = world.start(call(".sync:2", StateMachineArn=MACHINE.replace("child", "far")), 3)
    assert world.record(parent).output["Output"] == {"n": 3}


def test_a_pipeline_that_calls_itself_without_end_does_not_block_others(world: World) -> None:
    machine = "arn:aws:states:local:000000000000:stateMachine:p"
    endless = world.start(call(".sync:2", StateMachineArn=machine, Input={}), 1)
    other = world.start(DOUBLE, 5, name="other", pipeline="q")
    token = next(token for token in world.backend.calls if token.startswith(other))
    world.backend.calls.pop(token)
    world.turn(Reported(token, Succeeded(output=1)))
    assert world.record(other).status == "SUCCEEDED"
    assert world.record(endless).status == "RUNNING"


def test_an_input_that_grows_too_deep_fails_its_run_only(world: World) -> None:
    machine = "arn:aws:states:local:000000000000:stateMachine:p"
    endless = world.start(call(".sync:2", StateMachineArn=machine), 1)
    world.settle()
    assert world.record(endless).status == "FAILED"
    assert world.engine.live_runs() == []
