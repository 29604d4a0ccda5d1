"""What every part of the server works with: one object, made when it starts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from skylift.config import ServerSettings
    from skylift.engine.reply import Reply
    from skylift.engine.thread import EngineThread
    from skylift.ports.blobs import BlobStore
    from skylift.ports.journal import Journal
    from skylift.ports.resources import ResourceStore
    from skylift.runtime import Runtime

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 16
"""For what blocks: the database, artifacts, replaying a history."""


class ServerContext:
    """The parts of a running server. Handlers are coroutines of one event loop and must not block it: what reads a
    store goes through `blocking`, what the engine answers through `reply`."""

    def __init__(self, runtime: Runtime, settings: ServerSettings) -> None:
        self.runtime = runtime
        self.settings = settings
        self.draining = asyncio.Event()
        """Set once the server is asked to end: long polls are answered empty now, and nothing long is begun."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="skylift-server")
        self._parts: dict[Any, Any] = {}

    def part(self, make: Callable[[ServerContext], T]) -> T:
        """What some module of the server keeps as long as the server runs: made on first use, by any thread."""
        if make not in self._parts:
            self._parts.setdefault(make, make(self))
        return cast(T, self._parts[make])

    @property
    def journal(self) -> Journal:
        return self.runtime.journal

    @property
    def resources(self) -> ResourceStore:
        return self.runtime.resources

    @property
    def blobs(self) -> BlobStore:
        return self.runtime.blobs

    @property
    def engine(self) -> EngineThread:
        return self.runtime.engine

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def waiting(self) -> int:
        """Calls of `blocking` that no thread has taken up yet."""
        return self._threads._work_queue.qsize()

    async def blocking(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what may block, on a thread of ours."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def reply(self, reply: Reply[T], timeout_s: float | None = None) -> T:
        """Await what the engine answers. Raises what it raises, and TimeoutError."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not done.done():
                done.set_result(None)

        def answered(_: Reply[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits, and the engine must go on
                loop.call_soon_threadsafe(tell)

        reply.then(answered)
        async with asyncio.timeout(timeout_s):
            await done
        return reply.wait(0)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
