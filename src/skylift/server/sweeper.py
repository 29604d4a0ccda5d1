"""Looks again and again for what has outlived its lease, and ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from skylift.compute.worker.solo_lease import SLEPT_S
from skylift.config.box import BoxSettings
from skylift.server.context import ServerContext
from skylift.server.observability.logs import Log
from skylift.sweeping import Swept

Sweep = Callable[[], Swept]


def keep_to_hours(settings: BoxSettings) -> Swept:
    """Starts a development box when its office hours begin. Stopping it is the sweep of leases."""
    from skylift.box.make import keeping_of

    keeping, now_ms = keeping_of(settings), time.time_ns() // 1_000_000
    if keeping.plan(now_ms)[1].wish == "start":
        keeping.apply(now_ms)
    return Swept()


def _apart() -> float:
    """Of the wall's clock and of the one that stands still while a machine sleeps."""
    return time.time() - time.monotonic()


class Sweeper:
    """`run` goes on until it is cancelled. Several servers of one store may do it: what one has ended is gone for the
    others."""

    def __init__(self, context: ServerContext, log: Log, sweeps: Mapping[str, Sweep], every_s: float) -> None:
        """`sweeps` by what they look at; each blocks. Nothing is swept where `every_s` is 0."""
        self._context = context
        self._log = log
        self._sweeps = dict(sweeps)
        self._every_s = every_s
        self._told: dict[str, set[str]] = {}

    async def run(self) -> None:
        while self._every_s:
            before = _apart()
            await asyncio.sleep(self._every_s)
            if _apart() - before > SLEPT_S:
                continue  # this machine slept, and its engines too: they renew their leases first
            for name, sweep in self._sweeps.items():
                await self._once(name, sweep)

    async def _once(self, name: str, sweep: Sweep) -> None:
        try:
            found = await self._context.blocking(sweep)
        except Exception as problem:  # noqa: BLE001  # the next one may succeed, and the server has more to do
            self._log.warning("sweep_failed", what=name, message=str(problem))
            return
        for one in found.over:
            self._log.info("lease_over", backend=one.backend, kind=one.kind, id=one.id, run=one.run_id, note=one.note)
        troubles = {f"{trouble.backend}: {trouble.problem}" for trouble in found.troubles}
        for told in sorted(troubles - self._told.get(name, set())):  # once, not every minute
            self._log.warning("sweep_trouble", what=name, message=told)
        self._told[name] = troubles
