"""Requests of any kind to the Step Functions API, over sockets: answers have the protocol's shape and come soon."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from fuzz_server import LONGEST_S, Target, nothing_leaks, target
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("uvicorn", reason="the server's extra is not installed")

MODEL = botocore.session.get_session().get_service_model("stepfunctions")
ACTIONS = sorted(MODEL.operation_names)
HEAD = "arn:aws:states:us-east-1:123456789012"
PASS = '{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}'
KNOWN = [
    f"{HEAD}:stateMachine:m",
    f"{HEAD}:stateMachine:m:1",
    f"{HEAD}:stateMachine:m:live",
    f"{HEAD}:execution:m:e",
    f"{HEAD}:stateMachine:x",
    f"{HEAD}:express:x:y:z",
    f"{HEAD}:mapRun:m/l:e",
    f"{HEAD}:execution:m/l:e",
    f"{HEAD}:activity:a",
    PASS,
    PASS.replace('"Pass"', '"Wait","Seconds":1'),
    "arn:aws:iam::123456789012:role/x",
    "m",
    "e",
    "live",
    "{}",
    "null",
    "1e999",
    "[" * 3000,
    '{"a":' * 3000,
    "$",
    "{% $ %}",
    "\x00",
    "\U0001f600" * 90,
    "é" * 200,
    "a" * 300_000,
    "../../etc/passwd",
    "%00",
    "*",
    "' OR 1=1 --",
    "arn:" + ":" * 50,
    "",
    " ",
    "\ufeff",
    "\u202e",
    "0" * 1025,
    "MQ==",
    "2026-01-01T00:00:00Z",
]
FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)

texts = st.sampled_from(KNOWN) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.sampled_from([0, 1, -1, 100, 1000, 2**31, 2**63, 2**64, 10**300]) | st.integers() | st.floats()
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def values(shape: Any) -> st.SearchStrategy[Any]:
    """Mostly what the model of the action wants."""
    if shape.type_name == "structure":
        required = {name: values(member) for name, member in shape.members.items() if name in shape.required_members}
        others = {name: values(member) for name, member in shape.members.items() if name not in required}
        return st.fixed_dictionaries(required, optional=others)
    if shape.type_name == "list":
        return st.lists(values(shape.member), max_size=3)
    if shape.type_name == "string":
        return st.sampled_from(shape.enum) | texts if shape.enum else texts
    if shape.type_name == "boolean":
        return st.booleans()
    return numbers


def requests_of(action: str) -> st.SearchStrategy[dict[str, Any]]:
    shape = MODEL.operation_model(action).input_shape
    right = values(shape)
    wrong = st.fixed_dictionaries({}, optional=dict.fromkeys([*shape.members, "unknown", ""], anything))
    return right | st.builds(lambda one, other: {**one, **other}, right, wrong) | wrong


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("protocol"), head_seconds=1.0, body_seconds=1.0) as server:
        made = {"name": "m", "definition": PASS, "roleArn": "arn:aws:iam::123456789012:role/x", "publish": True}
        status, answer = server.ask("CreateStateMachine", made)
        assert status == 200
        route = [{"stateMachineVersionArn": answer["stateMachineVersionArn"], "weight": 100}]
        assert server.ask("CreateStateMachineAlias", {"name": "live", "routingConfiguration": route})[0] == 200
        assert server.ask("StartExecution", {"stateMachineArn": f"{HEAD}:stateMachine:m", "name": "e"})[0] == 200
        yield server
        server.healthy()


def check(server: Target, action: str, request: Any) -> None:
    began = time.monotonic()
    server.ask(action, request)
    assert time.monotonic() - began < LONGEST_S, (action, request)


def ask_much(server: Target, action: str, examples: int) -> None:
    @settings(FUZZ, max_examples=examples)
    @given(requests_of(action))
    def run(request: dict[str, Any]) -> None:
        if action == "GetActivityTask":
            request["activityArn"] = f"{HEAD}:activity:none"
        check(server, action, json.dumps(request).encode("utf-8", "surrogatepass"))

    with nothing_leaks():
        run()
    server.healthy()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action(server: Target, action: str) -> None:
    ask_much(server, action, 15)


@pytest.mark.slow
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_at_length(server: Target, action: str) -> None:
    ask_much(server, action, 400)


BODIES = [
    b"",
    b"null",
    b"[]",
    b'"a"',
    b"{",
    b"{}{}",
    b"\xff\xfe",
    b'{"name": "\xff"}',
    b'{"name": "\xed\xa0\x80"}',
    b'{"name":"\\ud800"}',
    b'{"name":"a","name":"b"}',
    b'{"maxResults":NaN}',
    b'{"maxResults":1e999}',
    b'{"maxResults":-0.0}',
    b'{"maxResults":1' + b"0" * 5000 + b"}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"name":"' + b"a" * 900_000 + b'"}',
    b"\xef\xbb\xbf{}",
    b" " * 10_000 + b"{}",
    gzip.compress(b"{}"),
    b'{"__proto__":{}}',
    b'{"\\u0000":1}',
    b"{}\x00",
    "{}".encode("utf-16"),
    b'{"name":"\\u0000"}',
    b"\x00" * 100,
]


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_bodies_that_are_no_requests(server: Target, number: int) -> None:
    for action in ("ListStateMachines", "CreateActivity", "StartExecution", "ValidateStateMachineDefinition"):
        check(server, action, BODIES[number])


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json", "application/x-amz-json-1.1", "a" * 5000, "\xff"]
)
def test_content_types_do_not_matter(server: Target, kind: str) -> None:
    status, _, _ = server.post("ListActivities", b"{}", Content_Type=kind)
    assert status in (200, 400) or (status, kind) == (403, "text/plain")  # what a foreign page's form could send


@pytest.mark.parametrize(
    "name",
    ["", "X", "ListActivities.", "../ListActivities", "L" * 10_000, "list_activities", "\xff", "List Activities"],
)
def test_actions_that_are_not_there(server: Target, name: str) -> None:
    status, headers, body = server.post(name, b"{}")
    assert (status, json.loads(body)["__type"]) == (400, "UnknownOperationException")
    assert headers["x-amzn-errortype"] == "UnknownOperationException"


LINE = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"
LINE += b"X-Amz-Target: AWSStepFunctions.ListActivities\r\n"
RAW = [
    b"",
    b"\r\n",
    b"\x00" * 1000,
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    LINE + b"Content-Length: -1\r\n\r\n{}",
    LINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    LINE + b"Content-Length: 9" + b"9" * 500 + b"\r\n\r\n",
    LINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    LINE + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
    LINE + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
    LINE + b"Transfer-Encoding: gzip\r\n\r\n{}",
    LINE + b"Content-Length: abc\r\n\r\n{}",
    LINE + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    LINE + b"Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\n{}",
    LINE + b"A: \x00\r\n\r\n",
    LINE + b": b\r\n\r\n",
    LINE + b"A b: c\r\n\r\n",
    LINE + b" folded: x\r\nContent-Length: 2\r\n\r\n{}",
    LINE + b"X: " + b"a" * 60_000 + b"\r\n\r\n",
    b"GET /%00%ff%2e%2e/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://[::1]:x/ HTTP/1.1\r\n\r\n",
    b"GET //v1//runs?%ff=%00&=&limit=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"".join(b"X%d: y\r\n" % n for n in range(5000)),
    LINE
    + b"Authorization: AWS4-HMAC-SHA256 Credential=//, SignedHeaders=;, Signature=\xff\r\nContent-Length: 2\r\n\r\n{}",
]


@pytest.mark.parametrize("number", range(len(RAW)))
def test_what_is_hardly_http(server: Target, number: int) -> None:
    with nothing_leaks():
        began = time.monotonic()
        answer = server.send(RAW[number])
        assert time.monotonic() - began < LONGEST_S
    assert not answer or (answer.startswith(b"HTTP/1.1 ") and answer[9:10] in b"1234"), answer[:300]
    server.healthy()


@settings(FUZZ, max_examples=60)
@given(st.sampled_from(RAW), st.binary(max_size=40), st.integers(0, 400), st.integers(0, 60))
def test_bytes_of_any_kind(server: Target, raw: bytes, other: bytes, at: int, cut: int) -> None:
    answer = server.send((raw[:at] + other + raw[at + cut :])[:70_000])
    assert b"HTTP/1.1 5" not in answer, answer[:300]


def test_requests_in_a_pipe_are_answered_in_order(server: Target) -> None:
    targets = [b"ListActivities", b"Nothing", b"ListStateMachines"] * 20
    one = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AWSStepFunctions.%b\r\nContent-Length: 2\r\n\r\n{}"
    last = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with server.connected() as client:
        client.sendall(b"".join(one % name for name in targets) + last)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"400", b"200"] * 20 + [b"200"]


def test_a_chunked_body_is_a_body(server: Target) -> None:
    chunked = LINE + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = b""
    with server.connected() as client:  # left open for writing: who closes may not be answered
        client.sendall(chunked + b"1\r\n{\r\n1;a=b\r\n}\r\n0\r\nX: y\r\n\r\n")
        while piece := client.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"activities"' in answer
