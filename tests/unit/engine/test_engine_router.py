"""Where tasks go."""

from __future__ import annotations

import pytest
from engine_world import SKYLIFT, ManualBackend, World

from skylift.ports.compute import Requirements
from skylift.ports.tasks import TaskSpec

ARN = "arn:aws:lambda:us-east-1:123456789012:function:greet"
INVOKE = "arn:aws:states:::lambda:invoke"


def handler(name: str) -> TaskSpec:
    return TaskSpec(name=name, target="m:handler", convention="handler")


@pytest.mark.parametrize(
    ("mapped", "used"),
    [
        ("greet", ARN),
        ("greet", f"{ARN}:prod"),
        (ARN, ARN),
        (ARN, f"{ARN}:7"),
        ("greet:prod", f"{ARN}:prod"),
    ],
)
def test_lambda_functions_are_found_by_name_and_arn(mapped: str, used: str) -> None:
    world = World({mapped: handler(mapped)})
    run_id = world.start(used, {"who": "you"})
    (call,) = world.backend.calls.values()
    assert (call.convention, call.arguments) == ("handler", {"who": "you"})
    world.answer("hi")
    assert world.record(run_id).output == "hi"


@pytest.mark.parametrize("name", ["greet", "greet:prod", "123456789012:function:greet", ARN])
def test_lambda_invoke_unpacks_and_wraps(name: str) -> None:
    world = World({"greet": handler("greet")})
    task = {"Type": "Task", "Resource": INVOKE, "Arguments": {"FunctionName": name, "Payload": {"who": "you"}}}
    run_id = world.start({"A": task})
    (call,) = world.backend.calls.values()
    assert call.arguments == {"who": "you"}
    world.answer("hi")
    assert world.record(run_id).output == {"ExecutedVersion": "$LATEST", "Payload": "hi", "StatusCode": 200}


def test_a_function_name_finds_a_handler_mapped_by_arn() -> None:
    world = World({ARN: handler(ARN)})
    task = {"Type": "Task", "Resource": INVOKE, "Arguments": {"FunctionName": "greet"}}
    world.start({"A": task})
    assert len(world.backend.calls) == 1


@pytest.mark.parametrize(
    ("resource", "error", "part"),
    [
        (SKYLIFT + "other", "Skylift.UnknownTask", "it has: greet"),
        (ARN.replace("greet", "nobody"), "Lambda.ResourceNotFoundException", "[functions]"),
        ("arn:aws:states:::sqs:sendMessage", "Skylift.UnknownResource", "sqs:sendMessage"),
        ("arn:aws:states:::states:startExecution.async", "Skylift.UnknownResource", ".sync"),
    ],
)
def test_what_cannot_be_routed_fails_clearly(resource: str, error: str, part: str) -> None:
    world = World({"greet": None})
    run_id = world.start(resource)
    record = world.record(run_id)
    assert (record.status, record.error) == ("FAILED", error)
    assert part in (record.cause or "")


def test_a_refusal_can_be_caught() -> None:
    world = World()
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Output": "caught", "Next": "Z"}]
    run_id = world.start(
        {
            "A": {"Type": "Task", "Resource": SKYLIFT + "x", "Catch": catch, "Next": "Z"},
            "Z": {"Type": "Pass"},
        }
    )
    assert world.record(run_id).output == "caught"


def test_placement_by_run_then_by_task_then_default() -> None:
    world = World({"a": None, "b": TaskSpec(name="b", target="m:b", on="big")})
    big, far = ManualBackend("big"), ManualBackend("far")
    world.backends |= {"big": big, "far": far}
    world.restart()
    world.start(SKYLIFT + "a")
    world.start(SKYLIFT + "b")
    world.start(SKYLIFT + "b", attributes={"on": "far"})
    world.start(SKYLIFT + "b", attributes={"on": "far", "on.b": "manual"})
    assert [len(backend.calls) for backend in (world.backend, big, far)] == [2, 1, 1]


def test_a_backend_that_is_not_there_or_cannot() -> None:
    world = World({"a": TaskSpec(name="a", target="m:a", on="moon")})
    assert "moon" in (world.record(world.start(SKYLIFT + "a")).cause or "")
    world = World({"a": TaskSpec(name="a", target="m:a", requirements=Requirements(gpu="V100"))})
    world.backend.can = False
    record = world.record(world.start(SKYLIFT + "a"))
    assert record.error == "Skylift.NoOffer"
    assert "V100" in (record.cause or "")


def test_runs_take_turns_when_the_backend_is_full() -> None:
    from skylift.engine.limits import EngineLimits

    world = World({"a": None}, limits=EngineLimits(look_ms=0, window=64))
    flow = {"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": SKYLIFT + "a", "End": True}}}
    world.start({"M": {"Type": "Map", "Items": "{% [1..200] %}", "ItemProcessor": flow}})
    short = world.start(SKYLIFT + "a")
    assert len(world.backend.calls) == 64
    world.answer(1)
    for _ in range(70):
        world.answer(1)
    assert any(token.startswith(short) for batch in world.backend.batches for token in batch)
    assert sum(len(batch) for batch in world.backend.batches) <= 64 + 72
