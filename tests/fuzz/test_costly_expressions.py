"""Expressions that would take all time or all memory there is: they fail, and take little of either."""

from __future__ import annotations

import random
import resource
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the server's extra is not installed")

from skylift.asl.jsonata import compile_jsonata
from skylift.asl.jsonata.library import begin_event
from skylift.asl.jsonata.outside import answer, evaluated_by
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.server.expressions.evaluators import Bounds, Evaluators

COSTLY = {
    "recursion": "($f := function($n){$f($n + 1)}; $f(0))",
    "many calls in little depth": (
        "($f := function($n){$n > 0 ? $f($n - 1) : 0}; $map([1..100000], function($i){$f(300)}))"
    ),
    "doubled text": "$reduce([1..60], function($x, $y){$x & $x}, 'abcdefgh')",
    "doubled text by the library": "$reduce([1..60], function($x, $y){$uppercase($x & $x)}, 'ä')",
    "nested lists": "$string($reduce([1..40], function($x, $y){[[$x], [$x]]}, 'a') ~> $string)",
    "product": "$states.input.($$.states.input.($$.states.input.($$.states.input)))",
    "long separator": "$join($map([1..1000000], $string), $pad('x', 1000000))",
    "long replacement": "$replace($pad('a', 1000000, 'a'), /a/, $pad('b', 1000000, 'b'))",
    "quadratic": "$distinct([1..1000000])",
    "sums of sums": "[1..30000].$sum([1..1000000])",
    "long picture": "$formatNumber(1, $pad('0', 9000000, '0'))",
    "Roman numbers": "$formatInteger(1000000000000000, 'I')",
    "wide pad": "$pad('x', 1000000000)",
    "large result": "[1..9000000]",
}


def scope() -> Scope:
    source = random.Random(1)
    time_of = {"State": {"EnteredTime": "2026-01-01T00:00:00.000Z"}}
    return Scope(input=list(range(300)), variables={}, context=lambda: time_of, random=lambda: source)


def evaluate(text: str) -> Any:
    return compile_jsonata(text).evaluate(scope())


@pytest.fixture(scope="module")
def evaluators() -> Iterator[Evaluators]:
    made = Evaluators(2, Bounds(seconds=0.5, memory=256 * 1024 * 1024))
    with evaluated_by(made.carry):
        yield made
    made.close()


@pytest.fixture(autouse=True)
def event() -> None:
    begin_event()


@pytest.mark.parametrize("name", COSTLY)
def test_what_costs_too_much_fails(evaluators: Evaluators, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    with pytest.raises(EvaluationFailed, match=r"D1012|D3012|D2015|D3130|D1011|too"):
        evaluate(COSTLY[name])
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024
    assert evaluate("$uppercase('é')") == "É"


def test_backtracking_takes_no_time(evaluators: Evaluators) -> None:
    assert evaluate('$count($match($pad("a", 5000, "a") & "!", /^(a+)+$/))') == 0


def test_other_threads_go_on(evaluators: Evaluators) -> None:
    """Neither processes nor the interpreter's lock are held."""

    def hostile() -> None:
        with pytest.raises(EvaluationFailed):
            evaluate(COSTLY["sums of sums"])

    thread = threading.Thread(target=hostile)
    thread.start()
    took = []
    while thread.is_alive():
        began = time.monotonic()
        assert evaluate("$uppercase('é')") == "É"
        took.append(time.monotonic() - began)
    thread.join()
    assert len(took) > 10
    assert sorted(took)[len(took) // 2] < 0.1


@pytest.mark.parametrize(
    "text",
    ["$random()", "$uuid()", "$shuffle([1..20])", "$now()", "$millis()", "$now('[Y]')", "[$random(), $random()]",
     "$hash('a', 'MD5')", "$parse('[1, 1.0, 1e300, 12345678901234567890]')", "$string('\U0001f600é\\u0000')", "null",
     "$partition([1..10], 3)", "$range(0, 1, 0.25)", "1/3 ~> $sqrt", "{'a': [1.0, -0.0]} ~> $spread"],
)  # fmt: skip
def test_the_same_as_here(evaluators: Evaluators, text: str) -> None:
    """Randomness and time are the run's own there too, and go on as they would here."""
    there, here = scope(), scope()
    expression = compile_jsonata(text)
    given = repr([expression.evaluate(there), expression.evaluate(there)])
    assert there.random().getstate() != random.Random(1).getstate() or "$random" not in text
    following = there.random().random()
    with evaluated_by(answer):
        assert repr([expression.evaluate(here), expression.evaluate(here)]) == given
    assert here.random().random() == following


def test_errors_are_told_as_they_are(evaluators: Evaluators) -> None:
    with pytest.raises(EvaluationFailed, match="T0410"):
        evaluate("$uppercase(5)")
    with pytest.raises(EvaluationFailed, match="returned nothing"):
        evaluate("$uppercase($nothing)")


def test_processes_end(evaluators: Evaluators) -> None:
    own = Evaluators(1)
    with evaluated_by(own.carry):
        assert evaluate("$uppercase('é')") == "É"
        (child,) = own._children
        own.close()
        assert child._process.returncode is not None
        with pytest.raises(EvaluationFailed, match="ending"):
            evaluate("$uppercase('é')")
