"""What the chaos campaign runs: many small steps, each of which leaves a line for every time that it really ran."""

from __future__ import annotations

import os
import time

from skylift import attempt, pipeline, task


@task
def mark(number: int, seconds: float) -> int:
    """Takes a while, so that something is always under way when something dies."""
    now = attempt()
    print(f"ran {number} delivery {now.delivery if now else 0} pid {os.getpid()}")
    time.sleep(seconds)
    return number * number


@task
def added(numbers: list[int]) -> int:
    return sum(numbers)


@pipeline
def spread(count: int, seconds: float) -> int:
    squares = [mark(number, seconds) for number in range(count)]
    return added(squares)
