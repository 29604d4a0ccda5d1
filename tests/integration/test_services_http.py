"""`http:invoke`, `apigateway:invoke` and Lambda against servers of this machine, and who may call what."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from http_stub import Asked, Reply, Stub, http_stub
from moto_server import Aws, unique
from service_calls import SDK, STATES, Services

from skylift.compute.services import ServicePolicy
from skylift.compute.services.transport import Transport
from skylift.config import ServiceSettings
from skylift.ports.compute import Failed, Outcome, Succeeded

INVOKE = f"{STATES}http:invoke"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with http_stub() as found:
        yield found


@pytest.fixture
def services(aws: Aws, stub: Stub) -> Iterator[Services]:
    """Everything goes to moto, Lambda and API Gateway to the stub."""
    settings = ServiceSettings(endpoint_url=aws.url, endpoints={"lambda": stub.url})
    found = Services(settings)
    yield found
    found.backend.close()


def _succeeded(outcome: Outcome) -> Any:
    assert isinstance(outcome, Succeeded), outcome
    return outcome.output


def _failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


# -- http:invoke -------------------------------------------------------------------------------------------------------


def test_a_request_and_its_answer(services: Services, stub: Stub) -> None:
    stub.answer = lambda asked: Reply(201, {"id": 7}, {"Content-Type": "application/json; charset=utf-8", "X-A": "1"})
    output = _succeeded(
        services.ask(
            INVOKE,
            {
                "ApiEndpoint": f"{stub.url}/orders/é?a=b",
                "Method": "POST",
                "Headers": {"X-Shop": "one"},
                "QueryParameters": {"q": "x y", "many": ["1", "2"]},
                "RequestBody": {"item": "lamp"},
            },
        )
    )
    assert output["ResponseBody"] == {"id": 7}
    assert output["StatusCode"] == 201 and output["StatusText"] == "Created"
    assert output["Headers"]["X-A"] == ["1"]
    (asked,) = stub.asked
    assert (asked.method, asked.path, asked.json) == ("POST", "/orders/%C3%A9", {"item": "lamp"})
    assert asked.query == [("a", "b"), ("q", "x y"), ("many", "1"), ("many", "2")]
    assert asked.headers["X-Shop"] == "one" and asked.headers["Content-Type"] == "application/json"


def test_text_stays_text_and_nothing_is_sent_without_a_body(services: Services, stub: Stub) -> None:
    stub.answer = lambda asked: Reply(200, "plain")
    output = _succeeded(services.ask(INVOKE, {"ApiEndpoint": stub.url, "Method": "GET"}))
    assert output["ResponseBody"] == "plain"
    assert stub.asked[0].path == "/" and stub.asked[0].body == b"" and "Content-Type" not in stub.asked[0].headers


@pytest.mark.parametrize(
    ("arrays", "sent"),
    [
        ("INDICES", b"a[0]=1&a[1]=2&b[c]=x%20y"),
        ("REPEAT", b"a=1&a=2&b[c]=x%20y"),
        ("COMMAS", b"a=1%2C2&b[c]=x%20y"),
        ("BRACKETS", b"a[]=1&a[]=2&b[c]=x%20y"),
        ("NONE", b"a=[1%2C2]&b[c]=x%20y"),
    ],
)
def test_bodies_as_forms(services: Services, stub: Stub, arrays: str, sent: bytes) -> None:
    transform = {"RequestBodyEncoding": "URL_ENCODED", "RequestEncodingOptions": {"ArrayFormat": arrays}}
    body = {"a": [1, 2], "b": {"c": "x y"}, "none": None}
    asked = {"ApiEndpoint": stub.url, "Method": "POST", "RequestBody": body, "Transform": transform}
    _succeeded(services.ask(INVOKE, asked))
    assert stub.asked[0].body == sent
    assert stub.asked[0].headers["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
def test_a_status_that_is_no_success_is_an_error_of_its_own(services: Services, stub: Stub, status: int) -> None:
    stub.answer = lambda asked: Reply(status, '{"why": "not"}', {"Location": f"{stub.url}/elsewhere"})
    failed = _failed(services.ask(INVOKE, {"ApiEndpoint": stub.url, "Method": "GET"}))
    assert failed == Failed(error=f"States.Http.StatusCode.{status}", cause='{"why": "not"}')
    assert len(stub.asked) == 1, "a redirect is not followed"


def test_a_closed_port_is_a_socket_error(services: Services) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        failed = _failed(services.ask(INVOKE, {"ApiEndpoint": url, "Method": "GET"}))
    assert failed.error == "States.Http.Socket" and "refused" in failed.cause


def test_a_server_that_dribbles_is_cut_off(services: Services) -> None:
    services.backend._actions._web._transport = Transport(services.backend._timers, total_s=0.3)
    over = threading.Event()

    def dribble(listener: socket.socket) -> None:
        listener.settimeout(60)
        connection, _ = listener.accept()
        with connection:
            while not over.wait(0.02):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=dribble, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        failed = _failed(services.ask(INVOKE, {"ApiEndpoint": url, "Method": "GET"}))
        over.set()
        thread.join()
    assert failed.error == "States.Http.Socket" and "no answer within 0.3 s" in failed.cause


def test_an_answer_that_is_too_long_is_refused(services: Services, stub: Stub) -> None:
    services.backend._actions._web._transport = Transport(services.backend._timers, most_bytes=1_000)
    stub.answer = lambda asked: Reply(200, "x" * 1_001)
    assert _failed(services.ask(INVOKE, {"ApiEndpoint": stub.url, "Method": "GET"})).error == "States.DataLimitExceeded"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Method": "FETCH"}, "'Method' must be one of"),
        ({"Method": None}, "'Method' must be a STRING"),
        ({"ApiEndpoint": "ftp://host/x"}, "'ApiEndpoint' must be an https:// URL"),
        ({"ApiEndpoint": "http://user:pass@host/"}, "without credentials"),
        ({"ApiEndpoint": "http://host:99999/"}, "is no URL"),
        ({"ApiEndpoint": "http://host/\r\nX: y"}, "'ApiEndpoint' must be a STRING"),
        ({"Headers": {"Host": "other"}}, "The header 'Host' is not allowed"),
        ({"Headers": {"X-Forwarded-For": "1.2.3.4"}}, "is not allowed"),
        ({"Headers": {"X-A": "1\r\nX-B: 2"}}, "The value of the header 'X-A' is not allowed"),
        ({"Headers": []}, "'Headers' must be an OBJECT"),
        ({"Body": 1}, 'The field "Body" is not supported by Step Functions'),
        ({"Transform": {"RequestBodyEncoding": "XML"}, "RequestBody": {}}, "'RequestBodyEncoding' must be"),
        ({"Authentication": {"ConnectionArn": "x"}}, "is not the ARN of an EventBridge connection"),
    ],
)
def test_parameters_that_make_no_request(services: Services, stub: Stub, changed: Any, said: str) -> None:
    failed = _failed(services.ask(INVOKE, {"ApiEndpoint": stub.url, "Method": "GET", **changed}))
    assert failed.error == "States.Runtime" and said in failed.cause
    assert not stub.asked


# -- Connections -------------------------------------------------------------------------------------------------------


def _connection(aws: Aws, kind: str, parameters: dict[str, Any]) -> str:
    events = aws.client("events")
    made = events.create_connection(Name=unique("connection"), AuthorizationType=kind, AuthParameters=parameters)
    return str(made["ConnectionArn"])


def test_a_connection_with_a_user_and_password(aws: Aws, services: Services, stub: Stub) -> None:
    more = {
        "HeaderParameters": [{"Key": "X-Team", "Value": "blue", "IsValueSecret": False}],
        "QueryStringParameters": [{"Key": "v", "Value": "2", "IsValueSecret": False}],
        "BodyParameters": [{"Key": "who", "Value": "us", "IsValueSecret": False}],
    }
    arn = _connection(
        aws,
        "BASIC",
        {"BasicAuthParameters": {"Username": "ada", "Password": "secret"}, "InvocationHttpParameters": more},
    )
    arguments = {"ApiEndpoint": stub.url, "Method": "POST", "RequestBody": {"a": 1}}
    _succeeded(services.ask(INVOKE, {**arguments, "Authentication": {"ConnectionArn": arn}}))
    (asked,) = stub.asked
    assert base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")) == b"ada:secret"
    assert asked.headers["X-Team"] == "blue" and asked.query == [("v", "2")] and asked.json == {"a": 1, "who": "us"}


def test_a_connection_with_an_api_key(aws: Aws, services: Services, stub: Stub) -> None:
    arn = _connection(aws, "API_KEY", {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "k-1"}})
    arguments = {"ApiEndpoint": stub.url, "Method": "GET", "Authentication": {"ConnectionArn": arn}}
    _succeeded(services.ask(INVOKE, arguments))
    assert stub.asked[0].headers["X-Key"] == "k-1"


def test_a_connection_with_client_credentials_asks_for_a_token_once(aws: Aws, services: Services, stub: Stub) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/token":
            return Reply(200, {"access_token": "t-1", "expires_in": 3600})
        return Reply(200 if asked.headers.get("Authorization") == "Bearer t-1" else 401)

    stub.answer = answer
    oauth = {
        "ClientParameters": {"ClientID": "us", "ClientSecret": "hush"},
        "AuthorizationEndpoint": f"{stub.url}/token",
        "HttpMethod": "POST",
        "OAuthHttpParameters": {"BodyParameters": [{"Key": "scope", "Value": "all", "IsValueSecret": False}]},
    }
    arn = _connection(aws, "OAUTH_CLIENT_CREDENTIALS", {"OAuthParameters": oauth})
    arguments = {"ApiEndpoint": f"{stub.url}/api", "Method": "GET", "Authentication": {"ConnectionArn": arn}}
    for _ in range(2):
        _succeeded(services.ask(INVOKE, arguments))
    assert [asked.path for asked in stub.asked] == ["/token", "/api", "/api"]
    assert stub.asked[0].body == b"scope=all&grant_type=client_credentials"
    assert base64.b64decode(stub.asked[0].headers["Authorization"].removeprefix("Basic ")) == b"us:hush"


def test_a_secret_that_cannot_be_sent_is_not_told(aws: Aws, services: Services, stub: Stub) -> None:
    arn = _connection(aws, "API_KEY", {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "hush\nhush"}})
    arguments = {"ApiEndpoint": stub.url, "Method": "GET", "Authentication": {"ConnectionArn": arn}}
    failed = _failed(services.ask(INVOKE, arguments))
    assert failed.error == "States.Runtime" and "hush" not in failed.cause


def test_a_connection_that_is_not_there(services: Services, stub: Stub) -> None:
    arn = "arn:aws:events:us-east-1:123456789012:connection/none/0b2f6a3e"
    arguments = {"ApiEndpoint": stub.url, "Method": "GET", "Authentication": {"ConnectionArn": arn}}
    failed = _failed(services.ask(INVOKE, arguments))
    assert failed.error == "EventBridge.ResourceNotFoundException" and not stub.asked


# -- API Gateway and Lambda --------------------------------------------------------------------------------------------


def test_an_api_of_the_gateway_may_be_called_with_a_signature(aws: Aws, stub: Stub) -> None:
    services = Services(ServiceSettings(endpoint_url=aws.url, endpoints={"apigateway": stub.url}))
    arguments = {
        "ApiEndpoint": "abc.execute-api.us-east-1.amazonaws.com",
        "Method": "PUT",
        "Stage": "live",
        "Path": "/a b/c",
        "Headers": {"x-shop": ["one", "two"]},
        "AuthType": "IAM_ROLE",
        "RequestBody": {"x": 1},
    }
    _succeeded(services.ask(f"{STATES}apigateway:invoke", arguments))
    services.backend.close()
    (asked,) = stub.asked
    assert asked.path == "/live/a%20b/c" and asked.headers["x-shop"] == "one, two"
    assert "/us-east-1/execute-api/aws4_request" in asked.headers["Authorization"]


@pytest.mark.parametrize(("allow", "sent"), [(None, {"a": {}, "c": [None]}), (True, {"a": {"b": None}, "c": [None]})])
def test_nulls_reach_the_gateway_only_if_they_may(aws: Aws, stub: Stub, allow: Any, sent: Any) -> None:
    services = Services(ServiceSettings(endpoint_url=aws.url))
    body = {"a": {"b": None}, "c": [None]}
    arguments = {"ApiEndpoint": stub.url, "Method": "POST", "RequestBody": body, "AllowNullValues": allow}
    _succeeded(services.ask(f"{STATES}apigateway:invoke", arguments))
    services.backend.close()
    assert stub.asked[0].json == sent


def test_a_configured_endpoint_is_called_as_it_is(aws: Aws, stub: Stub) -> None:
    """Without the `sync-` that the SDK would put before the host."""
    stub.answer = lambda asked: Reply(200, {"executionArn": "arn:x", "startDate": 1.5, "status": "SUCCEEDED"})
    services = Services(ServiceSettings(endpoints={"sfn": stub.url}))
    output = _succeeded(services.ask(f"{SDK}sfn:startSyncExecution", {"StateMachineArn": "a", "Input": {}}))
    services.backend.close()
    assert output == {"ExecutionArn": "arn:x", "StartDate": "1970-01-01T00:00:01.500Z", "Status": "SUCCEEDED"}
    assert stub.asked[0].json == {"stateMachineArn": "a", "input": "{}"} and stub.asked[0].headers["Host"] == stub.host


def _function(asked: Asked) -> Reply:
    """A Lambda endpoint: what the function does depends on its name."""
    name = asked.path.split("/")[3]
    headers = {"X-Amz-Executed-Version": "$LATEST", "Content-Type": "application/json", "x-amzn-RequestId": "r-1"}
    if "missing" in name:
        message = f"Function not found: {name}:$LATEST"
        error = {"Type": "User", "Message": message}
        return Reply(404, error, {"x-amzn-RequestId": "r-1", "X-Amzn-Errortype": "ResourceNotFoundException"})
    if "busy" in name:
        return Reply(
            429, {"Reason": "x", "message": "Rate Exceeded."}, {"X-Amzn-Errortype": "TooManyRequestsException"}
        )
    if "raises" in name:
        error = {"errorMessage": "no luck", "errorType": "CustomException", "stackTrace": []}
        return Reply(200, json.dumps(error), {**headers, "X-Amz-Function-Error": "Unhandled"})
    if "odd" in name:
        return Reply(200, '"gone"', {**headers, "X-Amz-Function-Error": "Unhandled"})
    if asked.headers.get("X-Amz-Invocation-Type") == "Event":
        return Reply(202, b"", headers)
    return Reply(200, asked.body or b"null", headers)


_ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


@pytest.mark.parametrize("payload", ["HelloWorld", 0.0, 0, True, {}, [], {"a": {"b": "é"}}])
def test_a_function_gets_and_gives_any_json(services: Services, stub: Stub, payload: Any) -> None:
    stub.answer = _function
    output = _succeeded(services.ask(f"{STATES}lambda:invoke", {"FunctionName": "echo", "Payload": payload}))
    assert output["Payload"] == payload and type(output["Payload"]) is type(payload)
    assert list(output) == ["ExecutedVersion", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode"]
    assert output["SdkHttpMetadata"]["AllHttpHeaders"]["X-Amz-Executed-Version"] == ["$LATEST"]
    assert output["SdkResponseMetadata"] == {"RequestId": "r-1"} and output["StatusCode"] == 200
    assert _succeeded(services.ask(f"{_ARN}echo", payload)) == payload


def test_what_a_call_of_a_function_may_say(services: Services, stub: Stub) -> None:
    stub.answer = _function
    arguments = {"FunctionName": "echo", "Qualifier": "7", "ClientContext": {"custom": 1}, "InvocationType": "Event"}
    output = _succeeded(services.ask(f"{STATES}lambda:invoke", {**arguments, "Payload": {"a": 1}}))
    (asked,) = stub.asked
    assert output["StatusCode"] == 202 and asked.query == [("Qualifier", "7")]
    assert base64.b64decode(asked.headers["X-Amz-Client-Context"]) == b'{"custom":1}'


@pytest.mark.parametrize("resource", [f"{STATES}lambda:invoke", None])
def test_errors_of_functions(services: Services, stub: Stub, resource: str | None) -> None:
    stub.answer = _function

    def ask(name: str) -> Failed:
        arguments = {"FunctionName": name} if resource else {}
        return _failed(services.ask(resource or f"{_ARN}{name}", arguments))

    raised = ask("raises")
    assert raised.error == "CustomException"
    assert raised.cause == '{"errorMessage": "no luck", "errorType": "CustomException", "stackTrace": []}'
    assert ask("odd").error == "Lambda.Unknown"
    missing = ask("missing")
    assert missing.error == "Lambda.ResourceNotFoundException"
    assert missing.cause.endswith(
        ":$LATEST (Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; "
        "Request ID: r-1; Proxy: null)"
    )
    asked = len(stub.asked)
    assert ask("busy").error == "Lambda.TooManyRequestsException"
    assert len(stub.asked) == asked + 1, "what to do about throttling is the state's business"


def test_a_service_that_cannot_be_reached(aws: Aws) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        services = Services(ServiceSettings(endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}"))
        first = _failed(services.ask(f"{STATES}sns:publish", {"Message": "x"}))
        second = _failed(services.ask(f"{SDK}sns:publish", {"Message": "x"}))
        services.backend.close()
    assert first.error == "SNS.SdkClientException" and second.error == "Sns.SdkClientException"
    assert first.cause.startswith("Unable to execute HTTP request: ")


# -- Who may call what -------------------------------------------------------------------------------------------------


def _guarded(aws: Aws, *, services: tuple[str, ...] = (), http: tuple[str, ...] = ()) -> Services:
    return Services(ServiceSettings(endpoint_url=aws.url), ServicePolicy(services=services, http=http))


def test_accounts_call_only_what_the_administrator_allows(aws: Aws) -> None:
    guarded = _guarded(aws, services=("sqs:*",))
    assert isinstance(guarded.ask(f"{SDK}sqs:listQueues", {}, account="1"), Succeeded)
    failed = _failed(guarded.ask(f"{SDK}s3:listBuckets", {}, account="1"))
    assert failed.error == "States.Permissions" and "add 's3:listBuckets' to `allow_services`" in failed.cause
    role = {"RoleArn": "arn:aws:iam::123456789012:role/other"}
    failed = _failed(guarded.ask(f"{SDK}sqs:listQueues", {}, account="1", credentials=role))
    assert "sts:assumeRole" in failed.cause
    assert isinstance(guarded.ask(f"{SDK}sqs:listQueues", {}, credentials=role), Succeeded), "the user's own run"
    guarded.backend.close()


def test_accounts_reach_only_allowed_hosts(aws: Aws, stub: Stub) -> None:
    guarded = _guarded(aws, http=("*",))
    for host in ("localhost", "127.0.0.1", "[::1]", "2130706433", "[::ffff:127.0.0.1]", "0"):
        url = f"http://{host}:{stub.url.rpartition(':')[2]}/"
        failed = _failed(guarded.ask(INVOKE, {"ApiEndpoint": url, "Method": "GET"}, account="1"))
        assert failed.error in ("States.Permissions", "States.Http.Socket"), host
    guarded.backend.close()
    assert not stub.asked

    exact = _guarded(aws, http=("localhost",))
    port = stub.url.rpartition(":")[2]
    allowed = {"ApiEndpoint": f"http://localhost:{port}/", "Method": "GET"}
    assert isinstance(exact.ask(INVOKE, allowed, account="1"), Succeeded)
    other = {"ApiEndpoint": stub.url, "Method": "GET"}
    assert "add '127.0.0.1' to `allow_http`" in _failed(exact.ask(INVOKE, other, account="1")).cause
    assert isinstance(exact.ask(INVOKE, other), Succeeded), "the user's own run"
    exact.backend.close()


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "2852039166"])
@pytest.mark.parametrize("account", ["", "1"])
def test_nobody_reaches_the_metadata_of_machines(aws: Aws, host: str, account: str) -> None:
    guarded = _guarded(aws, http=("*",))
    failed = _failed(guarded.ask(INVOKE, {"ApiEndpoint": f"http://{host}/", "Method": "GET"}, account=account))
    guarded.backend.close()
    assert failed.error == "States.Permissions" and "credentials" in failed.cause


def test_a_name_is_looked_up_once_and_the_checked_address_is_called(
    aws: Aws, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers otherwise the second time gains nothing."""
    import skylift.compute.services.addresses as addresses

    looked_up: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        address = "203.0.114.1" if len(looked_up) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected: list[Any] = []

    def connect(address: Any, timeout: float) -> Any:
        connected.append(address)
        raise OSError("nobody is there")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolve)
    monkeypatch.setattr("skylift.compute.services.transport.socket.create_connection", connect)
    guarded = _guarded(aws, http=("*",))
    url = f"http://rebind.example.org:{stub.url.rpartition(':')[2]}/"
    failed = _failed(guarded.ask(INVOKE, {"ApiEndpoint": url, "Method": "GET"}, account="1"))
    guarded.backend.close()
    assert failed.error == "States.Http.Socket"
    assert looked_up == ["rebind.example.org"] and [address[0] for address in connected] == ["203.0.114.1"]


def test_an_account_cannot_read_secrets_through_a_connection(aws: Aws, stub: Stub) -> None:
    guarded = _guarded(aws, http=("127.0.0.1",))
    arn = "arn:aws:events:us-east-1:123456789012:connection/any/0b2f6a3e"
    arguments = {"ApiEndpoint": stub.url, "Method": "GET", "Authentication": {"ConnectionArn": arn}}
    failed = _failed(guarded.ask(INVOKE, arguments, account="1"))
    guarded.backend.close()
    assert failed.error == "States.Permissions" and "events:retrieveConnectionCredentials" in failed.cause
