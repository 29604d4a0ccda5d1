"""What the real service's integrations answered, asked again of moto: the same results, error names and causes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_stub import Asked, Reply, http_stub
from moto_server import Aws, unique
from service_calls import Services

from skylift.config import Config, ServiceSettings
from skylift.engine.inputs import StartRun
from skylift.ports.compute import Failed, Succeeded
from skylift.runtime import Runtime

_FILE = Path(__file__).parents[3] / "shared" / "conformance" / "cases_services.jsonl"
_SERVED = ("sqs", "sns", "dynamodb", "aws-sdk:dynamodb", "aws-sdk:s3", "events", "apigateway")
_MOTO_DIFFERS = {"ServerSideEncryption", "ChecksumType", "ConsumedCapacity", "SequenceNumber"}
"""Members that moto never gives, or always."""

_DEVIATING = {
    "test_put_item_invalid_table_name": "moto does not check the pattern of a table's name",
    "test_fifo_message_attribute[input_params0-True]": "moto has another code and message for a missing group id",
    "test_put_events_malformed_detail": "moto does not check the detail of an event",
}
"""Cases whose service answers otherwise in moto; a stub gives the real service's answer for them below."""


def _steps(case: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of what was asked (TaskScheduled) and how the service answered."""
    asked, pairs = None, []
    for event in case.get("expected_history") or ():
        details = next((value for key, value in event.items() if key.startswith("task")), {})
        if event["type"] == "TaskScheduled" and details["resourceType"] in _SERVED:
            asked = details
        elif asked is not None and event["type"] in ("TaskSubmitted", "TaskSucceeded", "TaskFailed"):
            pairs.append((asked, {"type": event["type"], **details}))
            asked = None
    return pairs


def _cases() -> list[Any]:
    if not _FILE.exists():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"{_FILE} is not here"))]
    found = []
    for line in _FILE.read_text().splitlines():
        case = json.loads(line)
        name = case["name"].rpartition("::")[2]
        if _steps(case) and name not in _DEVIATING and "no_such_queue" not in name:
            found.append(pytest.param(case, id=name))
    return found


class World:
    """Resources of moto under the names that a case uses."""

    def __init__(self, aws: Aws, body: bytes) -> None:
        self.names = {"bucket": unique("bucket"), "table": unique("table")}
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=self.names["bucket"])
        s3.put_object(Bucket=self.names["bucket"], Key="file_key", Body=body)
        aws.client("dynamodb").create_table(
            TableName=self.names["table"],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.queue = aws.client("sqs").create_queue(QueueName=unique("queue"))["QueueUrl"]
        sns = aws.client("sns")
        self.topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
        self.fifo = sns.create_topic(Name=unique("topic") + ".fifo", Attributes={"FifoTopic": "true"})["TopicArn"]

    def arguments(self, recorded: dict[str, Any], case: str) -> dict[str, Any]:
        known = {"QueueUrl": self.queue, "TableName": self.names["table"], "Bucket": self.names["bucket"]}
        known["TopicArn"] = self.fifo if "fifo" in case else self.topic
        if "no_such_table" in case:
            known["TableName"] = unique("no-table")
        if "no_such_bucket" in case:
            known["Bucket"] = unique("no-bucket")
        return {key: known.get(key, value) for key, value in recorded.items()}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Any]:
    """What the recorded cases' API did: gives the body back, or says of what it gives back."""

    def answer(asked: Asked) -> Reply:
        if asked.path != "/sfn-apigw-api/id_func":
            return Reply(403, {"message": "Missing Authentication Token"}, {"Content-Type": "application/json"})
        body: Any = asked.json if asked.body else {}
        if asked.query:
            shown = ", ".join(f"{name}={value}" for name, value in asked.query)
            body = {"body": body, "queryStringParameters": f"{{{shown}}}"}
        return Reply(200, json.dumps(body), {"Content-Type": "application/json"})

    with http_stub() as stub:
        stub.answer = answer
        yield stub


@pytest.fixture(scope="module")
def services(aws: Aws, gateway: Any) -> Iterator[Services]:
    found = Services(ServiceSettings(endpoint_url=aws.url, endpoints={"apigateway": gateway.url}))
    yield found
    found.backend.close()


@pytest.mark.parametrize("case", _cases())
def test_a_recorded_step_answers_the_same(case: dict[str, Any], aws: Aws, services: Services) -> None:
    name = case["name"].rpartition("::")[2]
    steps = _steps(case)
    recorded_body = next((end["output"].get("Body") for _, end in steps if isinstance(end.get("output"), dict)), "")
    world = World(aws, (recorded_body or "").encode())
    for asked, end in steps:
        arguments = world.arguments(asked["parameters"], name)
        outcome = services.ask(f"arn:aws:states:::{asked['resourceType']}:{asked['resource']}", arguments)
        if end["type"] == "TaskFailed" and "Status Code" not in str(end["cause"]) and end["resourceType"] == "sqs":
            continue  # the callback's failure, not the service's
        if end["type"] == "TaskFailed":
            assert isinstance(outcome, Failed), outcome
            assert outcome.error == end["error"]
            _same_cause(end["cause"], outcome.cause)
        else:
            assert isinstance(outcome, Succeeded), outcome
            _same(end["output"], outcome.output, "$")


@pytest.fixture(scope="module")
def runtime(aws: Aws, gateway: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    folder = tmp_path_factory.mktemp("services")
    settings = ServiceSettings(endpoint_url=aws.url, endpoints={"apigateway": gateway.url})
    with Runtime(Config(project=folder, home=folder / "home", services=settings)) as found:
        yield found


@pytest.mark.parametrize("case", [case for case in _cases() if "wait_for_task" not in str(case.id)])
def test_a_recorded_machine_runs_the_same(case: dict[str, Any], aws: Aws, runtime: Runtime) -> None:
    """The whole machine on the engine, its services for real."""
    if case["name"].startswith(("callback/", "timeouts/")):
        pytest.skip("its worker is not recorded; the callback is tested below")
    name, expected = case["name"].rpartition("::")[2], case["expected"]
    body = (expected["output"] or {}).get("Body") or ""
    record = runtime.engine.execute(
        StartRun(
            definition=runtime.journal.put_document(json.dumps(case["definition"]).encode()),
            pipeline="arn:aws:states:us-east-1:123456789012:stateMachine:recorded",
            input=World(aws, body.encode()).arguments(case["input"], name),
            limits="service",
        ),
        timeout_s=60,
    )
    assert (record.status, record.error) == (expected["status"], expected["error"]), record.cause
    if expected["cause"] is not None:
        _same_cause(expected["cause"], record.cause or "")
    if record.status == "SUCCEEDED":
        assert isinstance(record.output, dict)
        _same(*_without_input(expected["output"], record.output, case["input"]), "$")


def _without_input(recorded: Any, got: Any, given: dict[str, Any]) -> tuple[Any, Any]:
    """Results stand beside the input in some machines, whose names are others here; causes are compared apart."""
    error = recorded.get("TaskFailedError")
    if error is not None:
        assert got["TaskFailedError"]["Error"] == error["Error"]
        _same_cause(error["Cause"], got["TaskFailedError"]["Cause"])
    left = {*given, "TaskFailedError"}
    return tuple({key: value for key, value in one.items() if key not in left} for one in (recorded, got))


def test_a_worker_finds_the_token_in_a_message_and_ends_the_task(aws: Aws, runtime: Runtime) -> None:
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName=unique("callback"))["QueueUrl"]
    message = {"Order": "{% $states.input.order %}", "Token": "{% $states.context.Task.Token %}"}
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Arguments": {"QueueUrl": queue, "MessageBody": message},
        "End": True,
    }
    document = {"QueryLanguage": "JSONata", "StartAt": "Ask", "States": {"Ask": state}}
    definition = runtime.journal.put_document(json.dumps(document).encode())
    start = StartRun(definition=definition, pipeline="callback", input={"order": 7})
    _, finished = runtime.engine.begin(start)
    received: list[Any] = []
    while not received:
        received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
    body = json.loads(received[0]["Body"])
    assert body["Order"] == 7
    runtime.engine.callback(body["Token"], Succeeded(output={"approved": True}))
    record = finished.wait(30)
    assert (record.status, record.output) == ("SUCCEEDED", {"approved": True})


