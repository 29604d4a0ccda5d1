"""The bridge process, seen from the engine: questions, answers and news."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any

from skylift.compute.ray.wire import LENGTH, BridgeConfig, Down, Standing, Up, decode, framed
from skylift.errors import SetupError

_CONNECT_S = 120.0
_LAST_WORDS = 1_500


class LinkLost(Exception):
    """The bridge, the supervisor or the cluster is gone."""


class Link:
    """Thread-safe. Connecting takes seconds: it is done by whoever makes the link."""

    def __init__(
        self,
        config: BridgeConfig,
        environment: Mapping[str, str],
        *,
        events: Callable[[bytes], None],
        gone: Callable[[Link, str], None],
        note: Callable[[str], None],
    ) -> None:
        """Raises SetupError where the cluster cannot be reached or used. `gone` is told once, by a thread of the link,
        when a link that was up has ended by itself."""
        self._events, self._gone, self._note = events, gone, note
        self._lock = threading.Lock()
        self._answers: dict[int, Answer] = {}
        self._number = 0
        self._closed = False
        self._up = Answer()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process that writes to it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "skylift.compute.ray.bridge"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env=dict(environment),
            start_new_session=True,
        )
        self._write(framed(config))
        self._reader = threading.Thread(target=self._read, name="skylift-ray-link", daemon=True)
        self._reader.start()
        try:
            self.standing: Standing = decode(self._up.wait(_CONNECT_S), Standing)
        except LinkLost as problem:
            self.close()
            raise SetupError(
                f"the Ray cluster at {config.address} cannot be used: {problem}",
                hint="see the guide to Ray for what a cluster must have",
                code="RAY",
            ) from None

    def ask(self, method: str, body: bytes = b"", *, timeout: float = 30.0) -> bytes:
        """Raises LinkLost when there is no answer."""
        return self.start(method, body).wait(timeout)

    def start(self, method: str, body: bytes = b"") -> Answer:
        """Questions reach the supervisor in the order in which they were asked."""
        answer = Answer()
        with self._lock:
            if self._closed:
                raise LinkLost("the connection is closed")
            self._number += 1
            self._answers[self._number] = answer
            data = framed(Down(self._number, method, body))
            try:
                self._write(data)
            except OSError as problem:
                raise LinkLost(str(problem)) from None
        return answer

    def close(self) -> None:
        with self._lock:
            self._closed = True
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def kill(self) -> None:
        """As the death of the engine would: nothing is told."""
        with self._lock:
            self._closed = True
        self._process.kill()
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def _stdin(self) -> Any:
        assert self._process.stdin is not None
        return self._process.stdin

    def _write(self, data: bytes) -> None:
        self._stdin.write(data)
        self._stdin.flush()

    def _read(self) -> None:
        reason = ""
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            while len(head := stream.read(LENGTH.size)) == LENGTH.size:
                up: Up = decode(stream.read(LENGTH.unpack(head)[0]), Up)
                reason = self._take(up) or reason
        self._process.wait()
        self._ended(reason or f"the bridge to Ray ended with status {self._process.returncode}: {self._last_words()}")

    def _take(self, up: Up) -> str | None:
        """Why it is about to end, if it says so."""
        if up.kind == "events":
            self._events(up.body)
        elif up.kind == "up":
            self._up.give(up.body)
        elif up.kind == "note":
            self._note(up.body.decode())
        elif up.kind in ("refused", "gone"):
            return up.body.decode()
        else:
            with self._lock:
                answer = self._answers.pop(up.number, None)
            if answer is not None:
                answer.give(up.body) if up.kind == "answer" else answer.fail(up.body.decode())
        return None

    def _ended(self, reason: str) -> None:
        was_up = self._up.done
        self._up.fail(reason)
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._words.close()
        with self._lock:
            waiting, self._answers = list(self._answers.values()), {}
            closed, self._closed = self._closed, True
        for answer in waiting:
            answer.fail(reason)
        if was_up and not closed:
            self._gone(self, reason)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            size = os.fstat(self._words.fileno()).st_size
            said = os.pread(self._words.fileno(), _LAST_WORDS, max(0, size - _LAST_WORDS))
            return " ".join(said.decode(errors="replace").split())
        return ""


class Answer:
    """What a question will be answered."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._body: bytes | None = None
        self._problem = "no answer in time"

    @property
    def done(self) -> bool:
        return self._body is not None

    def give(self, body: bytes) -> None:
        self._body = body
        self._event.set()

    def fail(self, problem: str) -> None:
        if not self._event.is_set():
            self._problem = problem
            self._event.set()

    def wait(self, timeout: float) -> bytes:
        self._event.wait(timeout)
        if self._body is None:
            raise LinkLost(self._problem)
        return self._body
