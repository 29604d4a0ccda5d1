"""Names, requests and results of service integrations, without any service."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from skylift.compute.services.catalogue import OPTIMIZED, boto_name, optimized
from skylift.compute.services.connection import connection_name
from skylift.compute.services.dialect import error_name, exception_class, pascal_case, sdk_dialect, uncapitalized
from skylift.compute.services.encoding import form, query
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.function import function_error
from skylift.compute.services.jobs import JOBS, ecs_state
from skylift.compute.services.request import build_request, missing_message
from skylift.compute.services.resource import parse_target
from skylift.compute.services.result import build_result, instant, text_of

boto3 = pytest.importorskip("boto3", reason="needs the extra `aws`")


@pytest.fixture(scope="module")
def session() -> Any:
    import botocore.session

    return botocore.session.get_session()


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:states:::sqs:sendMessage", ("optimized", "sqs", "sendMessage", "request")),
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken", ("optimized", "sqs", "sendMessage", "token")),
        ("arn:aws:states:::batch:submitJob.sync", ("optimized", "batch", "submitJob", "sync")),
        ("arn:aws:states:::ecs:runTask.sync:2", ("optimized", "ecs", "runTask", "sync")),
        ("arn:aws-cn:states:::aws-sdk:dynamodb:getItem", ("sdk", "dynamodb", "getItem", "request")),
        ("arn:aws:states:us-east-1:1:aws-sdk:sfn:startExecution", ("sdk", "sfn", "startExecution", "request")),
        ("arn:aws:lambda:eu-west-1:123456789012:function:f:live", ("function", "lambda", "invoke", "request")),
    ],
)
def test_resources_are_taken_apart(arn: str, expected: tuple[str, ...]) -> None:
    target = parse_target(arn)
    assert (target.kind, target.service, target.action, target.pattern) == expected
    assert target.region == ("eu-west-1" if target.kind == "function" else None)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "sqs:sendMessage",
        "arn:aws:states:::sqs",
        "arn:aws:states:::sqs:send.async",
        "arn:aws:states:::aws-sdk:batch:submitJob.sync",
        "arn:aws:lambda:us-east-1:1:layer:x",
    ],
)
def test_what_is_no_integration_is_refused(arn: str) -> None:
    with pytest.raises(ServiceFailure) as failed:
        parse_target(arn)
    assert failed.value.error == "States.Runtime" and arn in failed.value.cause


@pytest.mark.parametrize("arn", ["sqs:deleteQueue", "nope:go", "sqs:sendMessage.sync"])
def test_optimized_integrations_are_those_of_the_table(arn: str) -> None:
    with pytest.raises(ServiceFailure):
        optimized(parse_target(f"arn:aws:states:::{arn}"))


def test_every_job_that_can_be_waited_for_is_known() -> None:
    assert {(service, action) for service, found in OPTIMIZED.items() for action in found.sync} == set(JOBS)


def test_actions_of_the_tables_are_in_the_services_models(session: Any) -> None:
    for service, found in OPTIMIZED.items():
        names = {name.lower() for name in session.get_service_model(found.boto).operation_names}
        assert {action.lower() for action in found.actions} <= names, service
    for (service, _), kind in JOBS.items():
        names = {name.lower() for name in session.get_service_model(OPTIMIZED[service].boto).operation_names}
        assert {kind.describe.lower(), (kind.stop or kind.describe).lower()} <= names, service


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("sfn", "stepfunctions"), ("dynamodb", "dynamodb"), ("cloudwatchlogs", "logs"), ("apigateway", "apigateway"),
     ("secretsmanager", "secretsmanager"), ("eventbridge", "events"), ("elasticloadbalancingv2", "elbv2"),
     ("cognitoidentityprovider", "cognito-idp"), ("nope", None)],
)  # fmt: skip
def test_names_of_services(session: Any, ours: str, theirs: str | None) -> None:
    assert boto_name(ours, session.get_available_services()) == theirs


@pytest.mark.parametrize(
    ("service", "prefix", "base"),
    [("dynamodb", "DynamoDb", "DynamoDbException"), ("s3", "S3", "S3Exception"),
     ("stepfunctions", "Sfn", "SfnException"),
     ("sqs", "Sqs", "SqsException"), ("secretsmanager", "SecretsManager", "SecretsManagerException"),
     ("events", "EventBridge", "EventBridgeException"), ("config", "Config", "ConfigException"),
     ("logs", "CloudWatchLogs", "CloudWatchLogsException")],
)  # fmt: skip
def test_names_before_errors(session: Any, service: str, prefix: str, base: str) -> None:
    dialect = sdk_dialect(session.get_service_model(service))
    assert (dialect.prefix, dialect.base) == (prefix, base)


def test_names_of_errors(session: Any) -> None:
    sns, s3 = session.get_service_model("sns"), session.get_service_model("s3")
    assert error_name(OPTIMIZED["sns"].dialect, sns, {"InvalidParameter"}) == "SNS.InvalidParameterException"
    assert error_name(OPTIMIZED["sns"].dialect, sns, {"Odd"}) == "SNS.AmazonSNSException"
    assert error_name(sdk_dialect(s3), s3, {"NoSuchKey"}) == "S3.NoSuchKeyException"
    assert exception_class("ResourceNotFoundFault") == "ResourceNotFoundException"
    assert exception_class("StateMachineDoesNotExist") == "StateMachineDoesNotExistException"


@pytest.mark.parametrize(
    ("name", "getter"),
    [("ETag", "eTag"), ("ACL", "acl"), ("SSEKMSKeyId", "ssekmsKeyId"), ("ChecksumCRC32", "checksumCRC32"),
     ("QueueUrl", "queueUrl"), ("MD5OfMessageBody", "md5OfMessageBody"), ("x", "x")],
)  # fmt: skip
def test_names_of_members(name: str, getter: str) -> None:
    assert uncapitalized(name) == getter
    assert pascal_case("API Gateway") == "ApiGateway"


def _operation(session: Any, service: str, name: str) -> Any:
    return session.get_service_model(service).operation_model(name)


def test_members_are_found_whatever_their_case(session: Any) -> None:
    operation = _operation(session, "s3", "PutObject")
    built, missing = build_request(operation, {"Bucket": "b", "Key": "k", "Acl": "private", "SsekmsKeyId": "x"}, "t")
    assert built == {"Bucket": "b", "Key": "k", "ACL": "private", "SSEKMSKeyId": "x"} and not missing


def test_objects_become_json_text_where_text_is_wanted(session: Any) -> None:
    operation = _operation(session, "stepfunctions", "StartExecution")
    built, _ = build_request(operation, {"StateMachineArn": "a", "Input": {"ä": [1]}, "Name": None}, "t")
    assert built == {"stateMachineArn": "a", "input": '{"ä":[1]}'}


def test_what_cannot_be_a_request_is_told_all_at_once(session: Any) -> None:
    operation = _operation(session, "sqs", "SendMessage")
    arguments = {"QueueUrl": 5, "DelaySeconds": "1", "MessageBody": 7, "Nope": 1, "MessageAttributes": [1]}
    with pytest.raises(ServiceFailure) as failed:
        build_request(operation, arguments, "t")
    assert failed.value.error == "States.Runtime"
    for said in (
        "'QueueUrl' must be a STRING",
        "'DelaySeconds' must be an INTEGER",
        '"Nope" is not supported',
        "'MessageAttributes' must be an OBJECT",
    ):
        assert said in failed.value.cause
    assert "MessageBody' must" not in failed.value.cause


@pytest.mark.parametrize("value", [True, 1.5, float("inf"), "1", [1]])
def test_no_integer(session: Any, value: Any) -> None:
    with pytest.raises(ServiceFailure):
        build_request(_operation(session, "sqs", "SendMessage"), {"DelaySeconds": value}, "t")


def test_required_members_deep_inside(session: Any) -> None:
    operation = _operation(session, "sqs", "SendMessageBatch")
    _, missing = build_request(operation, {"Entries": [{"Id": "a", "MessageBody": "x"}, {"Id": "b"}]}, "t")
    assert missing == ["queueUrl", "entries.2.member.messageBody"]
    assert missing_message(["item"]) == (
        "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null"
    )
    assert missing_message(["a", "b"]).startswith("2 validation errors detected: Value null at 'a' failed")


def test_idempotent_members_are_filled_unless_given(session: Any) -> None:
    operation = _operation(session, "secretsmanager", "CreateSecret")
    assert build_request(operation, {"Name": "n"}, "t")[0]["ClientRequestToken"] == "t"
    assert build_request(operation, {"Name": "n", "ClientRequestToken": "mine"}, "t")[0]["ClientRequestToken"] == "mine"


def test_results_in_both_generations_words(session: Any) -> None:
    model = session.get_service_model("stepfunctions")
    operation = model.operation_model("StartExecution")
    moment = datetime(2024, 4, 18, 8, 27, 1, 250_000, tzinfo=timezone(timedelta(hours=2)))
    answer = {"executionArn": "arn", "startDate": moment, "ResponseMetadata": {}, "unknown": 1}
    second = build_result(operation, answer, sdk_dialect(model))
    assert second == {"ExecutionArn": "arn", "StartDate": "2024-04-18T06:27:01.250Z"}
    first = build_result(operation, answer, OPTIMIZED["batch"].dialect)
    assert first == {"ExecutionArn": "arn", "StartDate": 1713421621250}
    assert instant(datetime(2024, 4, 18, tzinfo=UTC)) == "2024-04-18T00:00:00Z"
    assert text_of(b"\xff\x00") == "/wA=" and text_of("é".encode()) == "é"


def test_an_answer_that_is_a_stream_of_events_is_refused(session: Any) -> None:
    model = session.get_service_model("s3")
    with pytest.raises(ServiceFailure, match="stream of events"):
        build_result(model.operation_model("SelectObjectContent"), {}, sdk_dialect(model))


@pytest.mark.parametrize(
    ("task", "state"),
    [
        ({"LastStatus": "RUNNING", "Containers": [{"ExitCode": 0}]}, "running"),
        ({"LastStatus": "STOPPED", "Containers": [{"ExitCode": 0}, {"ExitCode": 0}]}, "succeeded"),
        ({"LastStatus": "STOPPED", "Containers": [{"ExitCode": 0}, {"ExitCode": 3}]}, "failed"),
        ({"LastStatus": "STOPPED", "StopCode": "TaskFailedToStart", "Containers": [{}]}, "failed"),
        ({"LastStatus": "STOPPED", "StopCode": "EssentialContainerExited", "Containers": [{}]}, "succeeded"),
    ],
)
def test_when_a_container_task_has_succeeded(task: dict[str, Any], state: str) -> None:
    assert ecs_state(task) == state


def test_a_functions_error() -> None:
    said = function_error('{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: x"}')
    assert (said.error, said.cause) == (
        "Sandbox.Timedout",
        '{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: x"}',
    )
    for payload in ("", "null", '{"errorType": 5}', "not json"):
        assert function_error(payload).error == "Lambda.Unknown"


def test_forms_and_queries() -> None:
    assert form({"a": {"b": [{"c": 1}]}, "d": True, "e": "ä&="}) == "a[b][0][c]=1&d=true&e=%C3%A4%26%3D"
    assert query({"a": ["x", 1], "b": None}) == "a=x&a=1"


def test_names_of_connections() -> None:
    assert connection_name("arn:aws:events:us-east-1:1:connection/a.b-c/0b2f") == ("us-east-1", "a.b-c")
    with pytest.raises(ServiceFailure):
        connection_name("arn:aws:events:us-east-1:1:rule/a")


def test_the_reference_page_names_every_integration_and_no_other() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "services.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `arn:aws:states:::")]
    said = {}
    for resource, forms, result in rows:
        service, action = resource.strip("|` ").removeprefix("arn:aws:states:::").split(":")[:2]
        words = set(re.findall(r"`(\w+)`", result)) if action == "ACTION" else {action}
        said[service] = (words, ".sync" in forms)
    assert set(said) == {*OPTIMIZED, "aws-sdk", "apigateway", "http"}
    for service, found in OPTIMIZED.items():
        assert said[service] == (set(found.actions), bool(found.sync)), service
