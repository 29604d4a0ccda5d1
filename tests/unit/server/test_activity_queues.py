"""Workers that wait for tasks: in order, and no task goes with a worker that has left."""

import asyncio
import threading
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import pytest

from skylift.errors import JournalUnavailable
from skylift.ports.journal import Batch, OfferedTask
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.stepfunctions import activity_queues
from skylift.server.stepfunctions.activity_queues import ActivityQueues


class Offers:
    """As much of a journal as is asked for; `gate` holds a take back once it has its task."""

    def __init__(self) -> None:
        self.offers: deque[OfferedTask] = deque()
        self.gate = threading.Event()
        self.gate.set()
        self.taking = threading.Event()
        self.failures = 0

    def take(self, queue: str, worker: str | None) -> OfferedTask | None:
        offer = self.offers.popleft() if self.offers else None
        if offer is not None:
            self.taking.set()
            assert self.gate.wait(60)
        return offer

    def commit(self, batch: Batch) -> None:
        if self.failures:
            self.failures -= 1
            raise JournalUnavailable("busy")
        self.offers.extend(batch.offered)


def offer(number: int) -> OfferedTask:
    return OfferedTask(queue="q", token=f"r:{number}-1", run_id="r", input=str(number), offered_ms=0)


def queues(journal: Offers) -> ActivityQueues:
    context = SimpleNamespace(
        journal=journal,
        blocking=asyncio.to_thread,
        draining=asyncio.Event(),
        engine=SimpleNamespace(engine=SimpleNamespace(owner="me")),
    )
    return ActivityQueues(cast(ServerContext, context))


def run(scenario: Any) -> None:
    asyncio.run(asyncio.wait_for(scenario, 90))


def test_who_has_waited_longest_gets_the_task() -> None:
    async def scenario() -> None:
        journal = Offers()
        waiting = queues(journal)
        workers = [asyncio.ensure_future(waiting.next("q", str(number))) for number in range(3)]
        await asyncio.sleep(0)
        journal.offers.extend([offer(0), offer(1), offer(2)])
        assert [cast(OfferedTask, await worker).input for worker in workers] == ["0", "1", "2"]

    run(scenario())


def test_nothing_comes_when_there_is_nothing() -> None:
    async def scenario() -> None:
        waiting = queues(Offers())
        assert await waiting.next("q", None, hold_s=0.05) is None

    run(scenario())


@pytest.mark.parametrize("others", [0, 1])
def test_a_task_that_is_being_taken_for_a_worker_who_leaves_is_not_lost(others: int) -> None:
    async def scenario() -> None:
        journal = Offers()
        waiting = queues(journal)
        journal.gate.clear()
        journal.offers.append(offer(7))
        leaver = asyncio.ensure_future(waiting.next("q", "leaver"))
        stayers = [asyncio.ensure_future(waiting.next("q", "stayer")) for _ in range(others)]
        await asyncio.to_thread(journal.taking.wait, 10)
        leaver.cancel()
        await asyncio.wait((leaver,))
        journal.gate.set()
        later = stayers or [asyncio.ensure_future(waiting.next("q", "later"))]
        assert await later[0] == offer(7)

    run(scenario())


@pytest.mark.parametrize("failures", [0, 3])
def test_a_worker_who_leaves_with_the_task_in_hand_gives_it_back(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_queues, "AGAIN_S", 0.001)

    async def scenario() -> None:
        journal = Offers()
        journal.failures = failures
        waiting = queues(journal)
        journal.offers.append(offer(7))
        leaver = asyncio.ensure_future(waiting.next("q", "leaver"))
        handed = waiting._waiting
        while "q" not in handed:
            await asyncio.sleep(0)
        handed["q"][0].future.add_done_callback(lambda _: leaver.cancel())
        with pytest.raises(asyncio.CancelledError):
            await leaver
        assert await waiting.next("q", "next") == offer(7)

    run(scenario())


def test_an_ending_server_lets_its_workers_go() -> None:
    async def scenario() -> None:
        waiting = queues(Offers())
        worker = asyncio.ensure_future(waiting.next("q", None))
        await asyncio.sleep(0.01)
        waiting._context.draining.set()
        assert await worker is None

    run(scenario())


def test_there_is_room_for_so_many_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(activity_queues, "MOST_WORKERS", 2)
        waiting = queues(Offers())
        workers = [asyncio.ensure_future(waiting.next("q", None, hold_s=0.05)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match="ActivityWorkerLimitExceeded"):
            await waiting.next("q", None)
        assert await asyncio.gather(*workers) == [None, None]

    run(scenario())
