"""Many open executions on one server: what they take, and how long they lie when the server is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import tempfile
import time
from pathlib import Path

import fault_machines as machines
import uvloop
from fault_client import Client, Traffic
from fault_cluster import ServerProcess
from fault_owners import Ask, of_postgres, of_sqlite
from postgres import PostgresServer

AT_ONCE = 32
PATIENCE_S = 120.0
_KINDS = {
    "timers": {"W": {"Type": "Wait", "Seconds": 86_400, "End": True}},
    "tasks": {"T": {"Type": "Task", "Resource": machines.WORK, "TimeoutSeconds": 86_400, "End": True}},
}


def measure(store: str, count: int) -> str:
    """A line for people."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="skylift-open-")))
        url: str | None = None
        ask = of_sqlite(folder / "one" / "home" / "journal.db")
        if store == "postgresql":
            database = PostgresServer()
            stack.callback(database.close)
            database.start()
            url = database.url()
            ask = of_postgres(url)
        first = ServerProcess(folder / "one", url)
        stack.callback(first.end)
        second = ServerProcess(folder / "two", url) if url else first
        stack.callback(second.end)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_Open(store, count, first, second).run(ask))


class _Open:
    """`second` is another server of the same database, or the first one once more."""

    def __init__(self, store: str, count: int, first: ServerProcess, second: ServerProcess) -> None:
        self._store, self._count, self._first, self._second = store, count, first, second
        self._traffic = Traffic()

    async def run(self, ask: Ask) -> str:
        self._first.start()
        assert await self._first.ready(), self._first.tail()
        empty, _, _ = self._first.now()
        started_s = await self._start_all()
        await asyncio.sleep(2)
        full, _, _ = self._first.now()
        if self._second is not self._first:
            self._second.start()
            assert await self._second.ready(), self._second.tail()
        probe = asyncio.create_task(self._probe())
        dead = self._first.kill()
        killed = time.monotonic()
        if self._second is self._first:
            self._first.start()
            assert await self._first.ready(), self._first.tail()
        began, ended = await self._taken(ask, str(dead), killed)
        probe.cancel()
        await asyncio.sleep(2)
        after, _, _ = self._second.now()
        slowest = self._traffic.slowest.get("ListActivities", 0.0)
        answered = await self._answer_one()
        return (
            f"{self._store}: {self._count} executions, half of them timers, half tasks of an activity, started in "
            f"{started_s:.0f} s; {full:.0f} MiB (empty {empty:.0f}); killed: the first taken over after {began:.1f} s, "
            f"the last after {ended:.1f} s; {after:.0f} MiB there; a task was answered {answered:.2f} s later; "
            f"slowest start meanwhile {self._traffic.slowest.get('StartExecution', 0.0):.2f} s, look {slowest:.2f} s"
        )

    async def _start_all(self) -> float:
        client = self._client(self._first)
        await client.call("CreateActivity", name="work")
        for name, states in _KINDS.items():
            text = json.dumps({"StartAt": next(iter(states)), "States": states})
            await client.call("CreateStateMachine", name=name, definition=text, roleArn=machines.ROLE)
        numbers = iter(range(self._count))
        began = time.monotonic()

        async def some() -> None:
            own = self._client(self._first)
            for number in numbers:
                arn = machines.machine_arn(("timers", "tasks")[number % 2])
                await own.call("StartExecution", stateMachineArn=arn, name=f"e{number}", input='{"x": 1}')
            own.close()

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        self._traffic.slowest.clear()
        return time.monotonic() - began

    async def _probe(self) -> None:
        """A client of the server that takes over."""
        client = self._client(self._second)
        for number in range(1_000_000):
            await client.call(
                "StartExecution", stateMachineArn=machines.machine_arn("timers"), name=f"p{number}", input="{}"
            )
            await client.call("ListActivities")
            await asyncio.sleep(0.05)

    async def _taken(self, ask: Ask, dead: str, killed: float) -> tuple[float, float]:
        began = 0.0
        while time.monotonic() < killed + PATIENCE_S:
            counts = await asyncio.to_thread(ask)
            left = sum(count for owner, count in counts.items() if dead in owner.split("-"))
            if left < self._count and not began:
                began = time.monotonic() - killed
            if not left:
                return began, time.monotonic() - killed
            await asyncio.sleep(0.05)
        raise AssertionError(f"{left} executions are not taken over within {PATIENCE_S:.0f} s")

    async def _answer_one(self) -> float:
        """From taking a task until its execution has ended: it is really driven."""
        began = time.monotonic()
        client = self._client(self._second)
        task = await client.call("GetActivityTask", activityArn=machines.WORK)
        await client.call("SendTaskSuccess", taskToken=task["taskToken"], output="{}")
        arn = machines.machine_arn("tasks")
        while not (await client.call("ListExecutions", stateMachineArn=arn, statusFilter="SUCCEEDED"))["executions"]:
            assert time.monotonic() < began + 10, "an answered task does not end its execution"
            await asyncio.sleep(0.01)
        client.close()
        return time.monotonic() - began

    def _client(self, server: ServerProcess) -> Client:
        return Client([server.port], random.Random(1), self._traffic)
