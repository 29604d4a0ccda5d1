"""The shapes that graphs have, and what a step in them may do: every combination is a run that the parity suite tries.

`work` is the step that behaves; where it stands in the graph is the shape's business, what it does the behaviour's. A
shape called as a plain function says what must come out.
"""

from __future__ import annotations

import os
import time

from skylift import Retry, attempt, parallel, pipeline, task

BIG = 400_000


class Flaky(ValueError):
    """What a step raises that behaves badly."""


@task
def add(x: int, y: int) -> int:
    return x + y


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task(retry=Retry(attempts=1, jitter=True))
def work(x: int, how: str) -> int:
    """Double x, in the way that is asked for."""
    now = attempt()
    if how == "fails":
        raise Flaky(f"no {x}")
    if how == "fails once" and now is not None and now.number == 1:
        raise Flaky(f"not yet {x}")
    if how == "dies once" and now is not None and now.delivery == 1:
        os._exit(3)
    if how == "prints":
        print(f"working on {x}")
    return 2 * x


@task
def many(x: int, how: str) -> list[int]:
    """A value by reference, where it is big."""
    return [x] * (BIG if how == "big" else 3)


@task(timeout=3)
def slow(x: int, how: str) -> int:
    if how == "times out" and attempt() is not None:
        time.sleep(600)
    elif how == "times out":
        raise TimeoutError("as it would")
    return x + 1


@pipeline
def chain(how: str) -> int:
    a = add(1, 2)
    b = work(a, how)
    return add(b, 10)


@pipeline
def fan_out(how: str) -> int:
    done = [work(n, how if n == 2 else "plain") for n in [1, 2, 3, 4]]
    return total(done)


@pipeline
def nested_fan_out(how: str) -> int:
    sums = [total([work(x, how if x == 3 else "plain") for x in row]) for row in [[1, 2], [3, 4]]]
    return total(sums)


@pipeline
def branch(how: str) -> int:
    x = add(2, 3)
    if x > 4:  # noqa: SIM108 - a Choice state
        y = work(x, how)
    else:
        y = add(x, 100)
    return add(y, 1)


@pipeline
def loop(how: str) -> int:
    x = 1
    rounds = 0
    while x < 20 and rounds < 6:
        x = work(x, how if rounds == 1 else "plain")
        rounds = rounds + 1
    return x


@pipeline
def caught(how: str) -> str:
    try:
        x = work(4, how)
        return f"worked: {x}"
    except Flaky as error:
        return f"caught: {error}"


@pipeline
def timed(how: str) -> int:
    try:
        return slow(1, how)
    except TimeoutError:
        return add(100, 1)


@pipeline
def big_artifact(how: str) -> int:
    values = many(7, how)
    head = work(total(values), "plain")
    return add(head, total(values))


@pipeline
def side_by_side(how: str) -> int:
    left, right = parallel(work(1, how), add(2, 2))
    return add(left, right)


FOLDED = (chain, fan_out, nested_fan_out, branch, loop, caught, side_by_side)
"""Shapes around `work`."""
BEHAVIOURS = ("plain", "fails once", "fails", "dies once", "prints")
