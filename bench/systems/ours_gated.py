"""A pipeline whose first task waits until a file is there."""

from __future__ import annotations

import os
import time

from skylift import pipeline, task


@task
def hold(x: int) -> int:
    while not os.path.exists(os.path.join(os.environ["BENCH_FOLDER"], "gate")):  # noqa: PTH110, PTH118
        time.sleep(0.05)
    return x


@task
def increment(x: int) -> int:
    return x + 1


@pipeline
def gated(x: int) -> int:
    return increment(hold(x))
