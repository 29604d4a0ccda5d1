"""Load and faults together, on SQLite or PostgreSQL, and what is found in the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import fault_machines as machines
import uvloop
from fault_checks import Checks, history, shape_of
from fault_client import Traffic
from fault_cluster import ServerProcess, Servers
from fault_gremlin import Gremlin
from fault_ledger import Ledger
from fault_load import CLIENTS, ENDED, Load
from fault_owners import Ask, Owners, of_postgres, of_sqlite
from fault_relay import Relay
from postgres import PostgresServer

Store = Literal["sqlite", "postgresql"]
SERVERS = 3
SETTLE_S = 180.0
MOST_RSS_MIB = 500.0
SHOWN = 5
"""Executions whose whole history is printed."""


@dataclass(slots=True, kw_only=True)
class Plan:
    store: Store
    seconds: float
    seed: int
    pace_s: float = 3.0
    """Between two faults, on average."""
    folder: Path | None = None
    takeover_s: float = 10.0
    """The longest that open executions of a killed server may lie, where the database was there."""


@dataclass(slots=True)
class Report:
    plan: Plan
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    histories: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def text(self) -> str:
        verdict = f"{len(self.problems)} problems" if self.problems else "no problem"
        again = (
            f"python -m tests.faults --store {self.plan.store} --seconds {self.plan.seconds:g} --seed {self.plan.seed}"
        )
        return "\n".join([*self.lines, f"{verdict}; again: {again}", *self.problems[:40], *self.histories])


def run(plan: Plan) -> Report:
    """All of it; ends what it has started."""
    with contextlib.ExitStack() as stack:
        folder = plan.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="skylift-faults-")))
        database: PostgresServer | None = None
        if plan.store == "postgresql":
            database = PostgresServer()
            stack.callback(database.close)
            database.start()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_Campaign(plan, folder, database).run())


class _Campaign:
    def __init__(self, plan: Plan, folder: Path, database: PostgresServer | None) -> None:
        self._plan, self._folder, self._database = plan, folder, database
        self._report = Report(plan)
        self._ledger, self._traffic = Ledger(), Traffic()
        self._relays: list[Relay] = []

    async def run(self) -> Report:
        async with self._cluster() as (servers, owners):
            load = Load(servers.ports, self._plan.seed, self._ledger, self._traffic)
            await load.prepare()
            load.begin_workers()
            checks = Checks(load, await self._shapes(load))
            baseline = [server.now() for server in servers.all]
            gremlin = Gremlin(
                servers, owners, self._plan.seed,
                relays=self._relays, database=self._database, pace_s=self._plan.pace_s,
                longest_s=min(10.0, max(2.0, self._plan.seconds / 4)),
            )  # fmt: skip
            load.begin()
            began = time.monotonic()
            await gremlin.run(self._plan.seconds)
            await servers.all_ready()
            mended = time.monotonic()
            await load.finish(SETTLE_S)
            await self._settle(load, mended)
            await load.end()
            loaded_s, settled_s = mended - began, time.monotonic() - mended
            await checks.all()
            self._tell(servers, owners, gremlin, checks, loaded_s, settled_s)
            await self._quiet(servers, baseline)
            await self._show(load)
            load.close()
        return self._report

    @contextlib.asynccontextmanager
    async def _cluster(self) -> AsyncIterator[tuple[Servers, Owners]]:
        servers = Servers([one async for one in self._servers()])
        owners = Owners(self._asked(servers))
        tasks: list[asyncio.Task[None]] = []
        try:
            await servers.start()
            tasks = [asyncio.create_task(servers.supervise()), asyncio.create_task(owners.watch())]
            yield servers, owners
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            ends = await asyncio.to_thread(servers.end)
            self._report.say(f"servers ended in {max(ends):.1f} s")
            if left := servers.left_over():
                self._report.problems.append(f"processes that outlived their servers: {left}")
            self._complain(servers)
            for relay in self._relays:
                relay.close()
            await asyncio.sleep(0.1)  # the loop still has to take leave of them

    async def _servers(self) -> AsyncIterator[ServerProcess]:
        if self._database is None:
            yield ServerProcess(self._folder / "server", None)
            return
        for number in range(SERVERS):
            relay = Relay(self._database.port)
            await relay.start()
            self._relays.append(relay)
            yield ServerProcess(
                self._folder / f"server{number}", f"postgresql://skylift@127.0.0.1:{relay.port}/postgres"
            )

    def _asked(self, servers: Servers) -> Ask:
        if self._database is not None:
            return of_postgres(self._database.url())
        return of_sqlite(servers.all[0].folder / "home" / "journal.db")

    # -- before and after ----------------------------------------------------------------------------------------------

    async def _shapes(self, load: Load) -> dict[tuple[str, str], Counter[str]]:
        """What happens in an execution of each kind while nothing is broken."""
        shapes: dict[tuple[str, str], Counter[str]] = {}

        async def one(kind: str, variant: str) -> None:
            client = load.client(f"shape {kind} {variant}")
            accepted = await load.run(client, machines.job(kind, variant, 1_000_000_000))
            if accepted is not None:
                while await load.describe(client, accepted) not in ENDED:
                    await asyncio.sleep(0.1)
                shapes[kind, variant] = shape_of(await history(client, accepted.arn))
            client.close()

        kinds = [(kind, variant) for kind, variants in machines.VARIANTS.items() for variant in variants]
        await asyncio.wait_for(asyncio.gather(*(one(*each) for each in kinds)), 240)
        return shapes

    async def _settle(self, load: Load, mended: float) -> None:
        """Until everything has ended."""
        client = load.client("settle")
        left = [one for one in self._ledger.starts.values() if one.ended is None]
        while True:
            left = [one for one in left if await load.describe(client, one) not in ENDED]
            if not left:
                break
            if time.monotonic() > mended + SETTLE_S:
                for one in left:
                    self._ledger.wrong(f"it has not ended {SETTLE_S:.0f} s after the last fault", one.arn)
                break
            await asyncio.sleep(0.2)
        client.close()

    async def _quiet(self, servers: Servers, baseline: list[tuple[float, int, int]]) -> None:
        """With nothing to do, nothing may be left of what was done."""
        await asyncio.sleep(3)
        for number, (server, before) in enumerate(zip(servers.all, baseline, strict=True)):
            rss, threads, files = server.now()
            self._report.say(
                f"server {number} at rest: {rss:.0f} MiB, {threads} threads, {files} files "
                f"(before the load {before[0]:.0f}, {before[1]}, {before[2]})"
            )
            if threads > before[1] + 30 or files > before[2] + 60:
                self._report.problems.append(f"server {number} has {threads} threads, {files} files at rest: {before}")

    # -- the report ----------------------------------------------------------------------------------------------------

    def _tell(
        self, servers: Servers, owners: Owners, gremlin: Gremlin, checks: Checks, loaded_s: float, settled_s: float
    ) -> None:
        say, traffic, ledger = self._report.say, self._traffic, self._ledger
        per_s = sum(traffic.per_second.values()) / max(1, len(traffic.per_second))
        say(
            f"{self._plan.store}: {CLIENTS} clients, {len(servers.all)} servers, {loaded_s:.0f} s, "
            f"seed {self._plan.seed}"
        )
        say(f"faults: {dict(gremlin.done)}; {sum(relay.cuts for relay in self._relays)} connections cut")
        say(
            f"accepted: {len(ledger.starts)} executions ({dict(checks.counts)}), "
            f"{traffic.answers['StartSyncExecution']} Express, {ledger.idempotent} starts made again; "
            f"most open at once {owners.most_open}"
        )
        say(f"settled {settled_s:.1f} s after the last fault; {per_s:.0f} answers/s; {dict(traffic.answers)}")
        say(
            f"unanswered: {traffic.broken} connections broken, {traffic.left} left by the client, "
            f"{traffic.unavailable} times 503; refused {dict(traffic.refusals)}"
        )
        slowest = sorted(traffic.slowest.items(), key=lambda one: -one[1])[:5]
        say(f"slowest answers: {', '.join(f'{name} {took:.1f} s' for name, took in slowest)}")
        self._tell_takeovers(owners)
        self._tell_throughput(gremlin)
        self._tell_memory(servers)
        self._report.problems += [f"{what} [{arn}]" for what, arn in ledger.problems] + traffic.failures

    def _tell_takeovers(self, owners: Owners) -> None:
        for name, disturbed in (("", False), (" while the database was away", True)):
            deaths = [death for death in owners.deaths if death.runs and death.disturbed == disturbed]
            took = [death.taken_s for death in deaths if death.taken_s is not None]
            if took:
                self._report.say(
                    f"takeovers{name}: {len(took)}, of {sum(death.runs for death in deaths)} open executions together, "
                    f"p50 {statistics.median(took):.1f} s, max {max(took):.1f} s"
                )
            if not disturbed and took and max(took) > self._plan.takeover_s:
                self._report.problems.append(f"a takeover took {max(took):.1f} s")
        if lost := [death for death in owners.deaths if death.taken_s is None]:
            self._report.problems.append(f"never taken over: {lost}")

    def _tell_throughput(self, gremlin: Gremlin) -> None:
        """Answers a second before each kill, and after."""
        begun = self._traffic.began_s
        seconds = self._traffic.per_second
        before, after, later = [], [], []
        for at, what in gremlin.times:
            if what == "kill":
                second = int(at - begun)
                before.append(seconds[second - 1])
                after += [seconds[second + 1]]
                later += [seconds[second + 5]]
        if before:
            self._report.say(
                f"answers a second, medians: {statistics.median(before):.0f} in the second before a kill, "
                f"{statistics.median(after):.0f} in the second after, {statistics.median(later):.0f} five seconds later"
            )

    def _tell_memory(self, servers: Servers) -> None:
        uses = [usage for server in servers.all for usage in server.usage.values()]
        most = max(usage.rss_mib for usage in uses)
        oldest = max(uses, key=lambda usage: usage.seen[-1][0])
        early = statistics.median(rss for _, rss in oldest.seen[: len(oldest.seen) // 3 + 1])
        self._report.say(
            f"memory: at most {most:.0f} MiB, {max(usage.threads for usage in uses)} threads, "
            f"{max(usage.files for usage in uses)} files; the longest life, {oldest.seen[-1][0]:.0f} s, went from "
            f"{early:.0f} to {oldest.seen[-1][1]:.0f} MiB"
        )
        if most > MOST_RSS_MIB:
            self._report.problems.append(f"a server held {most:.0f} MiB")

    def _complain(self, servers: Servers) -> None:
        for server in servers.all:
            self._report.problems += [f"server ended by itself: {one}" for one in server.odd_ends]
            self._report.problems += [f"in a server's log: {one}" for one in server.complaints()]

    async def _show(self, load: Load) -> None:
        arns = list(dict.fromkeys(arn for _, arn in self._ledger.problems if arn))[:SHOWN]
        client = load.client("show")
        for arn in arns:
            with contextlib.suppress(Exception):
                events = await history(client, arn)
                self._report.histories.append(f"{arn}\n" + "\n".join(_lines(events)))
        client.close()


def _lines(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        details = {name: value for name, value in event.items() if name.endswith("Details")}
        place = f"{event['id']:4} <- {event['previousEventId']:4} {event['timestamp']:.3f}"
        yield f"  {place} {event['type']} {json.dumps(details)[:300]}"
