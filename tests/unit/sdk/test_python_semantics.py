# ruff: noqa: B905, SIM222, C416, E712, E501, RET504, F841, PTH123, B012, RUF100 - odd Python is the point here
"""Pipelines run both ways, as Python and as a States Language document: the results must be the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skylift import approve, parallel, pipeline, sleep, task
from skylift.sdk.direct import answers
from skylift.stores.files import FileBlobStore
from skylift.testing.parity import assert_same, plain, start
from skylift.values.codec import ValueCodec


@dataclass
class Model:
    accuracy: float
    round: int = 0
    name: str = "m"


class PublishError(Exception):
    pass


class SmallError(PublishError):
    pass


@task
def double(x: int) -> int:
    return 2 * x


@task
def echo(x: Any) -> Any:
    return x


@task
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


@task
def make(accuracy: float, round: int = 0) -> Model:
    return Model(accuracy, round)


@task
def numbers(n: int) -> list[int]:
    return list(range(n))


@task
def words(text: str) -> list[str]:
    return text.split()


@task
def fail(kind: str) -> int:
    raise {"publish": PublishError, "small": SmallError, "value": ValueError, "key": KeyError}[kind](f"bad {kind}")


@task
def is_even(x: int) -> bool:
    return x % 2 == 0


LIMIT = 3
NAMES = ["a", "b"]


def half(x: float) -> float:
    """Written out where it is called."""
    return x / 2


def larger(a: int, b: int = LIMIT) -> int:
    return a if a > b else b


@pipeline
def nothing() -> None:
    pass


@pipeline
def straight(x: int) -> int:
    a = double(x)
    b, c = a + 1, a - 1
    b, c = c, b
    b += double(c) * 2
    return b + c


@pipeline
def nested_calls(x: int) -> int:
    return double(double(x) + double(1)) - double(x)


@pipeline
def branches(x: int) -> str:
    if x > 10:
        text = "big"
    elif x < 0:
        return "negative"
    else:
        text = "small"
    if not x:
        text = text + " zero"
    return text


@pipeline
def loops(n: int) -> list[int]:
    out = []
    i = 0
    while i < n:
        i += 1
        if i == 2:
            continue
        if i > 5:
            break
        out.append(double(i))
    else:
        out.append(-1)
    for j in range(n, 0, -2):
        out.append(j)
        if j == 4:
            break
    else:
        out.append(-2)
    for k, w in enumerate(["a", "b"], start=1):
        if w == "b":
            out.append(k)
    for a, (b, c) in zip([1, 2], [(3, 4), (5, 6)]):
        out.append(a * b + c)
    return out


@pipeline
def early(xs: list[int]) -> int:
    for x in xs:
        for y in range(3):
            if x * y == 4:
                return x * 10 + y
    return -1


@pipeline
def maps(xs: list[int], k: int) -> list[Any]:
    a = [double(x) for x in xs]
    b = [double(x + k) for x in xs if x > 1]
    c = [x * k for x in xs]
    d = [x for x in xs if x % 2 == 0]
    e = [double(x) + double(y) for x in xs for y in range(x)]
    f = [(x, y) for x in xs for y in xs if x < y]
    g = [double(i) + x for i, x in enumerate(xs)]
    h = [double(x * y) for x, y in zip(xs, reversed(xs))]
    m = [[double(x * y) for y in xs] for x in xs]
    n = [x for x in xs if is_even(x)]
    o = [[x, [y]] for x in xs for y in [1, 2]]
    p = {str(x): double(x) for x in xs}
    q = {str(x): x for x in xs}
    return [a, b, c, d, e, f, g, h, m, n, o, p, q]


@pipeline
def models(rates: list[float]) -> list[Any]:
    found = [make(r, round=2) for r in rates]
    best = max(found, key=lambda m: m.accuracy)
    worst = min((m.accuracy for m in found), default=-1.0)
    order = [m.accuracy for m in sorted(found, key=lambda m: m.accuracy, reverse=True)]
    total = sum(m.accuracy for m in found)
    return [best.accuracy, worst, order, total, best.round + 1, any(m.accuracy > 0.5 for m in found), best]


@pipeline
def handled(kind: str) -> list[str]:
    log = []
    try:
        log.append("try")
        if kind == "none":
            log.append("calm")
        elif kind == "index":
            log.append(words("one")[3])
        elif kind == "raise":
            raise SmallError("from the graph")
        elif kind == "zero":
            log.append(str(1 // double(0)))
        else:
            fail(kind)
    except PublishError as error:
        log.append(f"publish {error}")
    except (ValueError, IndexError) as error:
        log.append("value or index: " + str(error))
    else:
        log.append("else")
    finally:
        log.append("finally")
    return log


@pipeline
def finals(kind: str) -> str:
    text = ""
    for i in range(3):
        try:
            try:
                if kind == "return" and i == 1:
                    return text + "returned"
                if kind == "break" and i == 1:
                    break
                if kind == "continue" and i == 1:
                    continue
                if kind == "raise" and i == 1:
                    raise ValueError("raised")
                if kind == "task" and i == 1:
                    fail("small")
                text = text + "t"
            finally:
                text = text + "f"
                if kind == "swallow" and i == 0:
                    text = text + "s"
        except ValueError:
            text = text + "v"
        except Exception as error:
            text = text + "e" + str(error)
            raise
    return text + "."


@pipeline
def raising(kind: str) -> None:
    if kind == "assert":
        assert double(1) == 3, f"double is {double(1)}"
    if kind == "plain":
        raise PublishError
    if kind == "from":
        try:
            fail("value")
        except ValueError as error:
            raise PublishError("wrapped " + str(error)) from error
    if kind == "again":
        try:
            fail("small")
        except PublishError:
            raise
    if kind == "map":
        try:
            found = [fail(k) for k in ["value"]]
            echo(found)
        except ValueError as error:
            raise SmallError(str(error)) from None
    if kind == "outer":
        try:
            try:
                raise SmallError("inner")
            except ValueError:
                return
        except PublishError as error:
            raise KeyError("k" + str(error)) from error


@pipeline
def short(x: int) -> list[Any]:
    a = x > 0 and double(x) > 4
    b = double(x) if x > 1 else echo("none")
    c = x or double(7)
    d = 0 < x < double(2)
    e = not is_even(x)
    f = [] or "default"
    g = None or [] or 0
    h = x and "yes"
    return [a, b, c, d, e, f, g, h, half(x) > 1, larger(x), larger(a=x, b=2)]


@pipeline
def texts(s: str, n: int) -> list[Any]:
    return [
        f"{s}-{n}!",
        s.upper(),
        s.lower(),
        s.strip(),
        s.split(),
        s.split(","),
        ",".join(["x", s]),
        s.replace("a", "bb"),
        s.startswith("a"),
        s.endswith(" "),
        s.find("b"),
        s.count("a"),
        len(s),
        s[1:],
        s[:-1],
        s[::-1],
        s * 2,
        n * s,
        s + "x",
        "a" in s,
        s == "abc",
        s < "b",
        [c for c in s],
        str(n),
        f"{n:03d}",
        f"{True} {None}",
        s.removeprefix("a"),
        s.removesuffix(" "),
    ]


@pipeline
def lists(xs: list[int], i: int) -> list[Any]:
    ys = list(xs)
    ys.append(i)
    ys.extend([7, 8])
    ys.insert(1, 9)
    last = ys.pop()
    ys[0] = 100
    ys += [i]
    zs = xs + ys
    zs.reverse()
    del zs[0]
    return [
        ys,
        last,
        zs,
        xs[:2],
        xs[1:],
        xs[::2],
        xs[::-1],
        xs[-2:],
        xs[5:1:-1],
        len(xs),
        sum(xs),
        sorted(xs),
        sorted(xs, reverse=True),
        i in xs,
        i not in xs,
        xs == ys,
        xs * 2,
        [xs, [xs], []],
        any(xs),
        all(xs),
        max(xs, default=0),
        min(1, i),
        xs.count(i),
        list(enumerate(xs)),
        [*xs[:1], i] if False else [i],
    ]


@pipeline
def dicts(d: dict[str, int], k: str) -> list[Any]:
    e = dict(d)
    e[k] = 5
    e.update({"z": 1})
    popped = e.pop("z")
    f = {**d, "y": 2}
    got = d.get(k)
    g = {k: 1, "a": [k]}
    e.setdefault("w", 9)
    return [
        e,
        popped,
        f,
        got,
        d.get(k, -1),
        k in d,
        len(d),
        list(d),
        list(d.values()),
        list(d.items()),
        [f"{key}={value}" for key, value in d.items()],
        g,
        bool(d),
        d == {"a": 1},
        {key: value + 1 for key, value in d.items()},
    ]


@pipeline
def arithmetic(a: int, b: int, f: float) -> list[Any]:
    return [
        a + b, a - b, a * b, -a, +a, abs(a), a // b, a % b, a / b, f // b, f % b, a ** 2, a % -3, -a // 2,
        a == b, a != b, a < b <= 5, a == True, round(f), int(f), float(a), bool(a), a > f, True + a, min(a, b), max(a, b),
    ]  # fmt: skip


@pipeline
def tuples(n: int) -> Any:
    a, b = pair(n)
    both = pair(n + 1)
    first, *rest = [1, 2, 3]
    *init, final = [n]
    t = (a, b)
    return [a, b, both[0], both[1], first, rest, init, final, t, t[0], t[-1], len(t), (1,), ()]


@pipeline
def inner_flow(kind: str, n: int = 2) -> dict[str, int]:
    if kind == "graph":
        raise SmallError("from inside")
    if kind != "":
        fail(kind)
    return {"n": double(n)}


@pipeline
def outer_flow(kind: str) -> list[Any]:
    log = [inner_flow("")["n"]]
    try:
        found = inner_flow(kind, n=5)
        log.append(found["n"])
    except PublishError as error:
        log.append("caught " + str(error))
    return log


@pipeline
def side_by_side(n: int) -> list[Any]:
    a, b = parallel(double(n) + 1, echo([n]))
    both = parallel(double(n), double(double(n)))
    sleep(3)
    c = approve(f"go on with {n}?", timeout="1h")
    return [a, b, both, c]


@pipeline
def unknown_types(x, y):  # type: ignore[no-untyped-def]
    out = []
    if x:
        out.append("truthy")
    try:
        out.append(x + y)
    except TypeError:
        out.append("type")
    try:
        out.append(x[0])
    except (TypeError, IndexError, KeyError):
        out.append("no item")
    try:
        out.append(len(x))
    except TypeError:
        out.append("no len")
    out.append(x == y)
    out.append([x])
    try:
        for item in x:
            out.append(item)
    except TypeError:
        out.append("not iterable")
    try:
        out.append(x < y)
    except TypeError:
        out.append("no order")
    return out


CASES: list[tuple[Any, list[dict[str, Any]]]] = [
    (nothing, [{}]),
    (straight, [{"x": 3}]),
    (nested_calls, [{"x": 3}]),
    (branches, [{"x": x} for x in (-1, 0, 5, 11)]),
    (loops, [{"n": n} for n in range(9)]),
    (early, [{"xs": []}, {"xs": [1, 2]}, {"xs": [1, 4, 2]}]),
    (maps, [{"xs": xs, "k": 2} for xs in ([], [1], [2], [1, 2, 3], [3, 0])]),
    (models, [{"rates": [0.1, 0.9, 0.5]}, {"rates": [0.25]}, {"rates": []}]),
    (handled, [{"kind": k} for k in ("none", "index", "raise", "zero", "publish", "small", "value", "key")]),
    (finals, [{"kind": k} for k in ("", "return", "break", "continue", "raise", "task", "swallow")]),
    (raising, [{"kind": k} for k in ("", "assert", "plain", "from", "again", "map", "outer")]),
    (outer_flow, [{"kind": k} for k in ("", "graph", "small", "value", "publish")]),
    (short, [{"x": x} for x in (0, 1, 2, 3, 5)]),
    (texts, [{"s": s, "n": n} for s in ("", "abc", " a,b ", "aaa", "é\U0001f600x") for n in (0, 7)]),
    (lists, [{"xs": xs, "i": 3} for xs in ([3, 1, 2], [1, 1, 3, 3, 0])]),
    (dicts, [{"d": d, "k": "a"} for d in ({}, {"a": 1}, {"b": 2, "a": 0}, {"z": 3})]),
    (arithmetic, [{"a": a, "b": b, "f": f} for a in (-7, 0, 7) for b in (-2, 3, 5) for f in (-2.5, 0.5, 1.5, 4.0)]),
    (arithmetic, [{"a": 1, "b": 0, "f": 1.5}]),
    (tuples, [{"n": 4}]),
    (
        unknown_types,
        [
            {"x": x, "y": y}
            for x in (0, 1, True, None, "", "ab", [], [1], [[]], {}, {"a": 1}, 2.5)
            for y in (0, 1, None, "b", [2], {"a": 1})
            if not (isinstance(x, list) and isinstance(y, list))
        ],
    ),
]


@pytest.mark.parametrize(
    ("flow", "values"),
    [pytest.param(flow, values, id=f"{flow.name}-{values}") for flow, inputs in CASES for values in inputs],
)
def test_both_ways_agree(flow: Any, values: dict[str, Any]) -> None:
    assert_same(flow, **values)


def test_parallel_sleep_and_approve(tmp_path: Path) -> None:
    codec = ValueCodec(FileBlobStore(tmp_path))
    run = start(side_by_side, codec)
    run.tasks["approve"] = lambda arguments: {"ok": True, "asked": arguments["message"]}
    run.run({"n": 3})
    assert run.status == "SUCCEEDED", (run.error, run.cause)
    with answers({"ok": True}):
        expected = plain(side_by_side, n=3).value
    assert codec.load(run.output)[:3] == expected[:3]
    assert run.output[3] == {"ok": True, "asked": "go on with 3?"}


@pipeline
def annotated(value: Any) -> str:
    text: str = echo(value)
    return f"{text.upper()}!"


def test_an_annotation_says_the_type_of_what_has_none() -> None:
    assert assert_same(annotated, value="yes").value == "YES!"
