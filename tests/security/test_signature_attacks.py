"""Requests that look signed: each is right but for one thing, and none gets in."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="the server is an extra")

from tenants import MINE, THEIRS, Tenant, issue, raw

from skylift.server.auth.keys import Keys
from skylift.server.auth.sealing import open_sealer
from skylift.sigv4 import EMPTY_DIGEST, region_of
from skylift.stores.open import open_store
from skylift.testing.server import running_server

TARGET = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AWSStepFunctions.ListStateMachines"}
Headers = dict[str, str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signatures")


@pytest.fixture(scope="module")
def tenant(home: Path) -> Iterator[Tenant]:
    key = issue(home, MINE)
    with running_server(home, auth="required", body_seconds=5) as server:
        yield Tenant(server.url, key)


def test_the_request_that_is_attacked_is_a_good_one(tenant: Tenant) -> None:
    assert tenant.send("POST", "/", b"{}", TARGET).status == 200
    assert tenant.send("GET", "/v1/runs?limit=3&before=").status == 400  # got in
    assert tenant.send("GET", "/v1/runs?limit=3&status=RUNNING").status == 200


def without(*names: str) -> Callable[[Headers], Headers]:
    return lambda headers: {name: value for name, value in headers.items() if name.lower() not in names}


def replaced(name: str, old: str, new: str) -> Callable[[Headers], Headers]:
    def change(headers: Headers) -> Headers:
        found = next(one for one in headers if one.lower() == name)
        assert old in headers[found]
        return {**headers, found: headers[found].replace(old, new)}

    return change


def added(**more: str) -> Callable[[Headers], Headers]:
    return lambda headers: {**headers, **{name.replace("_", "-"): value for name, value in more.items()}}


ALTERED: dict[str, Callable[[Headers], Headers]] = {
    "no authorization": without("authorization"),
    "no date": without("x-amz-date"),
    "another host": replaced("host", "127.0.0.1", "localhost"),
    "another action": replaced("x-amz-target", "ListStateMachines", "ListActivities"),
    "an action that is not signed": added(X_Amz_Target="AWSStepFunctions.ListActivities"),
    "an added header of Amazon's": added(x_amz_meta_evil="1"),
    "a session token": added(x_amz_security_token="x"),
    "the algorithm of SHA-1": replaced("authorization", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
    "an asymmetric algorithm": replaced("authorization", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
    "the algorithm in small letters": replaced("authorization", "AWS4-HMAC-SHA256", "aws4-hmac-sha256"),
    "no algorithm": replaced("authorization", "AWS4-HMAC-SHA256 ", ""),
    "the second version": lambda headers: {**without("authorization")(headers), "Authorization": "AWS AKIA:sig"},
    "a bearer": lambda headers: {**without("authorization")(headers), "Authorization": "Bearer x"},
    "another region": replaced("authorization", "/us-east-1/", "/eu-west-1/"),
    "another service": replaced("authorization", "/states/", "/s3/"),
    "no host signed": replaced("authorization", "host;", ""),
    "no target signed": replaced("authorization", ";x-amz-target", ""),
    "a header twice in the list": replaced("authorization", "host;", "host;host;"),
    "a header that is not there": replaced("authorization", "host;", "host;nothing;"),
    "capital letters in the list": replaced("authorization", "host;", "Host;"),
    "the empty signature": lambda headers: {
        **headers, "Authorization": headers["Authorization"].rpartition("=")[0] + "="
    },
    "a part twice": lambda headers: {**headers, "Authorization": headers["Authorization"] + ", Signature=0"},
    "an unknown part": lambda headers: {**headers, "Authorization": headers["Authorization"] + ", X=0"},
    "a signature in capitals": lambda headers: {
        **headers,
        "Authorization": "Signature=".join(
            (headers["Authorization"].partition("Signature=")[0], headers["Authorization"].rpartition("=")[2].upper())
        ),
    },
    "a longer signature": lambda headers: {**headers, "Authorization": headers["Authorization"] + "0" * 30_000},
    "not ASCII": lambda headers: {**headers, "Authorization": headers["Authorization"][:-1] + "\u00e9"},
    "an unsigned payload": lambda headers: {**headers, "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"},
    "the digest of something else": lambda headers: {**headers, "X-Amz-Content-SHA256": "0" * 64},
}  # fmt: skip


@pytest.mark.parametrize("attack", ALTERED)
def test_what_was_signed_may_not_change(tenant: Tenant, attack: str) -> None:
    for method, path, body, headers in (("POST", "/", b"{}", TARGET), ("GET", "/v1/runs", b"", TARGET)):
        altered = ALTERED[attack](tenant.signed(method, path, body, headers))
        if "\u00e9" in altered.get("Authorization", ""):
            altered["Authorization"] = altered["Authorization"].encode("utf-8").decode("latin-1")
        answer = raw(tenant.url, method, path, body, altered)
        assert answer.status in (400, 401), (attack, answer.body)
        assert answer.kind in (
            "MissingAuthenticationTokenException",
            "IncompleteSignatureException",
            "InvalidSignatureException",
            "UnrecognizedClientException",
        ), answer.body
        assert tenant.key is not None and tenant.key.secret not in answer.body.decode()


def test_signed_over_a_digest_that_is_no_digest(tenant: Tenant) -> None:
    """As other services allow for uploads. Even with the right key: the body must be the one that was signed."""
    for digest in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", ""):
        answer = tenant.send("POST", "/", b"{}", TARGET, digest=digest)
        assert answer.status == 400, answer.body
        document = b'{"a": 1}'
        put = tenant.send("PUT", f"/v1/documents/{hashlib.sha256(document).hexdigest()}", document, digest=digest)
        assert put.status == 400, put.body


def test_the_body_cannot_be_changed_or_left_out(tenant: Tenant) -> None:
    headers = tenant.signed("POST", "/", b"{}", TARGET)
    assert raw(tenant.url, "POST", "/", b'{"maxResults": 1}', headers).status == 400
    body = json.dumps({"pipeline": "p", "document": {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}}).encode()
    headers = tenant.signed("POST", "/v1/runs", body)
    assert raw(tenant.url, "POST", "/v1/runs", body + b" ", headers).status == 400
    assert raw(tenant.url, "POST", "/v1/runs", b"", headers).status == 400
    machine = tenant.machine("bodies", {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
    headers = tenant.signed("POST", "/pipelines/bodies/runs", b'{"amount": 1}')
    for other in (b"", b'{"amount": 2}'):
        assert raw(tenant.url, "POST", "/pipelines/bodies/runs", other, headers).status == 400
    assert tenant.act("ListExecutions", {"stateMachineArn": machine}).json["executions"] == []


def test_the_query_and_the_path_are_signed(tenant: Tenant) -> None:
    headers = tenant.signed("GET", "/v1/runs?limit=1")
    for path in (
        "/v1/runs?limit=2",
        "/v1/runs",
        "/v1/runs?limit=1&limit=2",
        "/v1/pipelines?limit=1",
        "/v1/runs/?limit=1",
    ):
        assert raw(tenant.url, "GET", path, b"", headers).status == 401, path
    assert raw(tenant.url, "DELETE", "/v1/runs?limit=1", b"", headers).status == 401


def test_in_the_query_there_are_no_credentials(tenant: Tenant) -> None:
    """Presigned URLs are none of this service's."""
    assert tenant.key is not None
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={tenant.key.key_id}/{now[:8]}/us-east-1/states/aws4_request"
        f"&X-Amz-Date={now}&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}"
    )
    answer = raw(tenant.url, "GET", f"/v1/runs?{query}")
    assert (answer.status, answer.kind) == (401, "MissingAuthenticationTokenException")


