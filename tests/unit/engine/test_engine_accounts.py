"""Runs of an account: what they are called, what they start, what they may touch, how long they live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engine_world import World

from skylift.asl.events import MapRunUpdated, RedriveRequested
from skylift.engine.inputs import Send
from skylift.engine.items import InlineItems
from skylift.engine.names import arn_of, plain_name
from skylift.engine.observe import TurnReport
from skylift.engine.places import Places
from skylift.engine.resolve import ResolvedMachine
from skylift.errors import SetupError
from skylift.ports.journal import RunRecord

ACCOUNT = "123456789012"
HEAD = f"arn:aws:states:us-east-1:{ACCOUNT}"
SERVICE = {"account": ACCOUNT, "limits": "service", "pipeline": f"{HEAD}:stateMachine:mine"}
CONTEXT = {"P": {"Type": "Pass", "Output": "{% $states.context %}"}}


def machines(world: World, **kinds: Any) -> None:
    """A resolver that knows state machines of the account by name."""
    known = {
        f"{HEAD}:stateMachine:{name}": ResolvedMachine(
            pipeline=f"{HEAD}:stateMachine:{name}",
            definition=world.document(CONTEXT),
            type=kind,
            role_arn="arn:aws:iam::1:role/far",
            attributes={"version": f"{HEAD}:stateMachine:{name}:7"},
        )
        for name, kind in kinds.items()
    }

    def resolve(machine: str, record: RunRecord) -> ResolvedMachine | None:
        assert record.account == ACCOUNT
        return known.get(machine)

    world.restart(resolve=resolve)


def call(resource: str, name: str, **more: Any) -> dict[str, Any]:
    arguments = {"StateMachineArn": f"{HEAD}:stateMachine:{name}", "Input": {"a": 1}, **more}
    return {"A": {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments}}


def test_the_context_object_names_the_machine_and_the_execution() -> None:
    world = World()
    run_id = world.start(CONTEXT, name="n", context={"Execution": {"RoleArn": "arn:aws:iam::1:role/r"}}, **SERVICE)
    context = world.record(run_id).output
    assert context["StateMachine"] == {"Id": f"{HEAD}:stateMachine:mine", "Name": "mine"}
    assert context["Execution"]["Id"] == f"{HEAD}:execution:mine:n"
    assert context["Execution"]["RoleArn"] == "arn:aws:iam::1:role/r"


def test_express_executions_may_share_a_name() -> None:
    world = World()
    one = world.start(CONTEXT, name="n", type="EXPRESS", run_id="one", **SERVICE)
    other = world.start(CONTEXT, name="n", type="EXPRESS", run_id="other", **SERVICE)
    records = [world.record(run_id) for run_id in (one, other)]
    assert [arn_of(record) for record in records] == [f"{HEAD}:express:mine:n:{run_id}" for run_id in ("one", "other")]
    assert [plain_name(record) for record in records] == ["n", "n"]
    assert records[0].output["Execution"]["Id"] == f"{HEAD}:express:mine:n:one"
    assert records[0].output["Execution"]["Name"] == "n"


@pytest.mark.parametrize(("kind", "seconds"), [("EXPRESS", 300), ("STANDARD", 365 * 24 * 3600)])
def test_the_longest_life(kind: str, seconds: int) -> None:
    world = World()
    wait = {"W": {"Type": "Wait", "Seconds": 99_000_000}}
    run_id = world.start(wait, type=kind, **SERVICE)
    free = world.start(wait)
    world.wait(seconds - 1)
    assert world.record(run_id).status == "RUNNING"
    world.wait(1)
    assert (world.record(run_id).status, world.record(run_id).error) == ("TIMED_OUT", "States.Timeout")
    assert world.record(free).status == "RUNNING"


def test_an_express_execution_is_not_redriven() -> None:
    world = World()
    run_id = world.start({"F": {"Type": "Fail"}}, type="EXPRESS", **SERVICE)
    with pytest.raises(SetupError, match="EXPRESS"):
        world.ask(lambda reply: Send(run_id=run_id, event=RedriveRequested(), reply=reply))


def test_a_nested_execution_belongs_to_the_account() -> None:
    world = World()
    machines(world, far="STANDARD")
    run_id = world.start(call("states:startExecution.sync:2", "far", Name="n"), **SERVICE)
    (child,) = [record for record in world.journal.runs() if record.parent]
    assert (child.account, child.limits, child.pipeline) == (ACCOUNT, "service", f"{HEAD}:stateMachine:far")
    assert child.attributes["version"].endswith(":7")
    output = world.record(run_id).output
    assert output["Output"]["Execution"]["RoleArn"] == "arn:aws:iam::1:role/far"
    assert output["ExecutionArn"] == f"{HEAD}:execution:far:n"


def test_what_the_requests_answer_carries() -> None:
    world = World()
    machines(world, far="STANDARD")
    optimised = world.record(world.start(call("states:startExecution", "far"), **SERVICE)).output
    plain = world.record(world.start(call("aws-sdk:sfn:startExecution", "far"), **SERVICE)).output
    assert list(optimised) == ["ExecutionArn", "SdkHttpMetadata", "SdkResponseMetadata", "StartDate"]
    assert list(plain) == ["ExecutionArn", "StartDate"]


def test_a_synchronous_execution_answers_its_end() -> None:
    world = World()
    machines(world, quick="EXPRESS", slow="STANDARD")
    output = world.record(world.start(call("aws-sdk:sfn:startSyncExecution", "quick"), **SERVICE)).output
    assert output["Status"] == "SUCCEEDED"
    assert json.loads(output["Output"])["StateMachine"]["Name"] == "quick"
    assert output["BillingDetails"]["BilledMemoryUsedInMB"] == 64
    refused = world.record(world.start(call("aws-sdk:sfn:startSyncExecution", "slow"), **SERVICE))
    assert refused.error == "Sfn.StateMachineTypeNotSupportedException"


@pytest.mark.parametrize(
    ("resource", "error", "end"),
    [
        ("states:startExecution", "StepFunctions.", "Error Code: StateMachineDoesNotExist; Request ID: "),
        ("aws-sdk:sfn:startExecution", "Sfn.", "(Service: Sfn, Status Code: 400, Request ID: "),
    ],
)
def test_an_unknown_machine_in_the_services_words(resource: str, error: str, end: str) -> None:
    world = World()
    machines(world)
    record = world.record(world.start(call(resource, "nobody"), **SERVICE))
    assert record.error == f"{error}StateMachineDoesNotExistException"
    assert record.cause is not None
    assert record.cause.startswith(f"State Machine Does Not Exist: '{HEAD}:stateMachine:nobody' (Service: ")
    assert end in record.cause


def reads(bucket: str, key: str = "items.json") -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": True}},
    }
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Arguments": {"Bucket": bucket, "Key": key},
    }
    return {"M": {"Type": "Map", "ItemProcessor": processor, "ItemReader": reader}}


def test_folders_need_leave_and_links_do_not_lead_out(tmp_path: Path) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    for folder in (allowed, secret):
        folder.mkdir()
        (folder / "items.json").write_text("[1]")
    (allowed / "link.json").symlink_to(secret / "items.json")
    world = World(items=InlineItems(places=Places(folders=(str(allowed),))))

    def status(bucket: str, key: str = "items.json") -> str:
        run_id = world.start(reads(bucket, key), **SERVICE)
        world.settle()
        return world.record(run_id).status

    assert status(str(allowed)) == "SUCCEEDED"
    assert status(f"file://{allowed}") == "SUCCEEDED"
    for bucket in (str(secret), f"{allowed}/../secret", "./secret", "http://169.254.169.254", "memory://x", "a-bucket"):
        assert status(bucket) == "FAILED", bucket
    assert status(str(allowed), "link.json") == "FAILED"
    assert status(str(allowed), "../secret/items.json") == "FAILED"
    own = world.start(reads(str(secret)))
    world.settle()
    assert world.record(own).status == "SUCCEEDED"


def test_a_map_run_is_updated_while_it_goes_on() -> None:
    world = World({"work": None})
    states = {
        "M": {
            "Type": "Map",
            "MaxConcurrency": 1,
            "Items": [1, 2, 3],
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "T",
                "States": {"T": {"Type": "Task", "Resource": "arn:aws:states:::skylift:work", "End": True}},
            },
        }
    }
    run_id = world.start(states, **SERVICE)
    assert len(world.backend.calls) == 1
    (frame,) = [f for f in world.engine._book.runs[run_id].state.frames.values() if f.fan and f.fan.map_run]
    assert frame.fan is not None
    assert frame.fan.map_run is not None
    update = MapRunUpdated(map_run=frame.fan.map_run.arn, max_concurrency=3)
    world.ask(lambda reply: Send(run_id=run_id, event=update, reply=reply))
    assert len(world.backend.calls) == 3


def test_every_committed_turn_is_told() -> None:
    told: list[TurnReport] = []
    world = World({"work": None}, on_turn=told.append)
    run_id = world.start("arn:aws:states:::skylift:work", 1)
    world.answer(2)
    first, last = told[0], told[-1]
    assert ([record.run_id for record in first.created], first.tasks, first.events, first.open_runs) == (
        [run_id],
        1,
        1,
        1,
    )
    assert ([record.status for record in last.ended], last.tasks, last.open_runs) == (["SUCCEEDED"], 0, 0)
    assert all(report.commit_s >= 0 for report in told)


def test_a_listener_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(report: TurnReport) -> None:
        raise ValueError("no")

    world = World(on_turn=fail)
    assert world.record(world.start({"P": {"Type": "Pass"}}, 1)).status == "SUCCEEDED"
    assert "listener" in caplog.text
