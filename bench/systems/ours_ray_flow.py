"""Skylift's pipelines that are measured on Ray: like `ours_flow`, placed there."""

from __future__ import annotations

from skylift import pipeline, task


@task(on="ray")
def increment(x: int) -> int:
    return x + 1


@task(on="ray")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@pipeline
def fan(n: int) -> int:
    return total([increment(x) for x in range(n)])


@pipeline
def one(x: int) -> int:
    return increment(x)