@pytest.mark.parametrize("minutes", [-6, -60, 6, 60 * 24 * 365])
def test_old_and_future_requests(tenant: Tenant, minutes: int) -> None:
    answer = tenant.send("POST", "/", b"{}", TARGET, now=datetime.now(UTC) + timedelta(minutes=minutes))
    assert (answer.status, answer.kind) == (400, "InvalidSignatureException")


def test_headers_that_come_twice(tenant: Tenant) -> None:
    """What is checked and what is believed must be the same one."""
    where = urlsplit(tenant.url)
    for name, value in (
        ("x-amz-target", "AWSStepFunctions.ListActivities"),
        ("host", "elsewhere"),
        ("x-amz-date", "20200101T000000Z"),
        ("x-amz-content-sha256", EMPTY_DIGEST),
        ("authorization", "AWS4-HMAC-SHA256 Credential=x"),
    ):
        for first in (True, False):
            given = list(tenant.signed("POST", "/", b"{}", TARGET).items())
            given.insert(0 if first else len(given), (name, value))
            connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=90)
            connection.putrequest("POST", "/", skip_host=True, skip_accept_encoding=True)
            for one, said in given:
                connection.putheader(one, said)
            connection.putheader("content-length", "2")
            connection.endheaders(b"{}")
            response = connection.getresponse()
            body = response.read().decode()
            connection.close()
            if name == "authorization" and first:
                assert response.status == 200  # the last one counts, and it is right
            else:
                assert response.status == 400, (name, first, body)
                assert "activities" not in body


