"""Recorded tasks that wait for a callback, for real: a queue of moto's server, and a worker that answers by token."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from moto_server import Aws
from recorded import outcome_problems, read_cases, same_details, type_problems
from server_harness import RunningServer, create, ended, history, until

from skylift.config import ServiceSettings

RESOURCE = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
CASES = [
    case
    for case in read_cases("cases_services.jsonl")
    if case["resources"] == [RESOURCE] and case.get("expected_history")
]


@pytest.fixture(scope="module")
def server(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    services = ServiceSettings(endpoint_url=aws.url)
    home = tmp_path_factory.mktemp("server")
    with RunningServer(home, services=services, allow_services=("sqs:*",)) as running:
        yield running


def test_the_cases_are_there() -> None:
    assert len(CASES) >= 7


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_recorded_callback(case: dict, aws: Aws, server: RunningServer) -> None:
    client, sqs = server.client(), aws.client("sqs")
    name = case["input"]["QueueUrl"].rpartition("/")[2]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    given = {**case["input"], "QueueUrl": queue}
    machine = create(client, f"m-{name}", case["definition"])
    execution = client.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    for event in case["expected_history"]:
        if event["type"] in ("TaskSucceeded", "TaskFailed"):
            answer(client, next_message(sqs, queue)["TaskToken"], event)
    found = ended(client, execution, 30)
    events = history(client, execution)
    assert outcome_problems(_expecting(case, queue), _outcome(found)) == []
    assert type_problems(case, SimpleNamespace(event_types=[event["type"] for event in events])) == []
    for wanted, event in zip(case["expected_history"], events, strict=True):
        if event["type"] in ("TaskSucceeded", "TaskFailed", "TaskTimedOut"):
            assert same_details(_details(wanted), _details(event)), event


def next_message(sqs: Any, queue: str) -> dict[str, Any]:
    (message,) = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    body: dict[str, Any] = json.loads(message["Body"])
    return body


def answer(client: Any, token: str, event: dict) -> None:
    """What the recorded worker answered."""
    details = _details(event)
    if event["type"] == "TaskSucceeded":
        client.send_task_success(taskToken=token, output=_text(details["output"]))
    else:
        members = {name: _text(details[name]) for name in ("error", "cause") if name in details}
        client.send_task_failure(taskToken=token, **members)


def _outcome(found: dict[str, Any]) -> SimpleNamespace:
    output = json.loads(found["output"]) if "output" in found else None
    return SimpleNamespace(status=found["status"], output=output, error=found.get("error"), cause=found.get("cause"))


def _expecting(case: dict, queue: str) -> dict:
    """The case with our queue's address where the recording has its own."""
    text = json.dumps(case["expected"])
    for theirs in (case["input"]["QueueUrl"], "sqs_queue_url"):
        text = text.replace(json.dumps(theirs), json.dumps(queue))
    return {**case, "expected": json.loads(text)}


def _details(event: dict) -> dict:
    for key, value in event.items():
        if key.endswith("EventDetails"):
            return {name: kept for name, kept in value.items() if kept != {"truncated": False}}
    return {}


def _text(recorded: Any) -> str:
    return recorded if isinstance(recorded, str) else json.dumps(recorded)
