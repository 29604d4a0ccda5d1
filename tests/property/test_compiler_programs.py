# ruff: noqa: E501 - snippets
"""Random pipelines: plain call = durable run = run after crashes; strange syntax is refused, never a crash."""

from __future__ import annotations

import ast
import linecache
import tempfile
import textwrap
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from skylift import CompileError, Pipeline, parallel, sleep, task
from skylift.asl.parse import parse
from skylift.sdk.pipeline import pipeline
from skylift.stores.files import FileBlobStore
from skylift.testing.parity import assert_same, assert_same_after_crashes, crashing_world
from skylift.values.codec import ValueCodec


@task
def inc(x: int) -> int:
    return x + 1


@task
def odd(x: int) -> bool:
    return x % 2 == 1


@task
def same(x: Any) -> Any:
    return x


@task
def spread(n: int) -> list[int]:
    return list(range(n % 4))


@task
def risky(x: int) -> int:
    if x % 3 == 0:
        raise ValueError(f"bad {x}")
    if x % 3 == 1:
        raise KeyError("k")
    return x


_files = count()
_NAMES: dict[str, Any] = {
    "inc": inc, "odd": odd, "same": same, "spread": spread, "risky": risky,
    "parallel": parallel, "sleep": sleep, "pipeline": pipeline,
}  # fmt: skip


def build(source: str) -> Pipeline[..., Any]:
    """A pipeline from text, with its source where the compiler finds it."""
    file = f"<made {next(_files)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {**_NAMES, "__name__": "made"}
    exec(compile(source, file, "exec", dont_inherit=True), names)  # noqa: S102
    return pipeline(names["flow"])


INTS, STRS, LISTS, DICTS = "a b n", "s t", "xs ys", "d"


def names(of: str) -> st.SearchStrategy[str]:
    return st.sampled_from(of.split())


small = st.integers(-3, 5).map(str)
texts = st.sampled_from(['""', '"a"', '"ab"', '"b,c"', '" x "', '"é"'])


@st.composite
def integer(draw: Any, depth: int = 3, tasks: bool = True) -> str:
    if depth == 0:
        return draw(st.one_of(small, names(INTS)))

    def inner() -> str:
        return draw(integer(depth - 1, tasks))

    kind = draw(st.integers(0, 15 if tasks else 11))
    match kind:
        case 0 | 1:
            return draw(st.one_of(small, names(INTS)))
        case 2:
            return f"({inner()} {draw(st.sampled_from(['+', '-', '*']))} {inner()})"
        case 3:
            return f"({inner()} {draw(st.sampled_from(['//', '%']))} {inner()})"
        case 4:
            return f"({inner()} if {draw(boolean(depth - 1, tasks))} else {inner()})"
        case 5:
            return f"len({draw(st.one_of(names(LISTS), names(STRS), names(DICTS)))})"
        case 6:
            return f"{draw(names(LISTS))}[{inner()}]"
        case 7:
            return f"({inner()} {draw(st.sampled_from(['and', 'or']))} {inner()})"
        case 8:
            return f"{draw(st.sampled_from(['min', 'max']))}({inner()}, {inner()})"
        case 9:
            return f"abs(-{inner()})"
        case 10:
            return f"d.get({draw(text(depth - 1, tasks))}, {inner()})"
        case 11:
            return f"d[{draw(text(depth - 1, tasks))}]"
        case 12 | 13:
            return f"inc({inner()})"
        case 14:
            return f"risky({inner()})"
        case _:
            return f"sum({draw(integers(depth - 1, tasks))})"