def _same_cause(recorded: Any, got: str) -> None:
    if not isinstance(recorded, str):
        assert json.loads(got) == recorded
        return
    recorded = recorded.replace(", Extended Request ID: <extended_request_id>", "")
    pattern = re.sub(r"<[\w-]+>", "[^ ;,)]+", re.escape(recorded).replace(r"\<", "<").replace(r"\>", ">"))
    assert re.fullmatch(pattern.replace("\\-", "-"), got), f"{got!r} is not {recorded!r}"


def _same(recorded: Any, got: Any, where: str) -> None:
    """Placeholders stand for anything; of the HTTP metadata only the shape is compared."""
    if where.endswith((".SdkHttpMetadata", ".Headers")):
        assert set(got) >= {"AllHttpHeaders", "HttpHeaders", "HttpStatusCode"} or where.endswith(".Headers")
        lists = got.get("AllHttpHeaders", got)
        assert all(isinstance(values, list) for values in lists.values()), lists
    elif isinstance(recorded, dict):
        assert isinstance(got, dict), f"{where}: {got!r}"
        assert set(recorded) - _MOTO_DIFFERS == set(got) - _MOTO_DIFFERS, where
        for key in set(recorded) & set(got):
            _same(recorded[key], got[key], f"{where}.{key}")
    elif isinstance(recorded, list):
        assert isinstance(got, list) and len(got) == len(recorded), where
        for number, pair in enumerate(zip(recorded, got, strict=True)):
            _same(*pair, f"{where}[{number}]")
    elif not (isinstance(recorded, str) and (re.fullmatch(r"<.+>", recorded) or recorded in ("date", "RequestId"))):
        assert type(got) is type(recorded) and got == recorded, f"{where}: {got!r} is not {recorded!r}"


