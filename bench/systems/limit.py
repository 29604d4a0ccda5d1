"""The limit: worker processes of the standard library, which keep nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from measuring import measure, stamp
from trivial import increment, total


class Pool:
    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def map(self, n: int) -> int:
        return self._pool.submit(total, list(self._pool.map(increment, range(n)))).result()

    def chain(self, n: int) -> int:
        x = 0
        for _ in range(n):
            x = self._pool.submit(increment, x).result()
        return x

    def call(self, x: int) -> int:
        return self._pool.submit(increment, x).result()


@contextmanager
def opened() -> Iterator[Pool]:
    with ProcessPoolExecutor(2) as pool:
        yield Pool(pool)


def cold() -> None:
    with ProcessPoolExecutor(2) as pool:
        pool.submit(stamp).result()


if __name__ == "__main__":
    measure(opened, cold)