@st.composite
def boolean(draw: Any, depth: int = 2, tasks: bool = True) -> str:
    if depth <= 0:
        return draw(st.sampled_from(["True", "False", "xs", "s", "n", "d", "a > b", "not t"]))

    def one() -> str:
        return draw(integer(depth - 1, tasks))

    kind = draw(st.integers(0, 8 if tasks else 6))
    match kind:
        case 0:
            return f"{one()} {draw(st.sampled_from(['<', '<=', '==', '!=', '>']))} {one()}"
        case 1:
            return f"{one()} < {one()} <= {one()}"
        case 2:
            return f"({draw(boolean(depth - 1, tasks))} and {draw(boolean(depth - 1, tasks))})"
        case 3:
            return f"({draw(boolean(depth - 1, tasks))} or {draw(boolean(depth - 1, tasks))})"
        case 4:
            return f"(not {draw(boolean(depth - 1, tasks))})"
        case 5:
            return f"({one()} in {draw(names(LISTS))})"
        case 6:
            return f"({draw(text(depth - 1, tasks))} in {draw(st.sampled_from(['s', 'd', 't']))})"
        case 7:
            return f"odd({one()})"
        case _:
            return f"any([{one()} > x for x in {draw(integers(depth - 1, tasks))}])"


@st.composite
def text(draw: Any, depth: int = 2, tasks: bool = True) -> str:
    if depth <= 0:
        return draw(st.one_of(texts, names(STRS)))
    kind = draw(st.integers(0, 7))
    inner = draw(text(depth - 1, tasks))
    match kind:
        case 0:
            return inner
        case 1:
            return f"({inner} + {draw(text(depth - 1, tasks))})"
        case 2:
            return f'f"{{{draw(names(INTS))}}}-{{{draw(names(STRS))}}}"'
        case 3:
            return f"{inner}." + draw(st.sampled_from(["upper()", "strip()", "replace('a', 'zz')"]))
        case 4:
            return f"str({draw(integer(depth - 1, tasks))})"
        case 5:
            low, high = draw(st.integers(-3, 3)), draw(st.integers(-3, 3))
            return f"{inner}[{low}:{high}]"
        case 6:
            return f'",".join([{inner}, {draw(text(depth - 1, tasks))}])'
        case _:
            return f"({inner} or {draw(text(depth - 1, tasks))})"


@st.composite
def integers(draw: Any, depth: int = 2, tasks: bool = True) -> str:
    if depth <= 0:
        return draw(names(LISTS))

    def one() -> str:
        return draw(integer(depth - 1, tasks))

    inner = draw(integers(depth - 1, tasks))
    kind = draw(st.integers(0, 10 if tasks else 7))
    match kind:
        case 0:
            return f"[{one()}, {one()}]"
        case 1:
            return f"[x + {draw(names(INTS))} for x in {inner}]"
        case 2:
            return f"[x for x in {inner} if x > {draw(names(INTS))}]"
        case 3:
            return f"({inner} + {draw(integers(depth - 1, tasks))})"
        case 4:
            step = draw(st.sampled_from(["", ":2", ":-1", ":-2"]))
            return f"{inner}[{draw(st.integers(-3, 3))}:{draw(st.integers(-3, 3))}{step}]"
        case 5:
            return f"sorted({inner}{draw(st.sampled_from(['', ', reverse=True', ', key=lambda v: -v']))})"
        case 6:
            return f"[i * x for i, x in enumerate({inner})]"
        case 7:
            return f"[x + y for x, y in zip({inner}, {draw(names(LISTS))})]"
        case 8:
            return f"[inc(x) + {draw(names(INTS))} for x in {inner}]"
        case 9:
            return f"[{draw(st.sampled_from(['inc(x)', 'risky(x)', 'x']))} for x in {inner} if odd(x)]"
        case _:
            return f"[inc(x * y) for x in {inner} for y in {draw(names(LISTS))}]"


@st.composite
def block(draw: Any, depth: int, in_loop: bool = False) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        lines += draw(statement(depth, in_loop))
    return lines


