"""Generated definitions run by a whole server: each ends, or waits for something; other runs go on meanwhile."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fuzz_server import Target, nothing_leaks, settled, target
from generated_definitions import documents, mended, sane
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_harness import until
from test_costly_expressions import COSTLY
from test_protocol_model import check_history

pytest.importorskip("uvicorn", reason="the server's extra is not installed")

HEAD = "arn:aws:states:us-east-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/x"
QUICK_S = 30.0
"""Another run comes through within this time, whatever one event of a hostile run costs."""
_numbers = itertools.count()
FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("definitions")) as server:
        assert server.ask("CreateActivity", {"name": "a"})[0] == 200
        quick = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}}}
        assert create(server, quick, "quick")
        yield server
        server.healthy()


def create(server: Target, document: Any, name: str | None = None) -> str | None:
    """The ARN; None for a definition that is refused."""
    request = {"name": name or f"m{next(_numbers)}", "definition": json.dumps(document), "roleArn": ROLE}
    status, answer = server.ask("CreateStateMachine", request)
    if status != 200:
        assert answer["__type"] in ("InvalidDefinition", "ValidationException"), answer
        return None
    return str(answer["stateMachineArn"])


def start(server: Target, machine: str, value: Any) -> str | None:
    status, answer = server.ask("StartExecution", {"stateMachineArn": machine, "input": json.dumps(value)})
    if status != 200:
        assert answer["__type"] in ("InvalidExecutionInput", "ValidationException"), answer
        return None
    return str(answer["executionArn"])


def others_go_on(server: Target) -> None:
    began = time.monotonic()
    execution = start(server, f"{HEAD}:stateMachine:quick", {})
    assert execution is not None
    assert settled(server, execution, QUICK_S)["status"] == "SUCCEEDED"
    assert time.monotonic() - began < QUICK_S


def finish(server: Target, execution: str) -> None:
    """It has ended, or it is stopped where it waits; then its history is whole."""
    status, found = server.ask("DescribeExecution", {"executionArn": execution})
    assert status == 200
    if found["status"] == "RUNNING":
        assert server.ask("StopExecution", {"executionArn": execution})[0] == 200
        found = settled(server, execution)
    assert found["status"] in ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
    assert "could not handle" not in found.get("cause", ""), found
    check_history(server, execution, found["status"])


def run_all(server: Target, examples: int) -> int:
    ran = 0

    @settings(FUZZ, max_examples=examples)
    @given(documents, sane, st.integers(0, 2**32))
    def run(document: Any, value: Any, seed: int) -> None:
        nonlocal ran
        machine = create(server, mended(document, random.Random(seed)))
        execution = None if machine is None else start(server, machine, value)
        if execution is not None:
            ran += 1
            finish(server, execution)

    run()
    return ran


def test_generated_definitions(server: Target) -> None:
    with nothing_leaks():
        assert run_all(server, 40) > 10
    others_go_on(server)


@pytest.mark.slow
def test_many_generated_definitions(server: Target) -> None:
    """Twice: what is compiled and replayed first fills caches, which are bounded; a leak goes on."""
    with nothing_leaks(memory=500 * 1024 * 1024):
        assert run_all(server, 750) > 150
    with nothing_leaks():
        assert run_all(server, 750) > 150
    others_go_on(server)


def loop(expression: str) -> dict[str, Any]:
    """Evaluates it for ever, whether it fails or not."""
    again = {"ErrorEquals": ["States.ALL"], "Next": "A"}
    branch = {"StartAt": "B", "States": {"B": {"Type": "Pass", "Output": f"{{% {expression} %}}", "End": True}}}
    work = {"Type": "Parallel", "Branches": [branch], "Catch": [again], "Output": 1, "Next": "A"}
    way_out = {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 5 %}", "Next": "Z"}], "Default": "B0"}
    states = {"A": way_out, "B0": work, "Z": {"Type": "Succeed"}}
    return {"QueryLanguage": "JSONata", "StartAt": "A", "States": states}


@pytest.mark.parametrize(
    "name", ["recursion", "quadratic", "doubled text", "nested lists", "sums of sums", "large result"]
)
def test_costly_loops_leave_time_for_others(server: Target, name: str) -> None:
    machine = create(server, loop(COSTLY[name]))
    assert machine is not None
    with nothing_leaks(memory=400 * 1024 * 1024):
        execution = start(server, machine, list(range(300)))
        assert execution is not None
        for _ in range(2):
            others_go_on(server)
        assert server.ask("StopExecution", {"executionArn": execution})[0] == 200
        until(lambda: settled(server, execution)["status"] in ("ABORTED", "FAILED"), 60)
    others_go_on(server)


WAITS = [
    {"Type": "Wait", "Seconds": 99_999_999},
    {"Type": "Wait", "Timestamp": "9999-12-31T23:59:59Z"},
    {"Type": "Wait", "Timestamp": "0001-01-01T00:00:00+23:59"},
    {"Type": "Wait", "SecondsPath": "$.n"},
    {"Type": "Task", "Resource": f"{HEAD}:activity:a", "TimeoutSeconds": 99_999_999},
    {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:none"},
    {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "none"}},
    {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": "http://127.0.0.1:1/q"},
    },
    {
        "Type": "Task",
        "Resource": "arn:aws:states:::http:invoke",
        "Parameters": {"ApiEndpoint": "http://169.254.169.254"},
    },
    {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": "x"},
    },
]


VALUES = [10**12, 10**400, 1e308, -1, 0.5, "NaN", None, [[]]]
CASES = [(number, None) for number in range(len(WAITS))] + [(3, value) for value in VALUES]


@pytest.mark.parametrize(("number", "value"), CASES)
def test_waits_can_be_stopped(server: Target, number: int, value: Any) -> None:
    machine = create(server, {"StartAt": "A", "States": {"A": {**WAITS[number], "End": True}}})
    if machine is not None:
        execution = start(server, machine, {"n": value})
        assert execution is not None
        finish(server, execution)
    others_go_on(server)
