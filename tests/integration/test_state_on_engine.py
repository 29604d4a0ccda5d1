"""TestState of a Task without a mock: the task really runs, and no run is left behind."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the server's extra is not installed")

from skylift.compute.services.connection import Additions
from skylift.compute.services.web import Web
from skylift.config import load_config
from skylift.runtime import Runtime
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.stepfunctions import test_state
from skylift.server.stepfunctions.endpoint import Endpoint
from skylift.server.stepfunctions.test_state import actions

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/tester"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"
HANDLERS = """
import time

class Refused(Exception):
    pass

def hello(event, context):
    return {"said": "hello " + event["who"]}

def sleep(event, context):
    time.sleep(60)

def refuse(event, context):
    raise Refused("not today")
"""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerContext]:
    project: Path = tmp_path_factory.mktemp("project")
    (project / "handlers.py").write_text(HANDLERS)
    handlers = "".join(f'{name} = "handlers:{name}"\n' for name in ("hello", "refuse", "sleep"))
    settings = f'[functions]\n{handlers}[server]\nallow_http = ["127.0.0.1"]\n'
    (project / "skylift.toml").write_text(settings)
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


def test_a_task_that_takes_too_long_is_stopped(context: ServerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_state, "LONGEST_S", 0.2)
    status, said = ask(context, definition=task("sleep"), roleArn=ROLE)
    assert status == 200, said
    assert (said["status"], said["error"]) == ("FAILED", "States.Timeout")
    assert context.journal.runs() == []
    _, said = ask(context, definition=task("sleep", TimeoutSeconds=1), roleArn=ROLE)
    assert (said["status"], said["error"]) == ("FAILED", "States.Timeout")


class Echo(BaseHTTPRequestHandler):
    """Answers with the path that was asked for; `/missing` with 404."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"path": self.path}).encode()
        self.send_response(404 if self.path.startswith("/missing") else 201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not to stderr."""


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An EventBridge connection that adds a secret to header, query and body."""
    added = Additions(headers={"X-Key": "hush"}, query={"key": "hush"}, body={"key": "hush"})
    monkeypatch.setattr(Web, "_additions", lambda *_: added)
    return {"ConnectionArn": f"arn:aws:events:us-east-1:{ACCOUNT}:connection/c/1"}


def http_task(url: str, connection: dict[str, str]) -> str:
    arguments = {
        "ApiEndpoint": url,
        "Method": "POST",
        "QueryParameters": {"q": "1"},
        "RequestBody": {"n": 1},
        "Authentication": connection,
    }
    return json.dumps(
        {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": arguments, "End": True}
    )


@pytest.mark.parametrize("reveal", [False, True])
def test_an_http_task_shows_what_it_sent_and_got(
    context: ServerContext, site: str, connection: dict[str, str], reveal: bool
) -> None:
    definition = http_task(f"{site}/there", connection)
    status, said = ask(context, definition=definition, roleArn=ROLE, inspectionLevel="TRACE", revealSecrets=reveal)
    assert status == 200, said
    assert said["status"] == "SUCCEEDED", said
    sent, got = said["inspectionData"]["request"], said["inspectionData"]["response"]
    assert (sent["protocol"], sent["method"]) == ("http", "POST")
    assert sent["url"].startswith(f"{site}/there?q=1")
    assert [("hush" in sent[part]) for part in ("url", "headers", "body")] == [reveal] * 3
    assert json.loads(sent["body"])["n"] == 1
    assert (got["protocol"], got["statusCode"], got["statusMessage"]) == ("http", "201", "Created")
    assert "Content-Type: application/json" in got["headers"]
    assert json.loads(got["body"]) == {"path": "/there?q=1&key=hush"}
    _, said = ask(context, definition=definition, roleArn=ROLE, inspectionLevel="DEBUG")
    assert "request" not in said["inspectionData"]


def test_an_http_task_that_fails_shows_the_answer(
    context: ServerContext, site: str, connection: dict[str, str]
) -> None:
    definition = http_task(f"{site}/missing", connection)
    _, said = ask(context, definition=definition, roleArn=ROLE, inspectionLevel="TRACE")
    assert (said["status"], said["error"]) == ("FAILED", "States.Http.StatusCode.404")
    assert said["inspectionData"]["response"]["statusCode"] == "404"


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
