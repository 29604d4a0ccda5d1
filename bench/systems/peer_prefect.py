"""Prefect with the server that it starts by itself: tasks of one flow that is running already, in its threads.

Starting a flow is left out of the figures: it waits until the server has taken in the events of the tasks before, which
takes seconds after a hundred of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import trivial
from measuring import measure
from measuring import stamp as write_stamp
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

increment = task(trivial.increment)
total = task(trivial.total)
stamp = task(write_stamp)


class Prefect:
    def map(self, n: int) -> int:
        return total.submit(increment.map(range(n))).result()

    def chain(self, n: int) -> int:
        x = 0
        for _ in range(n):
            x = increment(x)
        return x

    def call(self, x: int) -> int:
        return increment(x)


@contextmanager
def opened() -> Iterator[Prefect]:
    yield Prefect()


@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def everything() -> None:
    measure(opened, lambda: None)


@flow
def first() -> None:
    stamp()


if __name__ == "__main__":
    if sys.argv[1:] == ["cold"]:
        first()
    else:
        everything()