def test_signatures_of_others_and_of_keys_that_are_gone(tenant: Tenant, home: Path) -> None:
    assert tenant.key is not None
    other = issue(home, THEIRS)
    mixed = tenant.send("POST", "/", b"{}", TARGET, key_id=other.key_id)
    assert (mixed.status, mixed.kind) == (400, "InvalidSignatureException")
    unknown = tenant.send("POST", "/", b"{}", TARGET, key_id="AKIAAAAAAAAAAAAAAAAA")
    assert (unknown.status, unknown.kind) == (400, "UnrecognizedClientException")
    for strange in (tenant.key.key_id.lower(), f"{tenant.key.key_id}%00", f" {tenant.key.key_id}", "../x", "x" * 5_000):
        answer = tenant.send("POST", "/", b"{}", TARGET, key_id=strange)
        assert answer.status == 400, answer.body
    gone = Tenant(tenant.url, other)
    assert gone.send("POST", "/", b"{}", TARGET).status == 200
    store = open_store(None, home=home)
    Keys(store.resources, lambda: open_sealer(home)).revoke(other.key_id)
    store.close()
    revoked = asked = time.monotonic()
    while gone.send("POST", "/", b"{}", TARGET).status == 200:
        assert asked - revoked < 1.5, "a revoked key still works"
        time.sleep(0.05)
        asked = time.monotonic()


def test_who_is_not_known_sends_no_long_bodies(tenant: Tenant) -> None:
    """Refused by the head alone: the body has not come, and is not waited for."""
    where = urlsplit(tenant.url)
    for lines in (
        ["content-length: 1000000"],
        ["transfer-encoding: chunked"],
        ["content-length: 1000000", "authorization: AWS4-HMAC-SHA256 Credential=x"],
    ):
        with socket.create_connection((where.hostname, where.port or 0), timeout=15) as connection:
            head = "\r\n".join(["POST / HTTP/1.1", f"host: {where.netloc}", *lines, "", ""])
            connection.sendall(head.encode())
            assert b"400" in connection.recv(1_000).partition(b"\r\n")[0]


def test_two_lengths_are_no_request(tenant: Tenant) -> None:
    where = urlsplit(tenant.url)
    for lines in (
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "content-length: -1",
        "content-length: +2",
    ):
        with socket.create_connection((where.hostname, where.port or 0), timeout=15) as connection:
            smuggled = "0\r\n\r\nGET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
            connection.sendall(f"POST / HTTP/1.1\r\nhost: {where.netloc}\r\n{lines}\r\n\r\n{smuggled}".encode())
            answer = connection.recv(10_000)
            assert b" 400 " in answer.partition(b"\r\n")[0], (lines, answer)
            assert b'"ok"' not in answer, lines


def test_a_long_header_does_not_take_long() -> None:
    began = time.thread_time()
    assert region_of("Credential=" * 6_000 + "/") is None
    assert time.thread_time() - began < 1


def told(tenant: Tenant, **more: Any) -> set[str]:
    return {tenant.send("POST", "/", b"{}", TARGET, **more).kind for _ in range(3)}


def test_errors_do_not_quote_what_was_computed(tenant: Tenant) -> None:
    answer = tenant.send("POST", "/", b"{}", TARGET, secret="wrong")
    assert "canonical" not in answer.body.decode().lower() and len(answer.body) < 1_000
    assert told(tenant, secret="wrong") == {"InvalidSignatureException"}
