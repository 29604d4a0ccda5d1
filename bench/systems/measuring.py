"""The clock that every system is measured with. A script of this folder gives `measure` what the system can do.

python SCRIPT map=10000 chain=100 call=300      prints a line of JSON for each
python SCRIPT cold                              does one step, which calls `stamp`
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from statistics import median
from typing import Protocol

WARM_CALLS = 20
WARM_MAP = 50


class Doing(Protocol):
    """What a system with warm workers does. A system leaves out what it cannot do."""

    def map(self, n: int) -> int:
        """Add one to each of range(n) in a task of its own, and sum the results in one more."""
        ...

    def chain(self, n: int) -> int:
        """Add one to 0 in n tasks, each of the result of the one before."""
        ...

    def call(self, x: int) -> int:
        """Add one to x in a task."""
        ...


def stamp() -> None:
    """The first step: write down when it was done."""
    with open(os.environ["BENCH_STAMP"], "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(repr(time.time()))


def measure(opened: Callable[[], AbstractContextManager[Doing]], cold: Callable[[], object]) -> None:
    """Do what the command line says."""
    if sys.argv[1:] == ["cold"]:
        cold()
        return
    asked = {name: int(size) for name, _, size in (text.partition("=") for text in sys.argv[1:])}
    with opened() as doing:
        for name, size in asked.items():
            tell(name, size, TIMED[name](doing, size))


def tell(work: str, size: int, value: float) -> None:
    """One figure for whoever measures, in seconds or what else the work's unit is."""
    sys.stdout.write(json.dumps({"work": work, "size": size, "value": value}) + "\n")
    sys.stdout.flush()


def time_map(doing: Doing, n: int) -> float:
    warm = min(n, WARM_MAP)
    check(doing.map(warm), warm * (warm + 1) // 2)
    started = time.perf_counter()
    result = doing.map(n)
    took = time.perf_counter() - started
    check(result, n * (n + 1) // 2)
    return took


def time_chain(doing: Doing, n: int) -> float:
    check(doing.chain(n), n)
    started = time.perf_counter()
    result = doing.chain(n)
    took = time.perf_counter() - started
    check(result, n)
    return took


def time_call(doing: Doing, n: int) -> float:
    """The median, in milliseconds."""
    times = []
    for x in range(WARM_CALLS + n):
        started = time.perf_counter()
        result = doing.call(x)
        times.append(time.perf_counter() - started)
        check(result, x + 1)
    return median(times[WARM_CALLS:]) * 1_000


def check(result: int, expected: int) -> None:
    if result != expected:
        raise AssertionError(f"the result is {result}, not {expected}")


TIMED: dict[str, Callable[[Doing, int], float]] = {"map": time_map, "chain": time_chain, "call": time_call}