def indent(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


@st.composite
def statement(draw: Any, depth: int, in_loop: bool) -> list[str]:
    kind = draw(st.integers(0, 15 if depth else 8))
    match kind:
        case 0 | 1:
            return [f"{draw(names(INTS))} = {draw(integer())}"]
        case 2:
            return [f"{draw(names(STRS))} = {draw(text())}"]
        case 3:
            return [f"{draw(names(LISTS))} = {draw(integers())}[:6]"]
        case 4:
            return [f"log.append({draw(integer(1))})"]
        case 5:
            return [f"a, b = {draw(integer(1))}, {draw(integer(1))}"]
        case 6:
            return [f"d[{draw(text(1))}] = {draw(integer(1))}"]
        case 7:
            return [f"{draw(names(INTS))} {draw(st.sampled_from(['+=', '-=', '*=']))} {draw(small)}"]
        case 8:
            if in_loop:
                return [f"if {draw(boolean(1))}:", "    " + draw(st.sampled_from(["break", "continue"]))]
            return [f"if {draw(boolean(1))}:", f"    return [{draw(integer(1))}, log]"]
        case 9 | 10:
            lines = [f"if {draw(boolean())}:", *indent(draw(block(depth - 1, in_loop)))]
            if draw(st.booleans()):
                lines += ["else:", *indent(draw(block(depth - 1, in_loop)))]
            return lines
        case 11 | 12:
            over = draw(st.sampled_from(["range(3)", "range(n % 4)", "range(3, -1, -2)", "list(xs)", "spread(n)"]))
            lines = [f"for i in {over}:", *indent(["log.append(i)", *draw(block(depth - 1, True))])]
            if draw(st.booleans()):
                lines += ["else:", *indent(draw(block(depth - 1, in_loop)))]
            return lines
        case 13:
            counter = f"k{depth}"
            return [
                f"{counter} = 0",
                f"while {counter} < 3 and {draw(boolean(1))}:",
                *indent([f"{counter} += 1", *draw(block(depth - 1, True))]),
            ]
        case _:
            lines = ["try:", *indent(draw(block(depth - 1, in_loop)))]
            shape = draw(st.integers(0, 3))
            if shape != 3:
                caught = draw(
                    st.sampled_from(["ValueError", "LookupError", "Exception", "(KeyError, ZeroDivisionError)"])
                )
                body = draw(st.sampled_from([["log.append(-1)"], ["raise"], ['raise RuntimeError("again")'], []]))
                lines += [f"except {caught} as error:", *indent([*body[:0], "s = str(error)[:0]", *body])]
            if shape == 1:
                lines += ["else:", *indent(draw(block(depth - 1, in_loop)))]
            if shape in (2, 3):
                lines += ["finally:", *indent(["log.append(-9)", *draw(block(0, in_loop))])]
            return lines


@st.composite
def programs(draw: Any) -> str:
    lines = [
        "def flow(n: int, xs: list[int], s: str):",
        "    a, b, t = 1, 2, 'q'",
        "    log = []",
        "    ys = [1, n]",
        "    d = {'a': 1}",
        *indent(draw(block(2))),
        "    return [a, b, n, s, t, xs, ys, d, log]",
    ]
    return "\n".join(lines) + "\n"


inputs = st.fixed_dictionaries(
    {
        "n": st.integers(-2, 6),
        "xs": st.lists(st.integers(-2, 4), max_size=3),
        "s": st.sampled_from(["", "a", "ab", " a"]),
    }
)


seeds = st.integers(0, 2**32)


def check(source: str, values: dict[str, Any], seed: int) -> None:
    flow = build(source)
    try:
        definition = flow.compile().definition
    except CompileError as refusal:
        assert "may be shared" in refusal.message or "may have no value" in refusal.message, (source, refusal.message)
        reject()
    assert parse(definition).diagnostics == (), source
    try:
        assert_same(flow, **values)
        assert_same_after_crashes(flow, seed, **values)
    except AssertionError as problem:
        raise AssertionError(f"{source}\nseed: {seed}\n{problem}") from None


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), inputs, seeds)
def test_compiled_programs_do_what_python_does(source: str, values: dict[str, Any], seed: int) -> None:
    check(source, values, seed)


