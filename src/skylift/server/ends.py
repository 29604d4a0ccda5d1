"""Requests that wait for the end of runs: no thread is held, and the engine is asked once for each run."""

from __future__ import annotations

import asyncio

from skylift.asl.status import ENDED
from skylift.engine.reply import Reply
from skylift.ports.journal import RunRecord
from skylift.server.context import ServerContext


class Ends:
    """Belongs to one event loop."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._ended: dict[str, asyncio.Event] = {}

    async def wait(self, record: RunRecord, timeout_s: float) -> RunRecord:
        """The run's record when it has ended, or as it is after that time or when the server is asked to end."""
        if record.status not in ENDED and timeout_s > 0:
            await self._first(self._event(record.run_id), self._context.draining, timeout_s)
        return await self._context.blocking(self._context.journal.run, record.run_id) or record

    async def _first(self, ended: asyncio.Event, draining: asyncio.Event, timeout_s: float) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (ended, draining)]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _event(self, run_id: str) -> asyncio.Event:
        """Set when the run has ended, or when the engine cannot say."""
        known = self._ended.get(run_id)
        if known is None:
            known = self._ended[run_id] = asyncio.Event()
            loop = asyncio.get_running_loop()

            def told(_: Reply[RunRecord]) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._set, run_id)

            self._context.engine.watch(run_id).then(told)
        return known

    def _set(self, run_id: str) -> None:
        event = self._ended.pop(run_id, None)
        if event is not None:
            event.set()
