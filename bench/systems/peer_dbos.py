"""DBOS with its SQLite system database: durable workflows in the threads of this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import trivial
from dbos import DBOS
from measuring import measure
from measuring import stamp as write_stamp

DBOS(
    config={
        "name": "bench",
        "system_database_url": f"sqlite:///{os.environ['BENCH_FOLDER']}/dbos.sqlite",
        "run_admin_server": False,
        "log_level": "ERROR",
    }
)

increment = DBOS.step()(trivial.increment)
total = DBOS.step()(trivial.total)
stamp = DBOS.step()(write_stamp)


@DBOS.workflow()
def increment_workflow(x: int) -> int:
    return increment(x)


@DBOS.workflow()
def fan(n: int) -> int:
    handles = [DBOS.start_workflow(increment_workflow, x) for x in range(n)]
    return total([handle.get_result() for handle in handles])


@DBOS.workflow()
def chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = increment(x)
    return x


@DBOS.workflow()
def first() -> None:
    stamp()


class Dbos:
    def map(self, n: int) -> int:
        return fan(n)

    def chain(self, n: int) -> int:
        return chain(n)

    def call(self, x: int) -> int:
        return increment_workflow(x)


@contextmanager
def opened() -> Iterator[Dbos]:
    DBOS.launch()
    try:
        yield Dbos()
    finally:
        DBOS.destroy()


def cold() -> None:
    with opened():
        first()


if __name__ == "__main__":
    measure(opened, cold)
