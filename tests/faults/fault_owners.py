"""Which engine process drives how many open executions, as the database says; and how long those of a dead one lie."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Counts = dict[str, int]
Ask = Callable[[], Counts]
_ASKED = "SELECT owner, count(*) FROM runs WHERE status IN ('RUNNING', 'PAUSED') GROUP BY owner"


def of_postgres(url: str) -> Ask:
    """Raises psycopg.Error while the database is away."""
    import psycopg

    def ask() -> Counts:
        with psycopg.connect(url, connect_timeout=2, options="-c search_path=skylift,public") as connection:
            return {(owner or b"").decode(): count for owner, count in connection.execute(_ASKED).fetchall()}

    return ask


def of_sqlite(path: Path) -> Ask:
    def ask() -> Counts:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            return {owner or "": count for owner, count in connection.execute(_ASKED).fetchall()}

    return ask


@dataclass(slots=True)
class Death:
    """Of an engine process."""

    pid: int
    at_s: float
    runs: int = 0
    """The open executions that it drove."""
    taken_s: float | None = None
    """When others drove the last of them, after its death."""
    disturbed: bool = False
    """Was the database away, or blocked, meanwhile?"""


class Owners:
    """Looks four times a second."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.deaths: list[Death] = []
        self.most_open = 0

    def died(self, pid: int) -> None:
        self.deaths.append(Death(pid=pid, at_s=time.monotonic()))

    def disturb(self) -> None:
        for death in self.deaths:
            death.disturbed |= death.taken_s is None

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            try:
                counts = await asyncio.to_thread(self._ask)
            except Exception:  # noqa: BLE001  # whatever the driver says while its server is away
                self.disturb()
            else:
                self._take(counts)
            await asyncio.sleep(0.2)

    def _take(self, counts: Counts) -> None:
        now = time.monotonic()
        self.most_open = max(self.most_open, sum(counts.values()))
        for death in self.deaths:
            if death.taken_s is not None:
                continue
            left = sum(count for owner, count in counts.items() if death.pid in map(int, _PIDS.findall(owner)))
            death.runs = max(death.runs, left)
            if not left:
                death.taken_s = now - death.at_s


_PIDS = re.compile(r"(?:^|-)(\d+)(?=-[0-9a-f]{12}$)")
