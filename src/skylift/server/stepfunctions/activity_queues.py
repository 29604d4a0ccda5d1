"""Workers that wait for an activity's next task: long polls that hold no thread.

One coroutine asks the journal for each activity that somebody waits for; who has waited longest gets the task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque

from skylift.errors import SkyliftError
from skylift.ports.journal import Batch, OfferedTask
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError

HOLD_S = 60.0
"""How long a worker is held before it is told that there is nothing."""
LOOK_S = 0.025
"""How often the journal is asked, for each activity."""
LOOK_APART_S = 0.001
"""The least time between two looks at the journal, of all activities together."""
AGAIN_S = 1.0
"""After trouble with the journal."""
MOST_WORKERS = 1_000
"""Waiting for one activity, in this process."""

_log = logging.getLogger(__name__)


class _Waiter:
    __slots__ = ("future", "worker")

    def __init__(self, worker: str | None) -> None:
        self.future: asyncio.Future[OfferedTask] = asyncio.get_running_loop().create_future()
        self.worker = worker


class ActivityQueues:
    """All activities that somebody waits for in this process. Used on the event loop only."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._waiting: dict[str, deque[_Waiter]] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._giving: set[asyncio.Future[None]] = set()

    async def next(self, activity: str, worker: str | None, hold_s: float = HOLD_S) -> OfferedTask | None:
        """The next task, or None if there was none for so long. A task that comes when the worker has gone is
        offered again."""
        waiting = self._waiting.setdefault(activity, deque())
        if len(waiting) >= MOST_WORKERS:
            raise ApiError("ActivityWorkerLimitExceeded", f"Too many workers wait for '{activity}'")
        waiter = _Waiter(worker)
        waiting.append(waiter)
        if activity not in self._looking:
            self._looking[activity] = asyncio.create_task(self._look(activity))
        ending = asyncio.ensure_future(self._context.draining.wait())
        try:
            await asyncio.wait((waiter.future, ending), timeout=hold_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if waiter.future.done():
                await self._give_back(waiter.future.result())
            raise
        finally:
            ending.cancel()
            if not waiter.future.done():
                waiter.future.cancel()
                with contextlib.suppress(ValueError):
                    waiting.remove(waiter)
        return None if waiter.future.cancelled() else waiter.future.result()

    async def _look(self, activity: str) -> None:
        """Ask for tasks as long as somebody waits."""
        waiting = self._waiting[activity]
        try:
            while waiting:
                offer = await self._take(activity, waiting[0].worker)
                if offer is None:
                    await asyncio.sleep(max(LOOK_S, LOOK_APART_S * len(self._looking)))
                elif waiting:
                    waiting.popleft().future.set_result(offer)
                else:
                    await self._give_back(offer)
        finally:
            del self._looking[activity], self._waiting[activity]

    async def _take(self, activity: str, worker: str | None) -> OfferedTask | None:
        try:
            return await self._context.blocking(self._context.journal.take, activity, worker)
        except SkyliftError as problem:
            _log.warning("tasks of %s cannot be taken now: %s", activity, problem)
            await asyncio.sleep(AGAIN_S)
            return None

    async def _give_back(self, offer: OfferedTask) -> None:
        """Whoever waits for this may be cancelled, the giving back is not."""
        giving = asyncio.ensure_future(self._offer_again(offer))
        self._giving.add(giving)
        giving.add_done_callback(self._giving.discard)
        await asyncio.shield(giving)

    async def _offer_again(self, offer: OfferedTask) -> None:
        batch = Batch(owner=self._context.engine.engine.owner, offered=[offer])
        while True:
            try:
                await self._context.blocking(self._context.journal.commit, batch)
                return
            except SkyliftError as problem:
                _log.warning("a task of %s cannot be offered again yet: %s", offer.queue, problem)
                await asyncio.sleep(AGAIN_S)


def activity_queues(context: ServerContext) -> ActivityQueues:
    """For `ServerContext.part`."""
    return ActivityQueues(context)
