"""Skylift as a user calls it: durable runs of compiled pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ours_flow
from measuring import measure


class Skylift:
    def map(self, n: int) -> int:
        return ours_flow.fan.run(n=n)

    def chain(self, n: int) -> int:
        return ours_flow.count.run(n=n)

    def call(self, x: int) -> int:
        return ours_flow.one.run(x=x)


@contextmanager
def opened() -> Iterator[Skylift]:
    yield Skylift()


if __name__ == "__main__":
    measure(opened, lambda: None)  # cold is measured on the command itself
