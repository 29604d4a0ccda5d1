"""A client of the JSON protocol as real ones are: keeps its connection, and asks again elsewhere when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_HEAD = (
    "POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Amz-Target: AWSStepFunctions.{action}\r\n"
    "Content-Type: application/x-amz-json-1.0\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=faults/20260101/us-east-1/states/aws4_request, "
    "SignedHeaders=host, Signature=none\r\nContent-Length: {length}\r\n\r\n"
)
ANSWER_S = 75.0
"""Longer than the longest poll."""
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4)


class Unanswered(Exception):
    """Nobody knows whether the request was carried out."""


class Refused(Exception):
    """The server's answer was an error that asking again does not mend."""

    def __init__(self, action: str, status: int, body: dict[str, Any]) -> None:
        self.code = str(body.get("__type", "")).rpartition("#")[2]
        super().__init__(f"{action}: {status} {self.code}: {body.get('message')}")
        self.status = status


@dataclass(slots=True)
class Traffic:
    """What all clients saw together."""

    began_s: float = field(default_factory=time.monotonic)
    answers: Counter[str] = field(default_factory=Counter)
    """By action, 200 only."""
    refusals: Counter[str] = field(default_factory=Counter)
    unavailable: int = 0
    broken: int = 0
    left: int = 0
    """Requests whose client went away before the answer."""
    per_second: Counter[int] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    """Answers that no client should ever get."""
    last_unavailable_s: float = 0.0

    def answered(self, action: str, took_s: float) -> None:
        self.answers[action] += 1
        if action != "GetActivityTask":
            self.per_second[int(time.monotonic() - self.began_s)] += 1
            self.slowest[action] = max(took_s, self.slowest.get(action, 0.0))


class Connection:
    """One request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def call(self, action: str, body: bytes, *, leave: bool = False) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer. Raises Unanswered; with `leave` always, once the request is sent."""
        try:
            async with asyncio.timeout(ANSWER_S):
                if self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                self._writer.write(_HEAD.format(port=self._port, action=action, length=len(body)).encode() + body)
                if leave:
                    await self._writer.drain()
                    raise Unanswered("left")
                return await self._read()
        except (OSError, EOFError, asyncio.IncompleteReadError) as problem:
            self.close()
            raise Unanswered(repr(problem)) from problem
        except BaseException:
            self.close()
            raise

    async def _read(self) -> tuple[int, dict[str, Any]]:
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await self._reader.readexactly(int(fields["content-length"]))
        if fields.get("connection", "").lower() == "close":
            self.close()
        return int(lines[0].split(" ", 2)[1]), json.loads(body)

    def close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.transport.abort()
        self._reader = self._writer = None


class Client:
    """Asks until there is an answer, of whichever server has one."""

    def __init__(self, ports: list[int], rng: random.Random, traffic: Traffic, *, leaving: float = 0.0) -> None:
        """`leaving`: which part of the requests loses its connection before the answer."""
        self._ports, self.rng, self._traffic, self._leaving = ports, rng, traffic, leaving
        self._connection: Connection | None = None

    async def call(self, action: str, **request: Any) -> dict[str, Any]:
        """The answer. Raises Refused."""
        body = json.dumps(request).encode()
        tries = 0
        while True:
            began = time.monotonic()
            answer = await self._try(action, body)
            if answer is None:
                await asyncio.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)] * self.rng.uniform(0.5, 1.5))
                tries += 1
                continue
            status, content = answer
            if status == 200:
                self._traffic.answered(action, time.monotonic() - began)
                return content
            problem = Refused(action, status, content)
            self._traffic.refusals[problem.code] += 1
            if status >= 500:
                self._traffic.failures.append(str(problem))
            raise problem

    async def _try(self, action: str, body: bytes) -> tuple[int, dict[str, Any]] | None:
        if self._connection is None or self.rng.random() < 0.02:
            self.close()
            self._connection = Connection(self.rng.choice(self._ports))
        leave = self.rng.random() < self._leaving
        try:
            status, content = await self._connection.call(action, body, leave=leave)
        except Unanswered:
            self._traffic.left += leave
            self._traffic.broken += not leave
            self._connection = None
            return None
        except TimeoutError:
            self._traffic.failures.append(f"{action}: no answer within {ANSWER_S:.0f} s")
            self._connection = None
            return None
        if status == 503:
            self._traffic.unavailable += 1
            self._traffic.last_unavailable_s = time.monotonic()
            self.close()
            return None
        return status, content

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
