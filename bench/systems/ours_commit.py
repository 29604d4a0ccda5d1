"""What one small durable write costs on this disk."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from pathlib import Path
from statistics import median

from measuring import tell


def main() -> None:
    work, _, size = sys.argv[1].partition("=")
    path = Path(os.environ["BENCH_FOLDER"]) / "commit.sqlite"
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {'FULL' if work == 'commit-full' else 'NORMAL'}")
    db.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, event BLOB)")
    times = []
    for _ in range(int(size)):
        started = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO events (event) VALUES (?)", (b"x" * 200,))
        db.execute("COMMIT")
        times.append(time.perf_counter() - started)
    db.close()
    tell(work, int(size), median(times) * 1_000)


if __name__ == "__main__":
    main()
