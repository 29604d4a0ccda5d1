"""Every recorded TestState request, through the protocol's door: the whole answer."""

import asyncio
import json
from typing import Any

import pytest
from recorded import read_cases, same

pytest.importorskip("botocore", reason="mocked results are compared with botocore's models")

from skylift.server.caller import Caller
from skylift.server.context import ServerContext
from skylift.server.stepfunctions.actions import Action
from skylift.server.stepfunctions.endpoint import Endpoint
from skylift.server.stepfunctions.test_state import actions

CASES = read_cases("cases_teststate.jsonl")


@pytest.fixture(scope="module")
def context():
    made = ServerContext(None, None)  # type: ignore[arg-type]  # neither engine nor store is needed for a mock
    yield made
    made.close()


def answer(context: ServerContext, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    table: dict[str, Action] = actions.by_name
    handling = Endpoint(table).handle(context, Caller(), "AWSStepFunctions.TestState", json.dumps(request).encode())
    status, _, body = asyncio.run(handling)
    return status, json.loads(body)


@pytest.mark.parametrize("case", CASES, ids=[f"{case['name']}-{case['key']}" for case in CASES])
def test_recorded_case(case: dict[str, Any], context: ServerContext) -> None:
    expected = {name: value for name, value in case["expected"].items() if name != "ResponseMetadata"}
    status, got = answer(context, case["request"])
    assert status == 200, got
    assert same(expected, got), got
