"""Mocked results beside what the services answer."""

from typing import Any

import pytest

pytest.importorskip("botocore", reason="the models are botocore's")

from skylift.asl.resources import read_resource
from skylift.server.stepfunctions.test_state_models import service_models

STATES = "arn:aws:states:::"


def problem(resource: str, result: Any, *, required: bool = True) -> str | None:
    models = service_models()
    assert models is not None
    return models.problem(read_resource(resource), result, required=required)


@pytest.mark.parametrize(
    ("resource", "result"),
    [
        ("states:startExecution", {"ExecutionArn": "arn:x", "StartDate": "2026-01-01T00:00:00Z"}),
        ("aws-sdk:sfn:startExecution", {"ExecutionArn": "arn:x", "StartDate": "2026-01-01T00:00:00Z", "New": 1}),
        ("dynamodb:getItem", {"Item": {"id": {"S": "1"}, "flags": {"L": [{"BOOL": True}]}}}),
        ("events:putEvents", {"Entries": [{"EventId": "1"}], "FailedEntryCount": 0}),
        ("lambda:invoke", {"Payload": "{}", "StatusCode": 200}),
        ("aws-sdk:cloudwatchlogs:describeLogGroups", {"LogGroups": []}),
        ("sqs:sendMessage.waitForTaskToken", "anything"),
        ("batch:submitJob.sync", "anything"),
        ("http:invoke", "anything"),
        ("nobody:knows", "anything"),
    ],
)
def test_what_a_service_could_answer(resource: str, result: Any) -> None:
    assert problem(STATES + resource, result) is None


@pytest.mark.parametrize(
    ("resource", "result", "words"),
    [
        ("states:startExecution", {"StartDate": "x"}, "Required field 'ExecutionArn' is missing"),
        ("states:startExecution", {"ExecutionArn": 1, "StartDate": "x"}, "Field 'ExecutionArn' must be a string"),
        ("states:startExecution", {"ExecutionArn": "a", "StartDate": True}, "'StartDate' must be a valid timestamp"),
        ("states:startExecution", {"ExecutionArn": "", "StartDate": "x"}, "a length of at least 1"),
        ("events:putEvents", {"Entries": {}}, "Field 'Entries' must be an array"),
        ("events:putEvents", {"Entries": [{"EventId": 1}]}, "Field 'Entries[0].EventId' must be a string"),
        ("events:putEvents", {"FailedEntryCount": True}, "Field 'FailedEntryCount' must be a number"),
        ("events:putEvents", {"FailedEntryCount": 1.5}, "Field 'FailedEntryCount' must be a number"),
        ("dynamodb:getItem", {"Item": {"id": {"NULL": "yes"}}}, "Field 'Item.id.NULL' must be a boolean"),
        ("dynamodb:getItem", [], "must be an object"),
        ("states:startExecution.sync:2", {"Status": "SUCCEEDED"}, "Required field 'ExecutionArn' is missing"),
    ],
)
def test_what_it_could_not(resource: str, result: Any, words: str) -> None:
    found = problem(STATES + resource, result)
    assert found is not None
    assert words in found


def test_without_required_fields_only_those_present_count() -> None:
    assert problem(f"{STATES}states:startExecution", {}, required=False) is None
    assert problem(f"{STATES}states:startExecution", {"StartDate": 5}, required=False) is not None