def _xml_error(code: str, message: str) -> Reply:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r-1</RequestId>"
    return Reply(400, body + "</ErrorResponse>", {"Content-Type": "text/xml"})


def _json_error(code: str, message: str) -> Reply:
    kind = "application/x-amz-json-1.0"
    return Reply(
        400, {"__type": f"com.amazon#{code}", "message": message}, {"Content-Type": kind, "x-amzn-RequestId": "r-1"}
    )


_FIFO = "Invalid parameter: The MessageGroupId parameter is required for FIFO topics"
_TABLE = (
    "1 validation error detected: Value '/t' at 'tableName' failed to satisfy constraint: "
    "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
)
_MALFORMED = {
    "Entries": [{"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}],
    "FailedEntryCount": 1,
}


@pytest.mark.parametrize(
    ("resource", "arguments", "reply", "error", "cause"),
    [
        (
            "sns:publish",
            {"TopicArn": "arn:aws:sns:us-east-1:123456789012:t.fifo", "Message": {"a": 1}},
            _xml_error("InvalidParameter", _FIFO),
            "SNS.InvalidParameterException",
            f"{_FIFO} (Service: AmazonSNS; Status Code: 400; Error Code: InvalidParameter; "
            "Request ID: r-1; Proxy: null)",
        ),
        (
            "dynamodb:putItem",
            {"TableName": "/t", "Item": {"id": {"S": "x"}}},
            _json_error("ValidationException", _TABLE),
            "DynamoDB.AmazonDynamoDBException",
            f"{_TABLE} (Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ValidationException; "
            "Request ID: r-1; Proxy: null)",
        ),
        (
            "aws-sdk:dynamodb:putItem",
            {"TableName": "/t", "Item": {"id": {"S": "x"}}},
            _json_error("ValidationException", _TABLE),
            "DynamoDb.DynamoDbException",
            f"{_TABLE} (Service: DynamoDb, Status Code: 400, Request ID: r-1)",
        ),
        (
            "events:putEvents",
            {"Entries": [{"Detail": '"jsonstring"', "DetailType": "t", "Source": "some.source"}]},
            Reply(200, _MALFORMED, {"Content-Type": "application/x-amz-json-1.1"}),
            "EventBridge.FailedEntry",
            json.dumps(_MALFORMED, separators=(",", ":")),
        ),
        (
            "aws-sdk:s3:listObjects",
            {"Bucket": "some-bucket"},
            Reply(
                404,
                "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>",
                {"x-amz-request-id": "r-1", "x-amz-id-2": "e-1"},
            ),
            "S3.NoSuchBucketException",
            "The specified bucket does not exist "
            "(Service: S3, Status Code: 404, Request ID: r-1, Extended Request ID: e-1)",
        ),
    ],
)
def test_answers_of_the_real_service_that_moto_does_not_give(
    aws: Aws, resource: str, arguments: dict[str, Any], reply: Reply, error: str, cause: str
) -> None:
    with http_stub() as stub:
        stub.answer = lambda asked: reply
        services = Services(ServiceSettings(endpoint_url=stub.url))
        outcome = services.ask(f"arn:aws:states:::{resource}", arguments)
        services.backend.close()
    assert outcome == Failed(error=error, cause=cause)


def test_a_queue_whose_host_does_not_exist_is_told_as_the_sdk_tells_it(services: Services) -> None:
    arguments = {"QueueUrl": "http://no-such-queue-078ab993", "MessageBody": "test_message_body"}
    cause = "Unable to execute HTTP request: no-such-queue-078ab993: Name or service not known"
    assert services.ask("arn:aws:states:::sqs:sendMessage", arguments) == Failed(
        error="SQS.SdkClientException", cause=cause
    )
