"""TestState of a Task without a mock: the task really runs, and no run is left behind."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the server's extra is not installed")

from skylift.config import load_config
from skylift.runtime import Runtime
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.stepfunctions.endpoint import Endpoint
from skylift.server.stepfunctions.test_state import actions

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/tester"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"
HANDLERS = """
class Refused(Exception):
    pass

def hello(event, context):
    return {"said": "hello " + event["who"]}

def refuse(event, context):
    raise Refused("not today")
"""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerContext]:
    project: Path = tmp_path_factory.mktemp("project")
    (project / "handlers.py").write_text(HANDLERS)
    (project / "skylift.toml").write_text('[functions]\nhello = "handlers:hello"\nrefuse = "handlers:refuse"\n')
    config = load_config(project, environ={})
    with Runtime(config) as runtime:
        made = ServerContext(runtime, config.server)
        yield made
        made.close()


def ask(context: ServerContext, caller: Caller | None = None, **request: Any) -> tuple[int, dict[str, Any]]:
    handling = Endpoint(actions.by_name).handle(
        context, caller or Caller(), "AWSStepFunctions.TestState", json.dumps(request).encode()
    )
    status, _, body = asyncio.run(handling)
    return status, json.loads(body)


def task(name: str, **more: Any) -> str:
    return json.dumps({"Type": "Task", "Resource": FUNCTION + name, "End": True, **more})


def test_a_function_is_called_with_the_evaluated_arguments(context: ServerContext) -> None:
    definition = task("hello", Parameters={"who.$": "$.name"}, ResultPath="$.answer")
    status, said = ask(context, definition=definition, roleArn=ROLE, input='{"name": "you"}', inspectionLevel="TRACE")
    assert status == 200, said
    assert said["status"] == "SUCCEEDED"
    assert json.loads(said["output"]) == {"name": "you", "answer": {"said": "hello you"}}
    assert json.loads(said["inspectionData"]["afterParameters"]) == {"who": "you"}
    assert json.loads(said["inspectionData"]["result"]) == {"said": "hello you"}
    assert context.journal.runs() == []


def test_a_failure_of_the_function_is_retried_or_caught(context: ServerContext) -> None:
    retry = [{"ErrorEquals": ["Refused"], "IntervalSeconds": 4}]
    definition = task("refuse", Retry=retry, Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "Sorry"}])
    status, said = ask(context, definition=definition, roleArn=ROLE, inspectionLevel="DEBUG")
    assert status == 200, said
    assert (said["status"], said["error"]) == ("RETRIABLE", "Refused")
    assert said["inspectionData"]["errorDetails"] == {"retryIndex": 0, "retryBackoffIntervalSeconds": 4}
    used = {"retrierRetryCount": 3}
    _, said = ask(context, definition=definition, roleArn=ROLE, stateConfiguration=used)
    assert (said["status"], said["nextState"]) == ("CAUGHT_ERROR", "Sorry")
    assert json.loads(said["cause"])["errorMessage"] == "not today"


def test_a_role_is_needed_to_run_a_task(context: ServerContext) -> None:
    status, said = ask(context, definition=task("hello"))
    assert (status, said["__type"]) == (400, "ValidationException")
    status, said = ask(context, definition=task("hello"), roleArn="nobody")
    assert (status, said) == (400, {"__type": "InvalidArn", "message": "Invalid Role Arn: 'nobody'"})


def test_only_an_administrator_tests_states(context: ServerContext) -> None:
    status, said = ask(context, Caller(role=Role.OPERATOR), definition='{"Type": "Succeed"}')
    assert (status, said["__type"]) == (400, "AccessDeniedException")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"definition": ""}, "ValidationException"),
        ({"definition": '{"Type": "Succeed"}', "inspectionLevel": "ALL"}, "ValidationException"),
        ({"definition": '{"Type": "Succeed"}', "mock": {"fieldValidationMode": "SOME"}}, "ValidationException"),
        ({"definition": '{"Type": "Succeed"}', "stateConfiguration": {"retrierRetryCount": -1}}, "ValidationException"),
        ({"definition": '{"Type": "Succeed"}', "input": "{"}, "InvalidExecutionInput"),
        ({"definition": "{}"}, "InvalidDefinition"),
        ({"definition": "no json"}, "InvalidDefinition"),
        ({"definition": '{"Type": "Succeed"}', "input": '"' + "x" * 262_143 + '"'}, "ValidationException"),
    ],
)
def test_bad_requests_are_told_in_the_services_codes(
    context: ServerContext, request_: dict[str, Any], code: str
) -> None:
    status, said = ask(context, **request_)
    assert (status, said["__type"]) == (400, code)
    assert said["message"]
