"""A server to be attacked in the tests' own process, and what of it must be as it was before."""

from __future__ import annotations

import ctypes
import gc
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from server_harness import RunningServer, until

LONGEST_S = 20.0
"""Any answer comes within this time."""


class Target(RunningServer):
    """With raw requests."""

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None and parts.port is not None
        return parts.hostname, parts.port

    @contextmanager
    def connected(self, timeout_s: float = LONGEST_S) -> Iterator[socket.socket]:
        with socket.create_connection(self.address, timeout=timeout_s) as client:
            yield client

    def send(self, data: bytes) -> bytes:
        """All that is answered to these bytes, after which nothing more is sent."""
        answer = b""
        with self.connected() as client:
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while piece := client.recv(65536):
                    answer += piece
            except (ConnectionResetError, BrokenPipeError):
                pass
        return answer

    def post(self, action: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=LONGEST_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", "/", body, {"X-Amz-Target": f"AWSStepFunctions.{action}", **named})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def ask(self, action: str, request: Any) -> tuple[int, dict[str, Any]]:
        """Status and body of a JSON answer of the protocol's shape."""
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        status, headers, text = self.post(action, body)
        answer = json.loads(text)
        assert status in (200, 400, 413), (action, request, status, answer)
        assert headers["x-amzn-requestid"]
        assert isinstance(answer, dict)
        if status != 200:
            assert answer["__type"] == headers["x-amzn-errortype"]
            assert answer["message"]
        return status, answer

    def healthy(self) -> None:
        connection = http.client.HTTPConnection(*self.address, timeout=LONGEST_S)
        try:
            connection.request("GET", "/health/ready")
            assert connection.getresponse().status == 200
        finally:
            connection.close()


@contextmanager
def target(home: Path, **settings: Any) -> Iterator[Target]:
    with Target(home, **settings) as server:
        yield server


class Held:
    """What this process holds."""

    def __init__(self) -> None:
        gc.collect()
        _give_back_freed_memory()
        process = psutil.Process()
        self.files = process.num_fds()
        self.threads = threading.active_count()
        self.memory = process.memory_info().rss
        self.children = len(process.children())


def _give_back_freed_memory() -> None:
    """What was freed after a peak is not held, though glibc keeps it for the next one."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def nothing_leaks(*, files: int = 15, threads: int = 20, memory: int = 120 * 1024 * 1024) -> Iterator[None]:
    """After the block the process holds about what it held before, at the latest some seconds later."""
    before = Held()
    yield
    deadline = time.monotonic() + 60
    while True:
        now = Held()
        if now.files <= before.files + files and now.threads <= before.threads + threads:
            break
        assert time.monotonic() < deadline, (vars(before), vars(now))
        time.sleep(0.1)
    assert now.memory <= before.memory + memory, (vars(before), vars(now))


def settled(server: Target, execution: str, within_s: float = 60) -> dict[str, Any]:
    """The description of an execution that has ended."""

    def look() -> dict[str, Any] | None:
        status, found = server.ask("DescribeExecution", {"executionArn": execution})
        assert status == 200
        return found if found["status"] != "RUNNING" else None

    found: dict[str, Any] = until(look, within_s)
    return found
