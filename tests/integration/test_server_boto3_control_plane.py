"""The control plane driven by boto3 over loopback HTTP, with executions of the machines it makes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra 'server' is not installed")

from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError, ParamValidationError  # noqa: E402
from in_process import OTHER, PASS, ROLE  # noqa: E402

from skylift.testing.server import running_server  # noqa: E402


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running_server(tmp_path_factory.mktemp("home")) as server:
        client = boto3.client(
            "stepfunctions",
            endpoint_url=server.url,
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
        )
        yield client
        client.close()


def finished(client: Any, execution: str) -> dict[str, Any]:
    for _ in range(4_000):
        described: dict[str, Any] = client.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            return described
        time.sleep(0.02)
    raise AssertionError(f"{execution} does not end")


def create(client: Any, name: str, **given: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.create_state_machine(**{"name": name, "definition": PASS, "roleArn": ROLE, **given})
    return made


def test_a_machine_and_what_its_executions_used(client: Any) -> None:
    arn = create(client, "life", publish=True)["stateMachineArn"]
    assert arn == "arn:aws:states:eu-central-1:123456789012:stateMachine:life"
    first = client.start_execution(stateMachineArn=arn)["executionArn"]
    finished(client, first)
    updated = client.update_state_machine(stateMachineArn=arn, definition=OTHER, roleArn=ROLE + "2")
    second = client.start_execution(stateMachineArn=arn)["executionArn"]
    third = client.start_execution(stateMachineArn=f"{arn}:1")["executionArn"]
    used = [client.describe_state_machine_for_execution(executionArn=one) for one in (first, second, third)]
    assert [one["definition"] for one in used] == [PASS, OTHER, PASS]
    assert [one["roleArn"] for one in used] == [ROLE, ROLE + "2", ROLE]
    assert [one.get("revisionId") for one in used] == [None, updated["revisionId"], None]
    assert {(one["stateMachineArn"], one["name"]) for one in used} == {(arn, "life")}
    finished(client, second)
    client.delete_state_machine(stateMachineArn=arn)
    gone = client.describe_state_machine_for_execution(executionArn=first)
    assert (gone["definition"], gone["roleArn"]) == (PASS, ROLE)
    with pytest.raises(client.exceptions.ExecutionDoesNotExist):
        client.describe_state_machine_for_execution(executionArn=first + "x")


def test_a_child_execution_says_its_map_run(client: Any) -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        **json.loads(PASS.replace('"A"', '"Inner"')),
    }
    states = {"M": {"Type": "Map", "Label": "Lab", "ItemProcessor": processor, "End": True}}
    arn = create(client, "mapped", definition=json.dumps({"StartAt": "M", "States": states}))["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=arn, input="[1, 2]")["executionArn"]
    assert finished(client, execution)["status"] == "SUCCEEDED"
    (map_run,) = client.list_map_runs(executionArn=execution)["mapRuns"]
    children = client.list_executions(mapRunArn=map_run["mapRunArn"])["executions"]
    assert len(children) == 2
    described = client.describe_state_machine_for_execution(executionArn=children[0]["executionArn"])
    assert (described["label"], described["mapRunArn"]) == ("Lab", map_run["mapRunArn"])
    assert described["stateMachineArn"] == arn


def test_an_alias_splits_its_executions(client: Any) -> None:
    arn = create(client, "split", publish=True)["stateMachineArn"]
    second = client.update_state_machine(stateMachineArn=arn, definition=OTHER, publish=True)["stateMachineVersionArn"]
    routing = [
        {"stateMachineVersionArn": f"{arn}:1", "weight": 50},
        {"stateMachineVersionArn": second, "weight": 50},
    ]
    alias = client.create_state_machine_alias(name="live", routingConfiguration=routing)["stateMachineAliasArn"]
    starts = [client.start_execution(stateMachineArn=alias)["executionArn"] for _ in range(40)]
    chosen = [client.describe_execution(executionArn=one) for one in starts]
    assert {one["stateMachineAliasArn"] for one in chosen} == {alias}
    assert {one["stateMachineVersionArn"] for one in chosen} == {f"{arn}:1", second}  # else a chance of 2 to the -39th
    client.update_state_machine_alias(
        stateMachineAliasArn=alias, routingConfiguration=[{"stateMachineVersionArn": second, "weight": 100}]
    )
    after = [client.start_execution(stateMachineArn=alias)["executionArn"] for _ in range(5)]
    assert {client.describe_execution(executionArn=one)["stateMachineVersionArn"] for one in after} == {second}
    with pytest.raises(client.exceptions.ConflictException):
        client.delete_state_machine_version(stateMachineVersionArn=second)
    client.delete_state_machine_alias(stateMachineAliasArn=alias)
    client.delete_state_machine_version(stateMachineVersionArn=second)
    left = client.list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"]
    assert [one["stateMachineVersionArn"] for one in left] == [f"{arn}:1"]


def test_paginators(client: Any) -> None:
    for number in range(7):
        create(client, f"page-{number}")
        client.create_activity(name=f"page-{number}")
    machines = client.get_paginator("list_state_machines").paginate(PaginationConfig={"PageSize": 3})
    names = [one["name"] for page in machines for one in page["stateMachines"]]
    assert [name for name in names if name.startswith("page-")] == [f"page-{number}" for number in range(7)]
    activities = client.get_paginator("list_activities").paginate(PaginationConfig={"PageSize": 2})
    assert len([one for page in activities for one in page["activities"]]) == 7


def test_activities_and_tags(client: Any) -> None:
    arn = client.create_activity(name="worker", tags=[{"key": "a", "value": "1"}])["activityArn"]
    assert client.describe_activity(activityArn=arn)["name"] == "worker"
    client.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    client.delete_activity(activityArn=arn)
    with pytest.raises(client.exceptions.ActivityDoesNotExist):
        client.describe_activity(activityArn=arn)


def test_errors_are_the_sdks_own(client: Any) -> None:
    with pytest.raises(client.exceptions.InvalidDefinition) as wrong:
        create(client, "wrong", definition="{}")
    assert wrong.value.response["Error"]["Message"] == (
        "Invalid State Machine Definition: "
        "'SCHEMA_VALIDATION_FAILED: These fields are required: [States, StartAt] at /'"
    )
    with pytest.raises(client.exceptions.StateMachineDoesNotExist):
        client.describe_state_machine(stateMachineArn="arn:aws:states:eu-central-1:123456789012:stateMachine:none")
    with pytest.raises(ClientError, match="Value '1001' at 'maxResults'"):
        client.list_state_machines(maxResults=1001)
    with pytest.raises(ParamValidationError):
        client.list_state_machines(maxResults=-1)
    report = client.validate_state_machine_definition(definition=json.dumps({"StartAt": "A"}))
    assert (report["result"], report["truncated"]) == ("FAIL", False)
