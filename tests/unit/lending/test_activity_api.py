"""The wire: what a worker sends is what botocore's model of Step Functions says, signed as AWS wants it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from skylift.errors import SetupError
from skylift.lending.api import ActivityApi, Away, GivenTask, Keys, Refused, TaskGone
from skylift.lending.keys import aws_api, environment_keys, server_api
from skylift.sigv4 import Request, matches, parse_authorization, signing_key

ARN = "arn:aws:states:us-east-1:123456789012:activity:gpu-box"


class Fake:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.ahead = timedelta()
        """Of its clock."""

    def answer(self, action: str, *answers: tuple[int, Any]) -> None:
        self.answers[action] = list(answers)


@pytest.fixture
def fake() -> Iterator[tuple[Fake, str]]:
    state = Fake()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            action = self.headers["x-amz-target"].removeprefix("AWSStepFunctions.")
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.asked.append((action, {**headers, ":path": self.path, ":digest": _sha(raw)}, json.loads(raw)))
            answers = state.answers.get(action) or [(200, {})]
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("date", formatdate((datetime.now(UTC) + state.ahead).timestamp(), usegmt=True))
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def api_of(url: str, keys: Keys | None = None) -> ActivityApi:
    return ActivityApi(url, "us-east-1", lambda: keys)


def test_requests_are_those_of_the_services_model(fake: tuple[Fake, str]) -> None:
    loaders = pytest.importorskip("botocore.loaders", reason="the extra `aws`")
    from botocore.model import ServiceModel
    from botocore.validate import ParamValidator

    state, url = fake
    state.answer("ListActivities", (200, {"activities": [{"name": "gpu-box", "activityArn": ARN}]}))
    state.answer("CreateActivity", (200, {"activityArn": ARN}))
    state.answer("GetActivityTask", (200, {"taskToken": "AQC/+=", "input": '{"n": 1}'}))
    api = api_of(url)
    assert api.find("gpu-box") == api.find(ARN) == api.create("gpu-box") == ARN
    assert api.next(ARN, "w" * 200) == GivenTask("AQC/+=", '{"n": 1}')
    api.success("AQC/+=", "{}")
    api.failure("AQC/+=", "E" * 300, "c" * 40_000)
    api.heartbeat("AQC/+=")
    model = ServiceModel(loaders.Loader().load_service_model("stepfunctions", "service-2"), "stepfunctions")
    assert {action for action, _, _ in state.asked} == {
        "ListActivities",
        "DescribeActivity",
        "CreateActivity",
        "GetActivityTask",
        "SendTaskSuccess",
        "SendTaskFailure",
        "SendTaskHeartbeat",
    }
    for action, headers, body in state.asked:
        shape = model.operation_model(action).input_shape
        assert not ParamValidator().validate(body, shape).has_errors(), action
        for name, value in body.items():
            most = shape.members[name].metadata.get("max")
            assert most is None or not isinstance(value, str) or len(value) <= most, (action, name)
        assert headers["content-type"] == f"application/x-amz-json-{model.metadata['jsonVersion']}"


def test_requests_are_signed_also_with_temporary_credentials(fake: tuple[Fake, str]) -> None:
    state, url = fake
    api_of(f"{url}/base", Keys(key_id="AKID", secret="secret", token="session")).heartbeat("t")
    ((_, headers, _),) = state.asked
    given = parse_authorization(headers["authorization"])
    request = Request(method="POST", path=headers[":path"], headers=list(headers.items()), digest=headers[":digest"])
    assert (given.key_id, given.scope.service, headers[":path"]) == ("AKID", "states", "/base/")
    assert "x-amz-security-token" in given.headers and "x-amz-target" in given.headers
    assert matches(signing_key("secret", given.scope), given, headers["x-amz-date"], request)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"__type": "TaskTimedOut", "message": "m"}, TaskGone),
        (400, {"__type": "com.amazonaws.swf.service.v2.model#TaskDoesNotExist", "message": "m"}, TaskGone),
        (400, {"__type": "InvalidToken", "message": "m"}, TaskGone),
        (400, {"__type": "ThrottlingException", "message": "Rate exceeded"}, Away),
        (400, {"__type": "ActivityWorkerLimitExceeded"}, Away),
        (503, b"<html>", Away),
        (500, {"__type": "InternalFailure"}, Away),
        (200, b"<html>", Away),
        (400, {"__type": "InvalidOutput", "message": "no JSON"}, Refused),
        (403, {"__type": "AccessDeniedException", "Message": "User may not"}, Refused),
        (404, b"<html>", Refused),
    ],
)
def test_what_an_answer_means(fake: tuple[Fake, str], status: int, body: Any, kind: type[Exception]) -> None:
    state, url = fake
    state.answer("SendTaskSuccess", (status, body))
    with pytest.raises(kind) as caught:
        api_of(url).success("t", "{}")
    assert type(caught.value) is kind
    if isinstance(caught.value, Refused) and status == 403:
        assert "User may not" in caught.value.message and "SKYLIFT_ACCESS_KEY_ID" in (caught.value.hint or "")


def test_an_activity_that_is_not_there_says_how_to_make_it(fake: tuple[Fake, str]) -> None:
    state, url = fake
    state.answer(
        "ListActivities",
        (200, {"activities": [{"name": "x", "activityArn": "a"}], "nextToken": "more"}),
        (200, {"activities": []}),
    )
    with pytest.raises(Refused) as caught:
        api_of(url).find("gpu-box")
    assert [body.get("nextToken") for _, _, body in state.asked] == [None, "more"]
    assert "--create" in (caught.value.hint or "")


def test_nobody_there_and_no_address() -> None:
    with pytest.raises(Away, match="does not answer"):
        api_of("http://127.0.0.1:1").heartbeat("t")
    with pytest.raises(Away, match="does not answer"):
        api_of("http://..").heartbeat("t")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "http://127.0.0.1:99999",
        "http://h:x",
        "http://[::1",
        "http://a b",
        "http://h\n",
        "ftp://h",
        "http://h:0",
    ],
)
def test_what_is_no_address(url: str) -> None:
    """Most were reported as bugs of ours."""
    with pytest.raises(SetupError, match="is not the address"):
        api_of(url)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SetupError) as caught:
        api_of("https://key:hidden@h/")
    assert "hidden" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("minutes", [-20, 30])
def test_a_clock_that_is_wrong_is_made_up_for(fake: tuple[Fake, str], minutes: int) -> None:
    """The worker ended: AWS refuses signatures of another time."""
    state, url = fake
    state.ahead = timedelta(minutes=minutes)
    refused = {"__type": "InvalidSignatureException", "message": "Signature not yet current"}
    state.answer("SendTaskHeartbeat", (400, refused), (200, {}))
    api = api_of(url, Keys(key_id="AKID", secret="secret"))
    api.heartbeat("t")
    api.success("t", "{}")
    signed = [datetime.strptime(h["x-amz-date"], "%Y%m%dT%H%M%S%z") - datetime.now(UTC) for _, h, _ in state.asked]
    assert [round(apart / timedelta(minutes=10)) for apart in signed] == [0, minutes // 10, minutes // 10]
    state.answer("SendTaskHeartbeat", (400, refused))
    with pytest.raises(Refused, match="not yet current"):
        api.heartbeat("t")
    assert len(state.asked) == 4


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("ListActivities", {}),
        ("ListActivities", {"activities": [{"name": "gpu-box"}]}),
        ("GetActivityTask", {"taskToken": 5}),
        ("GetActivityTask", {"taskToken": "t", "input": {"n": 1}}),
    ],
)
def test_somebody_else_answers(fake: tuple[Fake, str], action: str, body: Any) -> None:
    state, url = fake
    state.answer(action, (200, body))
    api = api_of(url)
    with pytest.raises(Away, match="something else"):
        api.next(ARN, "box") if action == "GetActivityTask" else api.find("gpu-box")


def test_where_aws_is_and_what_keys() -> None:
    pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"}
    assert aws_api("eu-central-1", pair).url == "https://states.eu-central-1.amazonaws.com"
    assert aws_api("cn-north-1", pair).url == "https://states.cn-north-1.amazonaws.com.cn"
    assert aws_api("us-east-1", {**pair, "AWS_ENDPOINT_URL_SFN": "http://127.0.0.1:9"}).url == "http://127.0.0.1:9"
    assert server_api("http://h:1", {"AWS_REGION": "eu-west-1"}).region == "eu-west-1"
    assert environment_keys({}) is None
    own = {"SKYLIFT_ACCESS_KEY_ID": "K", "SKYLIFT_SECRET_ACCESS_KEY": "T"}
    assert environment_keys({**pair, **own}) == Keys(key_id="K", secret="T")
    with pytest.raises(SetupError, match="SKYLIFT_SECRET_ACCESS_KEY is not"):
        environment_keys({"SKYLIFT_ACCESS_KEY_ID": "K"})


def test_the_credentials_of_a_profile_are_renewed_by_botocore(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, fake: tuple[Fake, str]
) -> None:
    pytest.importorskip("botocore", reason="the extra `aws`")
    state, url = fake
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = FROMFILE\naws_secret_access_key = s\naws_session_token = t\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    aws_api("us-east-1", {"AWS_ENDPOINT_URL": url}).heartbeat("t")
    ((_, headers, _),) = state.asked
    assert parse_authorization(headers["authorization"]).key_id == "FROMFILE"
    assert headers["x-amz-security-token"] == "t"
    with pytest.raises(SetupError, match="is no region"):
        aws_api("", {"AWS_ENDPOINT_URL": url})
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SetupError, match="nobody"):
        aws_api("us-east-1", {"AWS_ENDPOINT_URL": url})
    monkeypatch.delenv("AWS_PROFILE")
    file.write_text("")
    with pytest.raises(SetupError, match="nowhere to be found"):
        aws_api("us-east-1", {"AWS_ENDPOINT_URL": url})


@pytest.mark.parametrize("problem", ["TokenRetrievalError", "ClientError", "RuntimeError"])
def test_credentials_that_cannot_be_renewed_now_are_asked_for_later(
    monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    """They ended the worker's thread, and the worker with exit status 0."""
    exceptions = pytest.importorskip("botocore.exceptions", reason="the extra `aws`")
    raised = {
        "TokenRetrievalError": lambda: exceptions.TokenRetrievalError(provider="sso", error_msg="expired"),
        "ClientError": lambda: exceptions.ClientError({"Error": {"Code": "ExpiredToken"}}, "AssumeRole"),
        "RuntimeError": lambda: RuntimeError("refreshed, but still expired"),
    }

    class Session:
        def get_credentials(self) -> Any:
            return self

        def get_frozen_credentials(self) -> Any:
            raise raised[problem]()

    monkeypatch.setattr("botocore.session.Session", Session)
    api = aws_api("us-east-1", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    with pytest.raises(Away, match="cannot be renewed"):
        api.heartbeat("t")
