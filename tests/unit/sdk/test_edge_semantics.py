# ruff: noqa: B905, C420, RUF005, RUF059, SIM222, C416, E712, E501, RET504, F841, PTH123, B012, RUF100 - odd Python is the point here
"""Empty and one-element values, True as 1, and the errors Python raises, both ways. PYTEST_DONT_REWRITE (asserts)."""

from __future__ import annotations

from typing import Any

import pytest

from skylift import pipeline, task
from skylift.testing.parity import assert_same


@task
def ident(x: Any) -> Any:
    return x


@task
def n_of(x: int) -> int:
    return x


@task
def text(x: int) -> str:
    return str(x)


# empties through every aggregated op with unknown types
@pipeline
def empties(n: int) -> Any:
    e = ident([])
    one = ident([[1]])
    d = ident({})
    return [
        sum(e),
        sorted(e),
        [x for x in e],
        [x for x in e if x],
        len(e),
        any(e),
        all(e),
        list(e),
        e + [1],
        e * 3,
        [(i, x) for i, x in enumerate(e)],
        list(zip(e, one)),
        list(reversed(one)),
        {k: 1 for k in d},
        list(d),
        [k for k in d],
        max(e, default=None),
        e[:1],
        one[::-1],
        one[0],
        one[0][0],
        one[-1:],
        1 in e,
        [1] in one,
        "a" in d,
        "".join(e),
        ",".join(ident(["a"])),
        [v for v in one for w in v],
        not d,
        e == [],
        d == {},
        one == [[1]],
    ]


@pipeline
def truth_as_number(n: int) -> Any:
    r = ident(True)
    f = ident(None)
    return [
        r + 1,
        r == 1,
        f is None,
        f or 3,
        r and f,
        -r,
        r * 2,
        r < 2,
        [1, 2][r],
        "ab"[r],
        abs(r),
        min(r, 2),
        round(2.5),
        int(2.7),
        int(-2.7),
        int("12"),
        int(" -3 "),
        str(True),
        str(None),
        bool(f),
        "x" * r,
        sum([True, 1]),
        max([1, True]),
    ]


@pipeline
def errors(n: int) -> Any:
    out = []
    for k in range(-2, 3):
        try:
            out.append([1, 2][k])
        except IndexError as e:
            out.append(str(e))
    try:
        out.append({"a": 1}["b"])
    except KeyError as e:
        out.append(str(e))
    try:
        out.append(int("x1"))
    except ValueError as e:
        out.append(str(e))
    try:
        x, y = ident([1, 2, 3])
    except ValueError as e:
        out.append(str(e))
    try:
        out.append(ident(5).foo)
    except AttributeError as e:
        out.append(str(e))
    try:
        out.append([v + 1 for v in ident([1, "a"])])
    except TypeError as e:
        out.append(str(e))
    try:
        out.append(max(ident([])))
    except ValueError as e:
        out.append("empty")
    try:
        out.append(10 % n)
    except ArithmeticError:
        out.append("mod")
    try:
        assert n > 1, "small"
    except AssertionError as e:
        out.append(str(e))
    return out


@pipeline
def tasks_in_texts(n: int) -> Any:
    texts = [text(i) for i in range(n)]
    return [f"{t}:{len(t)}" for t in texts] + [
        "-".join([text(i) for i in range(n)]),
        "".join(t.upper() for t in texts),
        sum(len(t) for t in texts),
        [i for i in range(n) if n_of(i) > 0 and text(i) != "2"],
        {text(i): n_of(i) for i in range(n)},
        [n_of(i) for i in range(n) if i if n_of(i) != 3],
        max([n_of(i) for i in range(n + 1)]),
    ]


@pytest.mark.parametrize("flow", [empties, truth_as_number, errors, tasks_in_texts], ids=lambda flow: flow.name)
@pytest.mark.parametrize("n", [0, 1, 4])
def test_both_ways_agree_at_the_edges(flow: Any, n: int) -> None:
    assert_same(flow, n=n)
