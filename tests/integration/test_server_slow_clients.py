"""Clients that send slowly, read slowly, or too much: they lose their connection, and nobody else waits for them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

pytest.importorskip("boto3")
pytest.importorskip("uvicorn")
from server_harness import until

from skylift.server.connection import HEAD_BYTES
from skylift.server.serve import Server
from skylift.testing.server import running_server

SHORT_S = 0.3
HEAD = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"X-Amz-Target: AWSStepFunctions.ListActivities\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"head_seconds": SHORT_S, "body_seconds": SHORT_S, "idle_seconds": SHORT_S}
    with running_server(tmp_path_factory.mktemp("slow"), **settings) as server:
        yield server


@contextmanager
def connected(server: Server, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    parts = urlsplit(server.url)
    with socket.socket() as client:
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(60)
        client.connect((parts.hostname, parts.port))
        yield client


def rest(client: socket.socket) -> bytes:
    """All that comes until the server closes; fails if nothing comes for a minute."""
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except (ConnectionResetError, BrokenPipeError):
        pass
    return data


def drip(client: socket.socket, data: bytes, most_s: float = 60) -> float:
    """Send a byte every 20 ms until the server has had enough; how long that took."""
    began = time.monotonic()
    try:
        for number in range(len(data)):
            client.sendall(data[number : number + 1])
            if time.monotonic() - began > most_s:
                break
            time.sleep(0.02)
    except (ConnectionResetError, BrokenPipeError):
        pass
    return time.monotonic() - began


def answers(server: Server) -> bool:
    try:
        return requests.get(server.url + "/health/live", timeout=60).status_code == 200
    except requests.ConnectionError:
        return False


def test_a_head_that_does_not_come(server: Server) -> None:
    with connected(server) as client:
        client.sendall(HEAD)
        assert rest(client).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_drips_in(server: Server) -> None:
    """Each byte is something new: what counts is when it is complete."""
    with connected(server) as client:
        assert drip(client, HEAD + b"X: " + b"a" * 10_000) < 20


def test_blank_lines_are_no_request(server: Server) -> None:
    with connected(server) as client:
        assert drip(client, b"\r\n" * 10_000) < 20


def test_nothing_at_all(server: Server) -> None:
    with connected(server) as client:
        rest(client)


def test_a_body_that_does_not_come(server: Server) -> None:
    with connected(server) as client:
        client.sendall(HEAD + b"Content-Length: 10\r\n\r\n{")
        assert b" 408 " in rest(client).partition(b"\r\n")[0]


def test_a_body_that_drips_in(server: Server) -> None:
    with connected(server) as client:
        client.sendall(HEAD + b"Content-Length: 10000\r\n\r\n")
        assert drip(client, b" " * 10_000) < 20
        assert b" 408 " in rest(client).partition(b"\r\n")[0]


def test_a_head_that_is_too_long(server: Server) -> None:
    with connected(server) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.sendall(HEAD + b"X: ")
            for _ in range(1000):
                client.sendall(b"a" * HEAD_BYTES)
        rest(client)


@pytest.mark.parametrize("framing", [b"Content-Length: 100000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_that_is_too_long(server: Server, framing: bytes) -> None:
    with connected(server) as client:
        client.sendall(HEAD + framing)
        try:
            for _ in range(1600):
                client.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n" if b"chunked" in framing else b" " * 65536)
        except (ConnectionResetError, BrokenPipeError):
            return  # refused in the middle, as it should be; whether the answer still came through is the network's
    raise AssertionError("100 MB were taken")


def test_who_does_not_take_the_answer_is_cut_off(server: Server) -> None:
    """Answers that nobody reads must not pile up."""
    target = HEAD.replace(b"ListActivities", b"X" * 50_000) + b"Content-Length: 2\r\n\r\n{}"
    with connected(server, receive_buffer=4096) as client:
        began = time.monotonic()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while time.monotonic() - began < 60:
                client.sendall(target)


def test_an_idle_connection_is_closed(server: Server) -> None:
    with connected(server) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        began = time.monotonic()
        assert rest(client).startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - began < 30


def test_nobody_waits_for_slow_ones(tmp_path: Path) -> None:
    with running_server(tmp_path, body_seconds=60) as server, ExitStack() as stack:
        for _ in range(100):
            client = stack.enter_context(connected(server))
            client.sendall(HEAD + b"Content-Length: 10\r\n\r\n{")
        began = time.monotonic()
        answer = requests.get(server.url + "/health/ready", timeout=30)
        assert answer.status_code == 200
        assert time.monotonic() - began < 20, "they are held for a minute"


def test_connections_are_counted(tmp_path: Path) -> None:
    with running_server(tmp_path, connections=5) as server, ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connected(server)).sendall(HEAD)
        with connected(server) as one_too_many:
            assert rest(one_too_many).startswith(b"HTTP/1.1 503 ")
        stack.close()
        until(lambda: answers(server))  # it hears of their end a little later


def test_what_is_no_http_is_refused(server: Server) -> None:
    with connected(server) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")
        assert rest(client).startswith(b"HTTP/1.1 400 ")
