"""Requests to a server: what is tried again, what is not, and what a refusal raises."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from skylift.errors import RunNotFound, SetupError
from skylift.remote import client as client_module
from skylift.remote.client import ServerClient
from skylift.remote.keys import signer_of
from skylift.remote.problems import AccessRefused, ServerRefused, ServerUnreachable
from skylift.sigv4 import parse_authorization

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CLOSE = b""


class Scripted:
    """Gives one answer to each request, whatever it is; an empty one closes the connection."""

    def __init__(self, *answers: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = list(answers)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            while self._answers and (request := _request(connection)):
                self.requests.append(request)
                answer = self._answers.pop(0)
                connection.sendall(answer)
                if not answer.endswith(b"}"):
                    return

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(60)


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    return data


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_S", 0.2)
    monkeypatch.setattr(client_module, "LONGEST_PAUSE_S", 0.05)


@pytest.fixture
def opened() -> Iterator[list[ServerClient | Scripted]]:
    found: list[ServerClient | Scripted] = []
    yield found
    for one in found:
        one.close()


def pair(opened: list[ServerClient | Scripted], *answers: bytes) -> tuple[ServerClient, Scripted]:
    server = Scripted(*answers)
    client = ServerClient(server.url)
    opened += [client, server]
    return client, server


def refusal(status: int, code: str, hint: str | None = None, headers: str = "") -> bytes:
    body = json.dumps({"error": {"code": code, "message": f"said {code}", "hint": hint}}).encode()
    return f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def test_a_connection_is_kept(opened: list[ServerClient | Scripted]) -> None:
    client, server = pair(opened, OK, OK, OK)
    for _ in range(3):
        client.request("GET", "/v1/runs")
    assert (server.connections, len(server.requests)) == (1, 3)


def test_what_is_cut_off_is_asked_again(opened: list[ServerClient | Scripted]) -> None:
    client, server = pair(opened, OK, CLOSE, CLOSE, OK[:-1], OK)
    told: list[SetupError | None] = []
    client.on_trouble = told.append
    client.request("GET", "/first")
    assert client.request("GET", "/again").body == b"{}"
    assert len(server.requests) == 5
    assert [type(trouble) for trouble in told] == [ServerUnreachable, type(None)]


def test_what_may_not_be_done_twice_is_not(opened: list[ServerClient | Scripted]) -> None:
    client, server = pair(opened, OK, CLOSE, OK)
    client.request("GET", "/first")
    with pytest.raises(ServerUnreachable, match="does not answer"):
        client.request("POST", "/once", repeatable=False)
    assert len(server.requests) == 2


def test_a_busy_server_is_asked_later(opened: list[ServerClient | Scripted]) -> None:
    client, server = pair(opened, refusal(429, "TOO-MANY", headers="Retry-After: 0\r\n"), refusal(503, "ENDING"), OK)
    assert client.request("GET", "/v1/runs").status == 200
    assert len(server.requests) == 3


def test_a_server_that_was_never_there(opened: list[ServerClient | Scripted]) -> None:
    client = ServerClient("http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(ServerUnreachable) as caught:
        client.request("GET", "/v1/runs")
    assert time.monotonic() - began < 30, "who answered before is waited for five minutes"
    assert "skylift server" in str(caught.value.hint)


def test_a_server_that_is_silent_is_asked_once(
    opened: list[ServerClient | Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "TIMEOUT_S", 0.3)
    silent = socket.create_server(("127.0.0.1", 0))
    client = ServerClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
    with silent, pytest.raises(ServerUnreachable, match="timed out"):
        client.request("GET", "/v1/runs")
    assert client.trouble is None


@pytest.mark.parametrize(
    "url", ["127.0.0.1:80", "ftp://127.0.0.1", "http://", "http://h:1x", "http://h:99999", "http://h:0"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(SetupError, match="not the address of a server"):
        ServerClient(url)


@pytest.mark.parametrize(
    "url", ["http://me:secret@127.0.0.1:80", "http://127.0.0.1/?a=secret", "http://127.0.0.1/#secret"]
)
def test_an_address_with_more_than_an_address(url: str) -> None:
    with pytest.raises(SetupError, match="more than host, port and path") as caught:
        ServerClient(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>hello}", b'["other"]', b"\xff}"])
def test_another_servers_answer(opened: list[ServerClient | Scripted], body: bytes) -> None:
    client, _ = pair(opened, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    with pytest.raises(ServerRefused, match="status 200, not as Skylift") as caught:
        client.json(dict[str, int], "GET", "/v1/runs")
    assert "hello" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (refusal(404, "RUN-NOT-FOUND"), RunNotFound, "RUN-NOT-FOUND"),
        (refusal(401, "UnrecognizedClientException"), AccessRefused, "SERVER-ACCESS"),
        (refusal(403, "CODE-NOT-ALLOWED", "ask"), AccessRefused, "CODE-NOT-ALLOWED"),
        (refusal(409, "DOCUMENT-MISSING"), ServerRefused, "DOCUMENT-MISSING"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\n<html", ServerRefused, "SERVER-REFUSED"),
    ],
)
def test_refusals(opened: list[ServerClient | Scripted], answer: bytes, kind: type[Exception], code: str) -> None:
    client, _ = pair(opened, answer)
    with pytest.raises(kind) as caught:
        client.request("GET", "/v1/runs")
    assert caught.value.code == code  # type: ignore[attr-defined]  # each of them is a SkyliftError


def test_paths_and_queries_are_quoted_and_signed(opened: list[ServerClient | Scripted]) -> None:
    server = Scripted(OK)
    signer = signer_of({"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"})
    client = ServerClient(f"{server.url}/base/", signer)
    opened += [client, server]
    client.request("GET", "/v1/runs/näme x", query={"a": "b&c", "none": None})
    head, *lines = server.requests[0].decode().split("\r\n")
    assert head == "GET /base/v1/runs/n%C3%A4me%20x?a=b%26c HTTP/1.1"
    authorization = next(line.partition(": ")[2] for line in lines if line.lower().startswith("authorization:"))
    signed = parse_authorization(authorization)
    assert (signed.key_id, signed.scope.region, signed.scope.service) == ("AKIA", "eu-west-1", "states")


def test_keys_of_the_environment() -> None:
    both = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "SKYLIFT_ACCESS_KEY_ID": "c",
        "SKYLIFT_SECRET_ACCESS_KEY": "d",
    }
    chosen = signer_of(both)
    assert chosen is not None
    assert "Credential=c/" in chosen.sign("GET", "/", {"host": "h"}, b"")["Authorization"]
    assert signer_of({}) is None
    with pytest.raises(SetupError, match="AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not"):
        signer_of({"AWS_SECRET_ACCESS_KEY": "b"})


def test_a_body_that_is_refused_before_it_is_read(opened: list[ServerClient | Scripted]) -> None:
    too_long = refusal(413, "TOO-LONG")
    client, server = pair(opened, too_long)
    with pytest.raises(ServerRefused, match="said TOO-LONG"):
        client.request("PUT", "/v1/documents/x", body=b"x" * 10_000_000)
    assert len(server.requests) == 1
