"""The `aws` command line drives the server: create, start, wait, describe, history, activities, callbacks, sync."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aws_command import aws_command
from server_harness import ENDED, ROLE, RunningServer

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"done": True}, "End": True}}}
Aws = Callable[..., Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def aws(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    """`aws("describe-execution", "--execution-arn", arn)`: the answer. Nothing of the user's own settings is read."""
    nothing = tmp_path_factory.mktemp("aws") / "none"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(nothing.parent),
        "AWS_CONFIG_FILE": str(nothing),
        "AWS_SHARED_CREDENTIALS_FILE": str(nothing),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }

    def call(*words: str, **members: str) -> Any:
        options = [part for name, value in members.items() for part in (f"--{name.replace('_', '-')}", value)]
        line = [aws_command(), "--endpoint-url", server.url, "--output", "json", "stepfunctions", *words, *options]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    return call


def created(aws: Aws, name: str, definition: dict[str, Any], **members: str) -> str:
    made = aws("create-state-machine", name=name, definition=json.dumps(definition), role_arn=ROLE, **members)
    arn: str = made["stateMachineArn"]
    return arn


def ended(aws: Aws, execution: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while (found := aws("describe-execution", execution_arn=execution))["status"] not in ENDED:
        assert time.monotonic() < deadline
    return dict(found)


def test_create_start_wait_describe_history(aws: Aws) -> None:
    machine = created(aws, "by-hand", PASS)
    execution = aws("start-execution", state_machine_arn=machine, input='{"a": 1}')["executionArn"]
    found = ended(aws, execution)
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", {"done": True})
    events = aws("get-execution-history", execution_arn=execution)["events"]
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    listed = aws("list-executions", "--no-paginate", state_machine_arn=machine)["executions"]
    assert [item["executionArn"] for item in listed] == [execution]


def test_activities_and_callbacks(aws: Aws) -> None:
    activity = aws("create-activity", name="by-hand")["activityArn"]
    ask = {"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "Resource": activity, "End": True}}}
    execution = aws("start-execution", state_machine_arn=created(aws, "asking", ask), input="[1]")["executionArn"]
    task = aws("get-activity-task", activity_arn=activity, worker_name="me")
    assert json.loads(task["input"]) == [1]
    aws("send-task-heartbeat", task_token=task["taskToken"])
    aws("send-task-success", task_token=task["taskToken"], task_output='{"b": 2}')
    assert json.loads(ended(aws, execution)["output"]) == {"b": 2}


def test_a_sync_start_without_the_host_prefix(aws: Aws) -> None:
    """With AWS_DISABLE_HOST_PREFIX_INJECTION=true, which older command lines do not know."""
    machine = created(aws, "quickly", PASS, type="EXPRESS")
    try:
        answer = aws("start-sync-execution", state_machine_arn=machine)
    except AssertionError as problem:
        if "sync-127.0.0.1" in str(problem):
            pytest.skip("this aws command line knows no AWS_DISABLE_HOST_PREFIX_INJECTION")
        raise
    assert (answer["status"], json.loads(answer["output"])) == ("SUCCEEDED", {"done": True})
