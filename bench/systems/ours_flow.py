"""Skylift's pipelines that are measured."""

from __future__ import annotations

import os
import time

from skylift import pipeline, task


@task
def increment(x: int) -> int:
    return x + 1


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task
def stamp() -> None:
    with open(os.environ["BENCH_STAMP"], "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(repr(time.time()))


@pipeline
def fan(n: int) -> int:
    return total([increment(x) for x in range(n)])


@pipeline
def count(n: int) -> int:
    x = 0
    for _ in range(n):
        x = increment(x)
    return x


@pipeline
def one(x: int) -> int:
    return increment(x)


@pipeline
def first() -> None:
    stamp()