@pytest.mark.slow
@settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), inputs, seeds)
def test_many_compiled_programs_do_what_python_does(source: str, values: dict[str, Any], seed: int) -> None:
    check(source, values, seed)


NESTED = """
@pipeline
def inner(x: int) -> int:
    return risky(x) + 1

def flow(xs: list[int]):
    total = 0
    for x in xs:
        try:
            total += inner(x)
        except ValueError as error:
            total += 100
        sleep(1)
    both = parallel(inc(total), [inc(x) for x in xs])
    return [both[0], both[1]]
"""


def test_crashes_do_happen_and_change_nothing() -> None:
    """Else the tests above prove nothing."""
    flow = build(NESTED)
    crashes = 0
    for seed in range(10):
        assert assert_same_after_crashes(flow, seed, xs=[2, 3, 5]).value == [110, [3, 4, 6]]
        with tempfile.TemporaryDirectory() as folder:
            world = crashing_world(flow, seed, ValueCodec(FileBlobStore(Path(folder))), xs=[2, 3, 5])
            world.run()
            crashes += world.crashes
    assert crashes > 20


SNIPPETS = [
    "x = lambda: 1", "x = yield 1", "x = [*xs, 1]", "x = {**d}", "x = {n}", "x = n if s else xs", "del n", "del xs[0]",
    "xs[0] = xs", "x: int", "x: int = 1", "global q", "import os", "with n: pass", "async def f(): pass", "class C: pass",
    "x = n @ n", "x = n << 2", "x = ~n", "x = (y := 2)", "x = f'{n!r:>10}'", "x = xs[::0]", "x = n[0]", "x = s % n",
    "raise n", "raise ValueError('a', 'b')", "raise", "assert n, s", "try:\n    pass\nexcept n:\n    pass",
    "try:\n    pass\nexcept* ValueError:\n    pass", "for x.y in xs: pass", "for x[0] in xs: pass", "while n: break",
    "x = print(n)", "print(n, s, sep='-')", "print(end='')", "x = range(3)", "x = zip(xs)", "x = sorted(xs, key=len)",
    "x = max()", "x = sum(s)", "x = int(s)", "x = float(s)", "x = isinstance(n, int)", "x = dict([(1, 2)])", "x = set()",
    "x = inc", "x = inc(*xs)", "x = inc(n, n)", "x = inc()", "x = n.real", "x = s.encode()", "x = xs.append(1)",
    "x = [y for y in xs if (z := y)]", "x = {k: v for k, v in d}", "x = {y for y in xs}", "x = (y for y in xs)",
    "x = ...", "x = b'a'", "x = 1j", "x = 10**400", "x = 1e308 * 10", "x = __name__", "x = open", "x = not_there",
    "match n:\n    case 1: pass", "nonlocal n", "x, *y = xs", "[x, y] = xs", "x = y = []", "return (yield)",
    "x = await n", "x = n[1:2, 3]", "x = xs[None]", "x = 'a' 'b'", "x = n is None", "x = n is n", "pass", "'doc'",
    "x = same(n)[0].y", "x = same(n) + same(s)", "for x in same(n): pass", "x = [inc(y) for y in same(n)]",
    "if same(n): pass", "x = -same(n)", "x = same(n) < 3", "x = f'{same(n)}'", "x = same(n)(1)", "x = xs[0](1)",
    "x = None.y", "x = (1, 2)[3]", "x = {}['a']", "x = [] * n", "x = s * s", "x = None + 1", "x = -s", "x = len(n)",
]  # fmt: skip


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_any_syntax_compiles_or_is_refused(snippet: str) -> None:
    source = "def flow(n: int, xs: list[int], s: str, d: dict[str, int]):\n" + textwrap.indent(snippet, "    ") + "\n"
    try:
        ast.parse(source)
        flow = build(source)
    except Exception as problem:  # noqa: BLE001 - whatever it says
        pytest.skip(f"not a function Python or @pipeline takes: {problem}")
    try:
        flow.compile()
    except CompileError as error:
        assert error.hint
        assert "<made" in error.message
