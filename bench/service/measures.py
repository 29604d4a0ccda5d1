"""What is measured of a server: latency and throughput in a closed loop, and memory of open executions."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from bench.service.client import Connection
from bench.service.definitions import Definition, waiting
from bench.service.servers import Server

ROLE = "arn:aws:iam::123456789012:role/bench"
FIRST_LOOK_S, LONGEST_LOOK_S = 0.0005, 0.05
"""How a client waits for the end: it asks at once, then after growing pauses. The same for every server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one definition at one concurrency."""

    definition: str
    concurrency: int
    executions: int
    seconds: float
    p50_ms: float
    p99_ms: float
    executions_per_s: float
    transitions_per_s: float


async def closed_loop(server: Server, definition: Definition, concurrency: int, seconds: float) -> Figures:
    """Each client starts an execution, waits for its SUCCEEDED, and starts the next, for so long."""
    arn = await _create(server, definition)
    starts = _starts(arn, definition)
    took: list[float] = []
    begun = time.perf_counter()
    deadline = begun + seconds
    await asyncio.gather(*(_client(server, starts, deadline, took) for _ in range(concurrency)))
    elapsed = time.perf_counter() - begun
    cuts = statistics.quantiles(took, n=100) if len(took) > 1 else took * 99
    return Figures(
        definition=definition.name,
        concurrency=concurrency,
        executions=len(took),
        seconds=elapsed,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        executions_per_s=len(took) / elapsed,
        transitions_per_s=len(took) * definition.transitions / elapsed,
    )


async def _client(server: Server, starts: Iterator[bytes], deadline: float, took: list[float]) -> None:
    connection = Connection("127.0.0.1", server.port)
    try:
        while time.perf_counter() < deadline:
            begun = time.perf_counter()
            answer = await connection.call("StartExecution", next(starts))
            await _until_succeeded(connection, answer["executionArn"])
            took.append(time.perf_counter() - begun)
    finally:
        connection.close()


async def _until_succeeded(connection: Connection, arn: str) -> None:
    asked = json.dumps({"executionArn": arn}).encode()
    pause = FIRST_LOOK_S
    while (status := (await connection.call("DescribeExecution", asked))["status"]) == "RUNNING":
        await asyncio.sleep(pause)
        pause = min(LONGEST_LOOK_S, pause * 1.5)
    if status != "SUCCEEDED":
        raise AssertionError(f"{arn} ended {status}")


async def open_executions(server: Server, count: int, concurrency: int = 32) -> float:
    """MiB that the server's process holds with so many executions waiting: half for a timer, half for a callback."""
    connection = Connection("127.0.0.1", server.port)
    await connection.call("CreateActivity", b'{"name": "bench"}')
    arn = await _create(server, waiting())
    bodies = iter(
        json.dumps({"stateMachineArn": arn, "name": f"e{n}", "input": _flag(n % 2 == 0)}).encode() for n in range(count)
    )

    async def start_them() -> None:
        own = Connection("127.0.0.1", server.port)
        for body in bodies:
            await own.call("StartExecution", body)
        own.close()

    await asyncio.gather(*(start_them() for _ in range(concurrency)))
    connection.close()
    await asyncio.sleep(1)
    return float(psutil.Process(server.pid).memory_info().rss) / 2**20


def _flag(timer: bool) -> str:
    return json.dumps({"timer": timer})


async def _create(server: Server, definition: Definition) -> str:
    connection = Connection("127.0.0.1", server.port)
    name = f"{definition.name}-{uuid.uuid4().hex[:8]}"
    request = {"name": name, "definition": definition.text, "roleArn": ROLE, "type": "STANDARD"}
    answer = await connection.call("CreateStateMachine", json.dumps(request).encode())
    connection.close()
    return str(answer["stateMachineArn"])


def _starts(arn: str, definition: Definition) -> Iterator[bytes]:
    """Requests, each with a name of its own: the peer wants one."""
    text = json.dumps(definition.input)
    begin = uuid.uuid4().hex[:8]
    for number in itertools.count():
        yield json.dumps({"stateMachineArn": arn, "name": f"{begin}-{number}", "input": text}).encode()
