"""Who breaks things: a seeded order of faults, each soon after the last, every kind as often as its share says."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from fault_cluster import ServerProcess, Servers
from fault_owners import Owners
from fault_relay import Relay


class Database(Protocol):
    """A PostgreSQL server."""

    def start(self) -> None: ...
    def stop(self, mode: str = "fast") -> None: ...
    def kill(self) -> None: ...


class Gremlin:
    """`relays` are the ways of the servers to the database, in the servers' order; empty for SQLite.
    A fault comes every `pace_s` on average; a server is frozen or cut off for `longest_s` at most."""

    def __init__(
        self,
        servers: Servers,
        owners: Owners,
        seed: int,
        *,
        relays: list[Relay],
        database: Database | None,
        pace_s: float,
        longest_s: float,
    ) -> None:
        self._servers, self._owners, self._relays, self._database = servers, owners, relays, database
        self._rng = random.Random(f"{seed}/gremlin")
        self._pace_s, self._longest_s = pace_s, longest_s
        self._mending: set[asyncio.Task[None]] = set()
        self._busy: set[ServerProcess] = set()
        self._database_busy = False
        self.done: Counter[str] = Counter()
        self.times: list[tuple[float, str]] = []
        self.stopped = asyncio.Event()

    async def run(self, seconds: float) -> None:
        """Break things for so long, then mend everything."""
        deadline = time.monotonic() + seconds
        bag: list[str] = []
        try:
            while time.monotonic() < deadline:
                if not bag:
                    bag = self._bag()
                await self._do(bag.pop())
                await asyncio.sleep(self._rng.uniform(0.5, 1.5) * self._pace_s)
        finally:
            if self._mending:
                await asyncio.wait(self._mending)
            for task in self._mending:
                task.result()
            self.stopped.set()

    def _bag(self) -> list[str]:
        if self._database is None:
            bag = ["kill"] * 4 + ["freeze"]
        else:
            bag = ["kill"] * 6 + ["cut"] * 6 + ["block", "freeze", "restart database", "crash database"]
        self._rng.shuffle(bag)
        return bag

    async def _do(self, what: str) -> None:
        doing: dict[str, Callable[[], Coroutine[Any, Any, None] | None]] = {
            "kill": self._kill,
            "cut": self._cut,
            "block": self._block,
            "freeze": self._freeze,
            "restart database": lambda: self._away("fast"),
            "crash database": lambda: self._away("crash"),
        }
        mending = doing[what]()
        if mending is None:
            return  # nothing to break just now
        self.done[what] += 1
        self.times.append((time.monotonic(), what))
        task = asyncio.create_task(_only(mending))
        self._mending.add(task)

    def _whole(self) -> ServerProcess | None:
        whole = [server for server in self._servers.all if server.running and server not in self._busy]
        return self._rng.choice(whole) if whole else None

    # -- faults: what is to be done afterwards -------------------------------------------------------------------------

    def _kill(self) -> Coroutine[Any, Any, None] | None:
        server = self._whole()
        if server is None:
            return None
        self._busy.add(server)
        self._servers.down.add(server)
        self._owners.died(server.kill())
        return self._start_again(server, self._rng.uniform(0.2, 4.0) if len(self._servers.all) > 1 else 0.1)

    async def _start_again(self, server: ServerProcess, after_s: float) -> None:
        await asyncio.sleep(after_s)
        server.start()
        self._servers.down.discard(server)
        while not await server.ready():
            await asyncio.sleep(0.3)  # ended for want of a database: the supervisor starts it again
        self._busy.discard(server)

    def _freeze(self) -> Coroutine[Any, Any, None] | None:
        server = self._whole()
        if server is None:
            return None
        self._busy.add(server)
        server.freeze()
        return self._thaw(server, self._rng.uniform(1.0, self._longest_s) if self._relays else 2.0)

    async def _thaw(self, server: ServerProcess, after_s: float) -> None:
        await asyncio.sleep(after_s)
        server.thaw()
        self._busy.discard(server)

    def _cut(self) -> Coroutine[Any, Any, None]:
        for relay in self._rng.sample(self._relays, self._rng.randint(1, len(self._relays))):
            relay.cut(self._rng)
        return asyncio.sleep(0)

    def _block(self) -> Coroutine[Any, Any, None]:
        """One server is cut off from the database, perhaps for so long that the others think it dead."""
        relay = self._rng.choice(self._relays)
        relay.block()
        for_s = self._rng.uniform(1.0, self._longest_s)
        self._servers.be_lenient(for_s)
        return self._unblock(relay, for_s)

    async def _unblock(self, relay: Relay, after_s: float) -> None:
        await asyncio.sleep(after_s)
        relay.unblock()

    def _away(self, how: str) -> Coroutine[Any, Any, None] | None:
        if self._database_busy or self._database is None:
            return None
        self._database_busy = True
        self._servers.be_lenient(10)
        self._owners.disturb()
        return self._database_away(self._database, how, self._rng.uniform(0.0, 2.0))

    async def _database_away(self, database: Database, how: str, for_s: float) -> None:
        if how == "fast":
            await asyncio.to_thread(database.stop, "fast")
        else:
            await asyncio.to_thread(database.kill)
        await asyncio.sleep(for_s)
        database.start()  # by this thread, with which it lives and dies
        self._owners.disturb()
        self._database_busy = False


async def _only(mending: Awaitable[None]) -> None:
    await mending
