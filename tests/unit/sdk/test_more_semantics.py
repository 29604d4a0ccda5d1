# ruff: noqa: B905, SIM222, C416, E712, E501, RET504, F841, PTH123, B012, RUF100 - odd Python is the point here
"""More pipelines run both ways: loops without end, odd names, errors thrown again, constants, unknown types."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import pytest

from skylift import pipeline, task
from skylift.testing.parity import assert_same


@dataclass
class M:
    a: float
    n: int | None = None


@task
def mk(x) -> M:
    return M(x)


@task
def boom(x: int) -> int:
    raise TimeoutError("slow")


@task
def ident(x: Any) -> Any:
    return x


@task
def lst(n: int) -> list[int]:
    return list(range(n))


@task
def opt(x: int) -> M | None:
    return M(x) if x else None


@pipeline
def forever(n: int) -> Any:
    out = []
    while True:
        n -= 1
        if n < 0:
            break
        try:
            if n == 2:
                continue
            if n == 1:
                raise ValueError("x")
            out.append(n)
        except ValueError:
            out.append(-1)
            continue
        finally:
            out.append(100)
    return out


@pipeline
def by_base_class(n: int) -> Any:
    try:
        boom(n)
    except OSError as e:
        return str(e)


@pipeline
def optional_fields(n: int) -> Any:
    m = opt(n)
    if m is not None and m.a > 1:
        return m.a
    k = mk(2.5)
    k.n = 5
    return [k, k.n, m is None, m, M(a=1.5), M(1.0, n=2)]


@pipeline
def nested_loops(n: int) -> Any:
    total = 0
    for row in [[1, 2], [3], []]:
        for v in row:
            total += v * n
    rows = [[i * j for j in range(3)] for i in range(n)]
    t = [(i, r) for i, r in enumerate(rows)]
    flat = [v for r in rows for v in r if v]
    return [
        total,
        rows,
        t,
        flat,
        [[ident([x])] for x in lst(n)],
        sum([len(r) for r in rows]),
        {str(i): [i] for i in range(n)},
    ]


@pipeline
def unknown_results(n: int) -> Any:
    x = ident(n)
    y = ident([1, "a", None])
    first, second, third = y
    p, q = ident((1, 2))
    zz = [ident(v) for v in y]
    return [x, first, second, third, p, q, zz, zz[-1], [ident(z) for z in [[1], []]], list(ident([[1], [2]]))]


@pipeline
def odd_names(n: int) -> Any:
    states = 5
    _ = 3
    for _ in range(2):
        states += _
    return [states, list(range(n)), [[_, [states]] for _ in lst(n)], [ident([_, n]) for _ in lst(n)]]


@pipeline
def finally_overrides(n: int) -> Any:
    try:
        try:
            return lst(n)[5]
        finally:
            ident(1)
    except LookupError:
        try:
            return 1 // n
        except ZeroDivisionError:
            return "zero"
        finally:
            if n == 0:
                return "overridden"


@pipeline
def task_conditions(n: int) -> Any:
    xs = [n, 2, 3]
    x = 0
    total = [x + ident(x) for x in xs if ident(x) > 1 if x < 10]
    other = [y for x in xs if x > 1 for y in [x, x * 2] if y != 4]
    deep = [[ident(x + y) for y in xs if ident(y) != 2] for x in xs if x != 3]
    cond = ident(1) if n else (ident(2) if n is None else ident(3))
    chain = 0 < ident(n) < ident(5) < 10
    return [total, other, deep, cond, chain, x]


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class E1(Exception):
    pass


RATES = (0.1, 0.2)
CONF = {"a": [1, 2], "b": None}


@task
def color(c: Color) -> str:
    return c.name


@task
def fail_with(n: int) -> None:
    if n == 1:
        raise E1("one")
    if n == 2:
        raise LookupError("two")
    if n == 3:
        raise ZeroDivisionError("three")


def helper(a: int, *, b: int = 2) -> list[int]:
    return [a + x for x in range(b)]


def with_task(a: int) -> Any:
    return [ident(a + x) for x in range(2)]


@pipeline
def constants(n: int) -> Any:
    return [
        color(Color.RED),
        [ident(r) for r in RATES],
        CONF["a"][n % 2],
        CONF,
        helper(n),
        helper(n, b=3),
        with_task(n),
        [with_task(i) for i in range(n)],
    ]


@pipeline
def rethrown(n: int) -> Any:
    out = []
    for i in range(4):
        try:
            try:
                try:
                    fail_with(i)
                    out.append("ok")
                except ZeroDivisionError:
                    out.append("zero")
                    raise
                except Exception as e:
                    out.append("any " + str(e))
                    raise
            finally:
                out.append("fin")
        except E1:
            out.append("E1")
            continue
        except (LookupError, ArithmeticError) as e:
            out.append("LA " + str(e))
            if n == i:
                break
        out.append("end")
    else:
        out.append("else")
    return out


@pipeline
def errors_of_maps(n: int) -> Any:
    try:
        r = [fail_with(i) for i in range(n)]
    except E1 as e:
        try:
            raise KeyError("inner") from e
        except KeyError as k:
            return str(k) + str(e)
    return [r, len(r)]


@pipeline
def assortment(n: int) -> Any:
    x: Any = None
    xs: list[Any] = []
    while x is None or x < n:
        x = ident(0 if x is None else x + 1)
        xs.append(x if x % 2 else None)
        if len(xs) > 5:
            raise E1(f"too many: {len(xs)}")
    y = [1, 2, 3]
    y[n % 3] = list(xs)
    s = ""
    for ch in "héy":
        s += ch * 2
    z = {"k": n}
    z["k"] += 2
    z["new"] = [n]
    for key, _value in z.items():
        s += key
    return [
        x,
        xs,
        y,
        s,
        z,
        [*y, n],
        list(z),
        sum([]),
        max([1], default=3),
        sorted(["b", "a"]),
        "a" < "b" < "c",
        n in (1, 2),
        not xs,
        -n % 3,
        n**2,
    ]


@pytest.mark.parametrize(
    "flow",
    [
        forever,
        by_base_class,
        optional_fields,
        nested_loops,
        unknown_results,
        odd_names,
        finally_overrides,
        task_conditions,
        constants,
        rethrown,
        errors_of_maps,
        assortment,
    ],
    ids=lambda flow: flow.name,
)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7])
def test_both_ways_agree_here_too(flow: Any, n: int) -> None:
    assert_same(flow, n=n)
