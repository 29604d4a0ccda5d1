"""The processes that evaluate, and what each expression may take of them."""

from __future__ import annotations

import contextlib
import queue
import select
import signal
import subprocess
import sys
import threading
import time

import msgspec

from skylift.asl.jsonata.library import MOST_SECONDS, JsonataError, seconds_left, spend_seconds
from skylift.server.expressions.child import REPLY, REQUEST


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """For one expression."""

    seconds: float = 0.5
    """Of processor time: what else the machine does changes nothing."""
    memory: int = 512 * 1024 * 1024
    wall_seconds: float = 20.0
    """The last resort, where the machine does so much else that the processor time does not go by."""


class Evaluators:
    """Up to `most` processes, started when they are needed. Of any thread."""

    def __init__(self, most: int = 3, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(most):
            self._idle.put(None)
        self._children: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def carry(self, request: str) -> str:
        """The reply. Raises JsonataError where there is none."""
        seconds = min(self.bounds.seconds, seconds_left())
        if seconds <= 0:
            raise JsonataError(_too_long(MOST_SECONDS, "all expressions of this event"))
        child = self._idle.get()
        try:
            if self._closed or child is None:
                child = self._start()
            return child.ask(request.encode("utf-8", "surrogatepass"), seconds, self.bounds.wall_seconds)
        except BaseException:
            spend_seconds(seconds)
            if child is not None:
                self._forget(child)
                child = None
            raise
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """End them all, whatever they are doing."""
        with self._lock:
            self._closed = True
            children = list(self._children)
        for child in children:
            self._forget(child)

    def _start(self) -> _Child:
        with self._lock:
            if self._closed:
                raise JsonataError("D3013: The server is ending")
            child = _Child(self.bounds.memory)
            self._children.add(child)
            return child

    def _forget(self, child: _Child) -> None:
        child.end()
        with self._lock:
            self._children.discard(child)


class _Child:
    def __init__(self, memory: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "skylift.server.expressions.child", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._out, self._in = self._process.stdin, self._process.stdout

    def ask(self, request: bytes, seconds: float, wall_seconds: float) -> str:
        deadline = time.monotonic() + wall_seconds
        try:
            self._write(REQUEST.pack(seconds, len(request)) + request)
            spent, length = REPLY.unpack(self._read(REPLY.size, deadline))
            spend_seconds(spent)
            return self._read(length, deadline).decode("utf-8", "surrogatepass")
        except TimeoutError:
            raise JsonataError(_too_long(wall_seconds, "the expression")) from None
        except (EOFError, OSError, ValueError):
            raise JsonataError(self._why(seconds)) from None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._out, self._in):
            with contextlib.suppress(OSError):
                pipe.close()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._out.write(view) :]

    def _read(self, length: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < length:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            piece = self._in.read(length - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def _why(self, seconds: float) -> str:
        """What has ended it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process.wait(5) == -signal.SIGPROF:
                return _too_long(seconds, "the expression")
        return "D3012: the expression needs too much memory"


def _too_long(seconds: float, what: str) -> str:
    return f"D1012: {what} may take {seconds:.3g} seconds of processor time"
