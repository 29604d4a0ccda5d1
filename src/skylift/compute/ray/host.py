"""The actor that runs attempts: it holds what Ray reserved for them, and tells the supervisor how they ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from typing import Any

import msgspec

from skylift.asl.events import Usage
from skylift.compute.gangs import free_port
from skylift.compute.ray.place import Place, RemoteLogs, blindness, sees_engine
from skylift.compute.ray.shape import Shape
from skylift.compute.ray.wire import Began, HostConfig, Wrote, decode, encode, pack_outcome, unpack_call
from skylift.ports.compute import Outcome, Submitted, TaskCall

_PUMP_S = 0.3
_GATHER_S = 0.006
"""While there is more to do, a message waits so long for company: sending one costs as much as many short tasks."""


class Host:
    """One place. Its methods are called by one supervisor, whose end is its own."""

    def __init__(self, config: bytes, shape: bytes, name: str) -> None:
        self._config: HostConfig = decode(config, HostConfig)
        self._shape: Shape = decode(shape, Shape)
        self._name = name
        self._given: dict[str, float] = {}
        self._outbox: list[bytes] = []
        self._lock = threading.Lock()
        self._news = asyncio.Event()
        self._supervisor: Any = None
        self._place: Place | None = None
        self._logs: RemoteLogs | None = None

    async def begin(self, supervisor: Any) -> bytes:
        """Once, before anything else."""
        import ray

        here = ray.get_runtime_context()
        self._supervisor = supervisor
        self._loop = asyncio.get_running_loop()
        problem = await self._loop.run_in_executor(None, blindness, self._config)
        if problem is None:
            self._worker = f"{here.get_node_id()[:12]}/{self._name}"
            self._place = Place(self._config, self._shape, self._report, self._worker)
            if self._shape.environment is None:
                self._place.warm()
            self._logs = None if sees_engine(self._config) else RemoteLogs(self._wrote)
            self._sending = [asyncio.ensure_future(self._send())]
            if self._logs is not None:
                self._sending.append(asyncio.ensure_future(self._pump()))
        return encode(Began(here.get_node_id(), ray.util.get_node_ip_address(), problem))

    async def give(self, bodies: list[bytes]) -> None:
        calls = [self._begin_log(unpack_call(body)) for body in bodies]
        now = time.time() * 1000
        self._given.update((call.token, now) for call in calls)
        self._made.give(calls)

    async def give_back(self) -> list[str]:
        tokens = self._made.give_back()
        for token in tokens:
            self._given.pop(token, None)
        return tokens

    async def cancel(self, tokens: list[str]) -> None:
        self._made.cancel(tokens)

    async def free_port(self) -> int:
        """Of this machine, for the rendezvous of a gang."""
        return free_port("")

    async def watch(self) -> None:
        """Never ends while this process lives: so that its death is noticed."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        if self._place is not None:
            await self._loop.run_in_executor(None, self._place.close)
        if self._logs is not None:
            self._logs.close()

    @property
    def _made(self) -> Place:
        assert self._place is not None
        return self._place

    # Reports ----------------------------------------------------------------------------------------------------

    def _report(self, token: str, outcome: Outcome | Submitted) -> None:
        """From the place's thread."""
        assert not isinstance(outcome, Submitted)
        if self._logs is not None:
            self._logs.end(token)
        usage = getattr(outcome, "usage", None)
        if usage is not None:
            outcome = msgspec.structs.replace(outcome, usage=self._completed(token, usage))
        self._given.pop(token, None)
        self._tell(pack_outcome(token, outcome))

    def _completed(self, token: str, usage: Usage) -> Usage:
        given_ms = self._given.get(token)
        startup_ms = None
        if given_ms is not None and usage.started_ms is not None:
            startup_ms = round(max(0.0, usage.started_ms - given_ms), 3)
        return msgspec.structs.replace(
            usage,
            worker=self._worker,
            startup_ms=startup_ms,
            vcpus=self._shape.cpus,
            memory_mib=self._shape.memory_mib,
            service="process",
        )

    def _begin_log(self, call: TaskCall) -> TaskCall:
        return call if self._logs is None else self._logs.begin(call)

    def _wrote(self, token: str, path: str, data: bytes) -> None:
        self._tell(encode(Wrote(token, path, data)))

    def _tell(self, event: bytes) -> None:
        with self._lock:
            self._outbox.append(event)
            first = len(self._outbox) == 1
        if first:
            self._loop.call_soon_threadsafe(self._news.set)

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            if self._given:
                await asyncio.sleep(_GATHER_S)
            self._news.clear()
            with self._lock:
                batch, self._outbox = self._outbox, []
            try:
                await self._supervisor.took.remote(self._name, batch)
            except Exception:  # noqa: BLE001  # it is gone: nobody waits for what is done here
                self._leave()

    def _leave(self) -> None:
        with contextlib.suppress(Exception):
            self._made.close()
        os._exit(1)

    async def _pump(self) -> None:
        assert self._logs is not None
        while True:
            await asyncio.sleep(_PUMP_S)
            self._logs.pump()
