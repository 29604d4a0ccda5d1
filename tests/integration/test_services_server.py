"""Machines made through the Step Functions API that call services, driven by boto3."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from http_stub import Reply, http_stub
from moto_server import Aws, unique
from service_calls import SDK, STATES

from skylift.config import ServiceSettings

pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("boto3", reason="needs the extra `aws`")

from server_harness import ENDED, RunningServer, create


def _machine(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    state = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True, **more}
    return {"StartAt": "Call", "States": {"Call": state}}


def _ended(client: Any, execution: str) -> dict[str, Any]:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        found: dict[str, Any] = client.describe_execution(executionArn=execution)
        if found["status"] in ENDED:
            return found
        time.sleep(0.02)
    raise AssertionError("the execution does not end")


def _run(client: Any, definition: dict[str, Any], given: dict[str, Any] | None = None) -> dict[str, Any]:
    machine = create(client, unique("machine"), definition)
    started = client.start_execution(stateMachineArn=machine, input=json.dumps(given or {}))
    return _ended(client, started["executionArn"])


def test_a_worker_answers_what_it_found_in_a_queue(aws: Aws, tmp_path: Path) -> None:
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName=unique("callback"))["QueueUrl"]
    body = {"Order.$": "$.order", "Token.$": "$$.Task.Token"}
    definition = _machine(
        f"{STATES}sqs:sendMessage.waitForTaskToken", {"QueueUrl": queue, "MessageBody": body}, HeartbeatSeconds=600
    )
    services = ServiceSettings(endpoint_url=aws.url)
    with RunningServer(tmp_path, services=services, allow_services=("sqs:sendMessage",)) as server:
        client = server.client()
        machine = create(client, "callback", definition)
        execution = client.start_execution(stateMachineArn=machine, input='{"order": 7}')["executionArn"]
        received: list[Any] = []
        while not received:
            received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
        message = json.loads(received[0]["Body"])
        assert message["Order"] == 7
        client.send_task_heartbeat(taskToken=message["Token"])
        client.send_task_success(taskToken=message["Token"], output='{"approved": true}')
        found = _ended(client, execution)
        events = client.get_execution_history(executionArn=execution)["events"]
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", {"approved": True})
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    submitted = events[4]["taskSubmittedEventDetails"]
    assert (submitted["resourceType"], submitted["resource"]) == ("sqs", "sendMessage.waitForTaskToken")
    assert json.loads(submitted["output"])["SdkHttpMetadata"]["HttpStatusCode"] == 200


def test_what_the_administrator_did_not_list_is_refused(aws: Aws, tmp_path: Path) -> None:
    services = ServiceSettings(endpoint_url=aws.url)
    with http_stub() as stub, RunningServer(tmp_path, services=services, allow_services=("sqs:*",)) as server:
        stub.answer = lambda asked: Reply(200, "never")
        client = server.client()
        service = _run(client, _machine(f"{SDK}s3:listBuckets", {}))
        host = _run(client, _machine(f"{STATES}http:invoke", {"ApiEndpoint": stub.url, "Method": "GET"}))
        caught = [{"ErrorEquals": ["States.Permissions"], "Next": "Refused"}]
        definition = _machine(f"{SDK}s3:listBuckets", {}, Catch=caught)
        definition["States"]["Refused"] = {"Type": "Pass", "End": True}
        handled = _run(client, definition)
        assert not stub.asked
    assert (service["status"], service["error"]) == ("FAILED", "States.Permissions")
    assert "`allow_services`" in service["cause"] and "`allow_http`" in host["cause"]
    assert handled["status"] == "SUCCEEDED"


def test_machines_may_call_the_server_itself(aws: Aws, tmp_path: Path) -> None:
    """The endpoint for `sfn` is this very server, as another machine's would be."""
    with RunningServer(tmp_path / "other") as other:
        name = unique("listed")
        create(other.client(), name, {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
        services = ServiceSettings(endpoints={"sfn": other.url})
        with RunningServer(tmp_path / "here", services=services, allow_services=("sfn:list*",)) as server:
            found = _run(server.client(), _machine(f"{SDK}sfn:listStateMachines", {}))
    assert found["status"] == "SUCCEEDED", found
    (listed,) = json.loads(found["output"])["StateMachines"]
    assert listed["Name"] == name and listed["CreationDate"].endswith("Z")
