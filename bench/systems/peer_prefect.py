"""Prefect with the server that it starts by itself: tasks run in the threads of this process."""

from __future__ import annotations

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


@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def fan(n: int) -> int:
    return total.submit(increment.map(range(n))).result()


@flow
def count(n: int) -> int:
    x = 0
    for _ in range(n):
        x = increment(x)
    return x


@flow
def first() -> None:
    stamp()


class Prefect:
    def map(self, n: int) -> int:
        return fan(n)

    def chain(self, n: int) -> int:
        return count(n)

    def call(self, x: int) -> int:
        return increment(x)


@contextmanager
def opened() -> Iterator[Prefect]:
    yield Prefect()


if __name__ == "__main__":
    measure(opened, first)
