"""Activities with workers in other processes, and callbacks, through boto3."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from moto_server import Aws, unique
from server_harness import RunningServer, create, ended, history, long_requests, refusal, until

from skylift.config import ServiceSettings

HEAD = "arn:aws:states:us-east-1:123456789012"
WORKER = Path(__file__).parent / "activity_worker.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Any:
    return server.client(read_timeout=70)


def asking(client: Any, name: str, **members: Any) -> tuple[str, str]:
    """An activity, and a machine that waits for it."""
    activity = client.create_activity(name=name)["activityArn"]
    ask = {"Type": "Task", "Resource": activity, "End": True, **members}
    return activity, create(client, name, {"StartAt": "Ask", "States": {"Ask": ask}})


def test_workers_in_other_processes_do_every_task_once(client: Any, server: RunningServer) -> None:
    activity, machine = asking(client, "squares")
    workers = [subprocess.Popen([sys.executable, str(WORKER), server.url, activity, "10"]) for _ in range(2)]
    started = [client.start_execution(stateMachineArn=machine, input=json.dumps({"n": n})) for n in range(20)]
    found = [ended(client, start["executionArn"]) for start in started]
    assert [worker.wait(90) for worker in workers] == [0, 0]
    for number, execution in enumerate(found):
        if number % 5 == 4:
            assert (execution["error"], execution["cause"]) == ("Four", str(number))
        else:
            assert json.loads(execution["output"]) == {"squared": number**2}
    kinds = [(event["type"], event.get("activityStartedEventDetails")) for event in _told(client, found[0])]
    assert kinds.count(("ActivityStarted", {"workerName": "apart"})) == 1


def _told(client: Any, execution: dict[str, Any]) -> list[dict[str, Any]]:
    return history(client, execution["executionArn"])


def test_a_worker_that_waits_gets_a_task_that_comes_later(client: Any, server: RunningServer) -> None:
    activity, machine = asking(client, "later")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get_activity_task, activityArn=activity)
        until(lambda: long_requests(server.url) == 1)
        execution = client.start_execution(stateMachineArn=machine, input='{"a": 1}')["executionArn"]
        task = waiting.result(70)
    assert json.loads(task["input"]) == {"a": 1}
    client.send_task_success(taskToken=task["taskToken"], output="null")
    assert ended(client, execution)["output"] == "null"
    times = {event["type"]: event["timestamp"] for event in history(client, execution)}
    assert (times["ActivityStarted"] - times["ActivityScheduled"]).total_seconds() < 2.0


def test_a_worker_that_has_gone_takes_no_task(client: Any, server: RunningServer) -> None:
    activity, machine = asking(client, "gone")
    for _ in range(3):
        raw = http.client.HTTPConnection(server.url.removeprefix("http://"))
        headers = {"X-Amz-Target": "AWSStepFunctions.GetActivityTask", "Content-Type": "application/x-amz-json-1.0"}
        raw.request("POST", "/", json.dumps({"activityArn": activity}), headers)
        until(lambda: long_requests(server.url) == 1)
        raw.close()
        until(lambda: long_requests(server.url) == 0)
    execution = client.start_execution(stateMachineArn=machine, input="7")["executionArn"]
    task = client.get_activity_task(activityArn=activity)
    assert task["input"] == "7"
    client.send_task_success(taskToken=task["taskToken"], output="8")
    assert ended(client, execution)["output"] == "8"


def test_an_ending_server_answers_workers_that_wait(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as running:
        client = running.client(read_timeout=70)
        activity = client.create_activity(name="ending")["activityArn"]
        answers: list[dict[str, Any]] = []
        worker = threading.Thread(target=lambda: answers.append(client.get_activity_task(activityArn=activity)))
        worker.start()
        until(lambda: long_requests(running.url) == 1)
    worker.join(30)  # by itself it is held for a minute
    assert answers
    assert "taskToken" not in answers[0]


def test_activities_that_there_are_not(client: Any) -> None:
    arn = f"{HEAD}:activity:missing"
    expected = ("ActivityDoesNotExist", f"Activity Does Not Exist: '{arn}'")
    assert refusal(client.get_activity_task, activityArn=arn) == expected
    assert refusal(client.get_activity_task, activityArn=f"{HEAD}:stateMachine:m")[0] == "InvalidArn"


def test_a_stopped_execution_withdraws_its_task(client: Any) -> None:
    activity, machine = asking(client, "withdrawn")
    first = client.start_execution(stateMachineArn=machine, input="1")["executionArn"]
    client.start_execution(stateMachineArn=machine, input="2")
    client.stop_execution(executionArn=first)
    assert client.get_activity_task(activityArn=activity)["input"] == "2"


def test_tokens_that_nobody_waits_for(client: Any) -> None:
    activity, machine = asking(client, "tokens")
    execution = client.start_execution(stateMachineArn=machine)["executionArn"]
    token = client.get_activity_task(activityArn=activity)["taskToken"]
    invalid = ("InvalidToken", "Invalid Token: 'Invalid token'")
    unknown = token.replace(token.partition(":")[0], "a" * 16)
    for call in (_success(client), _failure(client), _heartbeat(client)):
        assert refusal(call, taskToken="nonsense") == invalid
        assert refusal(call, taskToken=unknown)[0] == "TaskDoesNotExist"
    assert refusal(client.send_task_success, taskToken=token, output="{")[0] == "InvalidOutput"
    client.send_task_heartbeat(taskToken=token)
    client.send_task_success(taskToken=token, output="1")
    late = ("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
    for call in (_success(client), _failure(client), _heartbeat(client)):
        assert refusal(call, taskToken=token) == late
    assert ended(client, execution)["output"] == "1"


def _success(client: Any) -> Any:
    return lambda **members: client.send_task_success(output="1", **members)


def _failure(client: Any) -> Any:
    return lambda **members: client.send_task_failure(error="E", **members)


def _heartbeat(client: Any) -> Any:
    return client.send_task_heartbeat


def test_a_failure_need_not_say_why(client: Any) -> None:
    activity, machine = asking(client, "silent")
    execution = client.start_execution(stateMachineArn=machine)["executionArn"]
    client.send_task_failure(taskToken=client.get_activity_task(activityArn=activity)["taskToken"])
    found = ended(client, execution)
    assert found["status"] == "FAILED"
    assert not {"error", "cause"} & found.keys()
    (failed,) = [event for event in history(client, execution) if event["type"] == "ActivityFailed"]
    assert failed["activityFailedEventDetails"] == {}


def test_a_heartbeat_keeps_a_task_alive_and_silence_ends_it(client: Any) -> None:
    activity, machine = asking(client, "beating", HeartbeatSeconds=4, TimeoutSeconds=60)
    execution = client.start_execution(stateMachineArn=machine)["executionArn"]
    token = client.get_activity_task(activityArn=activity)["taskToken"]
    begun = time.monotonic()
    while time.monotonic() - begun < 4.5:  # longer than it may be silent
        time.sleep(0.2)
        client.send_task_heartbeat(taskToken=token)
    assert client.describe_execution(executionArn=execution)["status"] == "RUNNING"
    found = ended(client, execution)
    assert (found["status"], found["error"]) == ("FAILED", "States.Timeout")
    (event,) = [event for event in history(client, execution) if event["type"] == "ActivityTimedOut"]
    assert event["activityTimedOutEventDetails"] == {"error": "States.Timeout"}


def test_a_callback_by_a_token_from_a_queue(aws: Aws, tmp_path: Path) -> None:
    queue = aws.client("sqs").create_queue(QueueName=unique("callbacks"))["QueueUrl"]
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token", "n.$": "$.n"}},
        "End": True,
    }
    services = ServiceSettings(endpoint_url=aws.url)
    with RunningServer(tmp_path, services=services, allow_services=("*",)) as running:
        client = running.client()
        machine = create(client, "callbacks", {"StartAt": "Send", "States": {"Send": send}})
        execution = client.start_execution(stateMachineArn=machine, input='{"n": 3}')["executionArn"]
        (message,) = until(lambda: aws.client("sqs").receive_message(QueueUrl=queue).get("Messages"))
        body = json.loads(message["Body"])
        assert body["n"] == 3
        client.send_task_success(taskToken=body["token"], output='{"answer": 42}')
        assert json.loads(ended(client, execution)["output"]) == {"answer": 42}
        kinds = [event["type"] for event in history(client, execution)]
    assert kinds[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]
