"""Commits a second of SQLite and PostgreSQL, for batches of 1, 64 and 512 runs.

`python bench/stores.py [POSTGRESQL_URL]`. Without a URL it starts Debian's PostgreSQL in a temporary folder, with fsync
on and off.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from skylift.ports.journal import Append, Batch, RunUpdate  # noqa: E402
from skylift.stores.database import Store  # noqa: E402
from skylift.stores.open import open_store  # noqa: E402
from skylift.testing.journals import record, timers  # noqa: E402

SIZES = ((1, 600), (64, 60), (512, 12))
ENDED = RunUpdate(status="SUCCEEDED", stopped_ms=5, output={"a": 1})


def appends(store: Store, size: int, count: int) -> float:
    """Commits a second: two events to each of `size` runs."""
    runs = [secrets.token_hex(8) for _ in range(size)]
    store.journal.commit(Batch(owner="me", created=[record(run) for run in runs]))
    began = time.perf_counter()
    for step in range(count):
        batch = Batch(owner="me", appends=[Append(run_id=run, entries=timers(step * 2 + 1, 2)) for run in runs])
        store.journal.commit(batch)
    return count / (time.perf_counter() - began)


def whole_runs(store: Store, size: int, count: int) -> float:
    """Commits a second: `size` runs that start and end in it."""
    began = time.perf_counter()
    for _ in range(count):
        created = [record(secrets.token_hex(8)) for _ in range(size)]
        ends = [Append(run_id=run.run_id, entries=timers(1, 4), update=ENDED) for run in created]
        store.journal.commit(Batch(owner="me", created=created, appends=ends))
    return count / (time.perf_counter() - began)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def measure(name: str, store: Store) -> None:
    for size, count in SIZES:
        first, second = appends(store, size, count), whole_runs(store, size, max(4, count // 4))
        say(f"{name:<28} {size:>4} {first:>9.0f} {first * size:>10.0f} {second:>9.0f} {second * size:>10.0f}")
    store.close()


def main() -> None:
    say(f"{'store':<28} {'runs':>4} {'appends/s':>9} {'runs x /s':>10} {'ends/s':>9} {'runs x /s':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for durability in ("normal", "full"):
            home = Path(folder) / durability
            measure(f"SQLite, {durability}", open_store(None, home=home, durability=durability))
        if len(sys.argv) > 1:
            measure("PostgreSQL", open_store(sys.argv[1], home=Path(folder)))
            return
        import postgres

        for fsync in ("on", "off"):
            postgres._SETTINGS["fsync"] = fsync
            server = postgres.PostgresServer()
            try:
                server.start()
                measure(f"PostgreSQL, fsync {fsync}", open_store(server.create_database(), home=Path(folder)))
            finally:
                server.close()


if __name__ == "__main__":
    main()
