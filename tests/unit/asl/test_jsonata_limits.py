"""Expressions are bounded by counts, not by time: the same answer on every machine, and nobody waits long for it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from skylift.asl.jsonata import compile_jsonata, fast, library
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.state import NO_VARIABLES


def evaluate(text: str) -> Any:
    scope = Scope(input={}, context=dict, variables=NO_VARIABLES, random=lambda: random.Random(1))
    return compile_jsonata(text).evaluate(scope)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("( $f := function($n){ $f($n + 1) }; $f(0) )", "D1012"),
        ("( $f := λ($n){ $f($n + 1) }; $f(0) )", "D1012"),
        ("( $f := function($n)<n:n>{ $f($n + 1) }; $f(0) )", "D1012"),
        ("( $f := function($n){ 1 + $f($n + 1) }; $f(0) )", "D1011"),
        ("$map([1..10000], function($v){ $map([1..1000], function($w){ $w }) })", "D1012"),
        ("$count([1..100000000])", "D2014"),
        ("$pad('x', 1000000000)", "D3012"),
    ],
)
def test_what_would_never_end_ends(text: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "MOST_CALLS", 20_000)
    monkeypatch.setattr(fast, "MOST_STEPS", 20_000)
    causes = []
    for _ in range(2):
        with pytest.raises(EvaluationFailed) as failed:
            evaluate(text)
        causes.append(failed.value.cause)
        assert failed.value.error == "States.QueryEvaluationError"
    assert code in causes[0]
    assert causes[0] == causes[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("( $f := function($n){ $n >= 5000 ? $n : $f($n + 1) }; $f(0) )", 5000),
        ("( $f := function($n){ $n <= 1 ? 1 : $n + $f($n - 1) }; $f(80) )", 3240),
        ("$map([1, 2], function($v, $i)<nn:n>{ $v + $i /* } */ })", [1, 3]),
        ("$map(['a', 'b'], function($v){ $v & '}' })", ["a}", "b}"]),
        ("λ($x){ $x * 2 }(4)", 8),
        ("( $add := function($x){ function($y){ $x + $y } }; $add(1)(2) )", 3),
        ("[1, 2] ~> $map(function($x){ {'a': {'b': $x}} })", [{"a": {"b": 1}}, {"a": {"b": 2}}]),
        ("{'function': 1}.`function`", 1),
        ("$pad('a', 3, '#') & $pad('b', -3) & $pad('long', 2)", "a##  blong"),
        ("$pad('a', 4, 'xy')", "axyx"),
    ],
)
def test_counting_changes_no_answer(text: str, expected: Any) -> None:
    assert evaluate(text) == expected
