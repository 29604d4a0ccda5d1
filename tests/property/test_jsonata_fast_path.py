"""The fast path gives what the library gives: same value, or both fail, or both give nothing."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.asl.jsonata import compile_jsonata
from skylift.asl.jsonata.library import NOTHING, JsonataError
from skylift.asl.jsonata.values import Fallback, same
from skylift.asl.scope import Scope

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([0.5, -1.5, 2.25, 1e-3])
    | st.sampled_from(["", "a", "b", "ab", "é", "😀", "1", "x y"])
)
BINARY = "+ - * / % < <= > >= = != and or in &".split()  # noqa: SIM905
ONE = """
    count exists not boolean type string number sum max min average floor ceil abs round length uppercase lowercase
    trim keys merge sort reverse join
""".split()  # noqa: SIM905
keys = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
leaves = st.sampled_from(
    """
    $x $y $z $states.input $states.input.a $states.result.a.b $x.a $y.b.c $nope 0 1 -1 2.5 "a" 'b' "" true false null
    [] {} [1..3] $z[0] $x[-1]
    """.split()  # noqa: SIM905
)


def combine(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(BINARY)
    one = st.sampled_from(ONE)
    two = st.sampled_from(["append", "contains", "split", "lookup", "join", "substring"])
    return st.one_of(
        st.builds("({}) {} ({})".format, inner, binary, inner),
        st.builds("$type({0}) = 'array' ? $count({0}) > 0 : {1}".format, inner, inner),
        st.builds("(({}) ? ({}) : ({}))".format, inner, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds('{{"a": {}, "b": {}}}'.format, inner, inner),
        st.builds("${}({})".format, one, inner),
        st.builds("${}({}, {})".format, two, inner, inner),
        st.builds("({}).{}".format, inner, keys),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({})[{} {} {}]".format, inner, st.sampled_from(["$", "a", "$.b"]), binary, inner),
        st.builds("$states.input.a[{}].b".format, inner),
        st.builds("($q := {}; $x := {}; [$q, $x, $y])".format, inner, inner),
        st.builds("$map({}, function($v, $i) {{ [$v, $i, {}] }})".format, inner, inner),
        st.builds("$map({}, function($v) {{ $v.a }})".format, inner),
        st.builds("$filter({}, function($x) {{ $x = {} }})".format, inner, inner),
        st.builds("$reduce({}, function($p, $v) {{ $append($p, $v) }}, {})".format, inner, inner),
        st.builds("($f := function($x) {{ {} }}; $f({}))".format, inner, inner),
        st.builds("-({})".format, inner),
    )


expressions = st.recursive(leaves, combine, max_leaves=5)


class Vars(dict):
    def as_mapping(self) -> dict:
        return self


def outcome(evaluate: Any, scope: Scope) -> Any:
    try:
        return evaluate(scope)
    except JsonataError:
        return JsonataError


def check(expression: str, x: Any, y: Any, z: Any, entered: Any, result: Any) -> None:
    variables = Vars(x=x, y=y, z=z)
    scope = Scope(input=entered, result=result, context=dict, variables=variables, random=lambda: random.Random(1))
    compiled = compile_jsonata(expression)
    if compiled.fast is None:
        return
    try:
        quick = outcome(compiled.fast, scope)
    except Fallback:
        return
    slow = outcome(compiled._library.evaluate, scope)
    if slow is NOTHING or slow is JsonataError or quick is NOTHING or quick is JsonataError:
        assert quick is slow, (expression, quick, slow)
    else:
        assert same(quick, slow), (expression, quick, slow)


@settings(max_examples=200, deadline=None)
@given(expressions, values, values, values, values, values)
def test_fast_path_is_the_library(expression: str, x: Any, y: Any, z: Any, entered: Any, result: Any) -> None:
    check(expression, x, y, z, entered, result)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(expressions, values, values, values, values, values)
def test_fast_path_is_the_library_at_length(expression: str, x: Any, y: Any, z: Any, entered: Any, result: Any) -> None:
    check(expression, x, y, z, entered, result)
