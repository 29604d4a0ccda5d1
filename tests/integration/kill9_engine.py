"""The child process of test_kill9: an engine with SQLite and worker processes, driving one run until it ends.

python kill9_engine.py HOME
"""

from __future__ import annotations

import sys
from pathlib import Path

from skylift.compute.process.backend import ProcessBackend
from skylift.engine.clock import SystemClock
from skylift.engine.engine import Engine
from skylift.engine.inputs import Reported, StartRun
from skylift.engine.thread import EngineThread
from skylift.ports.compute import Outcome
from skylift.stores.ownership import EngineLock, is_alive
from skylift.stores.sqlite import SqliteJournal


def main(home: Path) -> None:
    journal = SqliteJournal(home / "journal.db")
    lock = EngineLock.acquire(home)
    backends: list[ProcessBackend] = []

    def build(inbox):  # type: ignore[no-untyped-def]
        def report(token: str, outcome: Outcome) -> None:
            inbox(Reported(token, outcome))

        backends.append(ProcessBackend(report, paths=[str(home)], blobs=str(home / "blobs"), workers=2))
        return Engine(
            journal=journal,
            clock=SystemClock(),
            backends={"process": backends[0]},
            owner=lock.owner,
            inbox=inbox,
            is_alive=lambda owner: is_alive(home, owner),
        )

    engine = EngineThread(build)
    definition, table = (home / "digests").read_text().split()
    engine.recover()
    record = engine.execute(
        StartRun(definition=definition, tasks=table, pipeline="kill9", name="one", input={"home": str(home)})
    )
    sys.stdout.write(f"{record.status}\n")
    sys.stdout.flush()
    engine.close()
    backends[0].close()
    lock.release()
    journal.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
