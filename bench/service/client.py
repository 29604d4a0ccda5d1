"""A raw keep-alive client of the JSON protocol: what boto3 costs must not hide what a server costs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

HEAD = (
    "POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: AWSStepFunctions.{action}\r\n"
    "Content-Type: application/x-amz-json-1.0\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/states/aws4_request, "
    "SignedHeaders=host, Signature=none\r\nContent-Length: {length}\r\n\r\n"
)


class Refused(Exception):
    """The server answered with an error."""


class Connection:
    """One connection, one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._name = f"{host}:{port}"
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def call(self, action: str, body: bytes) -> Any:
        """The answer's JSON. Raises Refused."""
        head = HEAD.format(host=self._name, action=action, length=len(body)).encode()
        for again in (True, False):
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            try:
                self._writer.write(head + body)
                status, answer = await self._read()
                break
            except (ConnectionError, asyncio.IncompleteReadError):  # some servers end a connection after each answer
                self.close()
                if not again:
                    raise
        if status != 200:
            raise Refused(f"{action}: {status} {answer[:300]!r}")
        return json.loads(answer)

    async def _read(self) -> tuple[int, bytes]:
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await self._reader.readexactly(int(fields["content-length"]))
        if fields.get("connection", "").lower() == "close":
            self.close()
        return int(lines[0].split(" ", 2)[1]), body

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
