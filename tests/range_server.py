"""A web server of this process that gives ranges, and breaks as a test tells it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Fault:
    """How one request goes wrong: a status instead of the bytes, or the connection cut after some of them."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    flip: int | None = None
    """The byte of the source that is sent wrong."""
    shift: int = 0
    """So much further on lies what is sent, and what the answer says of itself."""


@dataclass
class RangeServer:
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    """Path, start, end of each request that came."""
    fault: Callable[[str, int, int], Fault | None] = lambda path, start, end: None
    ranges: bool = True
    tags: bool = True
    lengths: bool = True
    says: dict[str, str] = field(default_factory=dict)
    """Headers of each answer that has bytes."""

    def put(self, name: str, data: bytes) -> str:
        self.files["/" + name] = data
        return f"{self.url}/{name}"


@contextmanager
def range_server() -> Iterator[RangeServer]:
    state = RangeServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            data = state.files.get(path)
            if data is None:
                self.send_error(404)
                return
            start, end, status = 0, len(data), 200
            wanted = self.headers.get("Range", "")
            if state.ranges and wanted.startswith("bytes="):
                first, _, last = wanted[6:].partition("-")
                start, end, status = int(first), min(int(last) + 1, len(data)), 206
                if start >= len(data):
                    self.send_error(416)
                    return
            state.asked.append((path, start, end))
            fault = state.fault(path, start, end) or Fault()
            if fault.status is not None:
                self.send_response(fault.status)
                for name, value in fault.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._send(data, start + fault.shift, end + fault.shift, status, fault)

        def _send(self, data: bytes, start: int, end: int, status: int, fault: Fault) -> None:
            self.send_response(status)
            if state.tags:
                self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
            for name, value in state.says.items():
                self.send_header(name, value)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
            if state.lengths:
                self.send_header("Content-Length", str(end - start))
            self.end_headers()
            part = bytearray(data[start:end])
            if fault.flip is not None and start <= fault.flip < end:
                part[fault.flip - start] ^= 1
            self.wfile.write(part if fault.cut_after is None else part[: fault.cut_after])
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
