"""A child process of test_postgres_engines: an engine on PostgreSQL with a worker, that also takes dead engines' runs.

python postgres_engine.py URL FOLDER
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from skylift.compute.process.backend import ProcessBackend
from skylift.engine.clock import SystemClock
from skylift.engine.engine import Engine
from skylift.engine.inputs import Reported, StartRun
from skylift.engine.thread import EngineThread
from skylift.errors import JournalUnavailable
from skylift.ports.compute import Outcome
from skylift.stores.open import open_store


def main(url: str, folder: Path) -> None:
    store = open_store(url, home=folder)
    ownership = store.ownership()
    backends: list[ProcessBackend] = []

    def build(inbox):  # type: ignore[no-untyped-def]
        def report(token: str, outcome: Outcome) -> None:
            inbox(Reported(token, outcome))

        backends.append(ProcessBackend(report, paths=[str(folder)], blobs=str(folder / "blobs"), workers=1))
        return Engine(
            journal=store.journal,
            clock=SystemClock(),
            backends={"process": backends[0]},
            owner=ownership.owner,
            inbox=inbox,
            is_alive=ownership.is_alive,
            adopting=True,
        )

    engine = EngineThread(build)
    definition, table = (folder / "digests").read_text().split()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    for name in sys.stdin.read().split():
        given = {"home": str(folder), "name": name}
        start = StartRun(definition=definition, tasks=table, pipeline="p", name=name, input=given)
        while True:  # the same name again is the same run
            try:
                engine.start(start)
                break
            except JournalUnavailable:
                ended.wait(0.05)
    sys.stdout.write(f"{ownership.owner}\n")
    sys.stdout.flush()
    ended.wait()
    engine.close()
    backends[0].close()
    ownership.release()
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
