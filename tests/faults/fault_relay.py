"""The way from one server to the database, which can be cut, blocked or frozen."""

from __future__ import annotations

import asyncio
import random
from typing import cast


class Relay:
    """A TCP proxy on a free port. Runs on the event loop."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._ways: set[_Way] = set()
        self.blocked = False
        """Are all connections ended, and new ones too?"""
        self.cuts = 0
        self.port = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Way(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self, rng: random.Random) -> int:
        """End some connections, in the middle of whatever they carry. How many."""
        ways = sorted(self._ways, key=lambda way: way.number)
        chosen = rng.sample(ways, rng.randint(1, len(ways))) if ways else []
        for way in chosen:
            way.end()
        self.cuts += len(chosen)
        return len(chosen)

    def block(self) -> None:
        self.blocked = True
        for way in list(self._ways):
            way.end()
            self.cuts += 1

    def unblock(self) -> None:
        self.blocked = False

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.block()


class _Way(asyncio.Protocol):
    """A connection of a client, and ours to the target."""

    _numbers = 0

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._client: asyncio.Transport | None = None
        self._server: asyncio.Transport | None = None
        self._early: list[bytes] = []
        _Way._numbers += 1
        self.number = _Way._numbers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = cast(asyncio.Transport, transport)
        if self._relay.blocked:
            self._client.abort()
            return
        self._relay._ways.add(self)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            made, _ = await loop.create_connection(lambda: _Back(self), "127.0.0.1", self._relay._target)
        except OSError:
            self.end()
            return
        if self._client is None or self._client.is_closing():
            made.abort()
            return
        self._server = made
        for data in self._early:
            made.write(data)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        if self._server is None:
            self._early.append(data)
        else:
            self._server.write(data)

    def answered(self, data: bytes) -> None:
        if self._client is not None:
            self._client.write(data)

    def connection_lost(self, problem: Exception | None) -> None:
        self.end()

    def end(self) -> None:
        self._relay._ways.discard(self)
        for one in (self._client, self._server):
            if one is not None:
                one.abort()


class _Back(asyncio.Protocol):
    """What the target sends."""

    def __init__(self, way: _Way) -> None:
        self._way = way

    def data_received(self, data: bytes) -> None:
        self._way.answered(data)

    def connection_lost(self, problem: Exception | None) -> None:
        self._way.end()
