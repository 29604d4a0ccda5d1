"""joblib with its default backend: worker processes, nothing kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from joblib import Parallel, delayed
from measuring import measure, stamp
from trivial import increment, total


class Joblib:
    def __init__(self, parallel: Parallel) -> None:
        self._parallel = parallel

    def map(self, n: int) -> int:
        results = self._parallel(delayed(increment)(x) for x in range(n))
        return self._parallel([delayed(total)(results)])[0]

    def chain(self, n: int) -> int:
        x = 0
        for _ in range(n):
            x = self.call(x)
        return x

    def call(self, x: int) -> int:
        return self._parallel([delayed(increment)(x)])[0]


@contextmanager
def opened() -> Iterator[Joblib]:
    with Parallel(n_jobs=2) as parallel:
        yield Joblib(parallel)


def cold() -> None:
    Parallel(n_jobs=2)([delayed(stamp)()])


if __name__ == "__main__":
    measure(opened, cold)
