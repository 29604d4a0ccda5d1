"""Whole numbers: Python's answer, or an error that says so; never a wrong number."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skylift import Pipeline, pipeline, task
from skylift.testing.parity import assert_same, durable, plain


@task
def echo(x: Any) -> Any:
    return x


@pipeline
def times(a: int, b: int) -> int:
    return a * b


@pipeline
def plus(a: int, b: int) -> int:
    return a + b


@pipeline
def minus(a: int, b: int) -> int:
    return a - b


@pipeline
def cube(a: int, b: int) -> int:
    return a**3 + b


@pipeline
def floors(a: int, b: int) -> int:
    return a // (b or 1)


@pipeline
def rest(a: int, b: int) -> int:
    return a % (b or 1)


@pipeline
def total(a: int, b: int) -> int:
    return sum([a, b, 1])


@pipeline
def unknown_times(a: int, b: int) -> Any:
    return echo(a) * echo(b)


@pipeline
def unknown_plus(a: int, b: int) -> Any:
    return echo(a) + echo(b)


@pipeline
def texts(a: int, b: int) -> str:
    return f"{a}:{b}" + str(a - b)


OPERATIONS = [times, plus, minus, cube, floors, rest, total, unknown_times, unknown_plus, texts]
BIG = [2**52, 2**53 + 1, -(2**53) - 1, 2**60 + 1, 10**15, 999_999_999_999_999, 94_906_267, 208_064, 3, -1, 0]


@pytest.mark.parametrize("flow", OPERATIONS, ids=lambda flow: flow.name)
def test_never_a_wrong_number(flow: Pipeline[..., Any]) -> None:
    refused = 0
    for a in BIG:
        for b in BIG:
            found = durable(flow, a=a, b=b)
            if found.error == "States.QueryEvaluationError":
                assert found.message
                assert "@task" in found.message
                refused += 1
            else:
                assert found.value == plain(flow, a=a, b=b).value, (a, b)
    assert refused


@pytest.mark.parametrize("text", ["12", " -7\n", "+5", "1_000", "1__0", "_1", "", "x", "1.0", "999999999999999", "- 1"])
def test_reading_a_number(text: str) -> None:
    assert_same(read, text=text)


@pipeline
def read(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1


def test_a_long_number_is_not_taken_for_no_number() -> None:
    found = durable(read, text="12345678901234567890")
    assert found.error == "States.QueryEvaluationError"
    assert found.message is not None
    assert "15 digits" in found.message


@pipeline
def counting(xs: list[int], n: int) -> list[int]:
    rounds = 0
    found = 0
    for i in range(n):
        rounds += 1
        found += len(xs)
        if i * 2 + 1 > n:
            break
    while rounds < 10:
        rounds += 2
    return [rounds, found, len(xs) * 2 + 1]


@pipeline
def floating(a: float, b: float) -> float:
    return a * b + a - b


def test_what_only_counts_or_is_float_is_not_checked() -> None:
    assert "PYINT" not in json.dumps(counting.compile().definition)
    assert "PYINT" not in json.dumps(floating.compile().definition)
    assert "PYINT" in json.dumps(times.compile().definition)
    assert_same(counting, xs=[1, 2], n=4)
    assert_same(floating, a=1e300, b=2.0)


@pipeline
def passed(a: int) -> int:
    return echo(a)


def test_big_numbers_pass_through_whole() -> None:
    assert assert_same(passed, a=2**62 + 1).value == 2**62 + 1
