import random
import threading
from typing import Any

import pytest

from skylift.asl.choice import compile_rule
from skylift.asl.document import Comparison
from skylift.asl.intrinsics import InvalidIntrinsic, compile_intrinsic
from skylift.asl.jsonata import JsonataSyntaxError, compile_jsonata
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.template import compile_template


class Vars(dict):
    def as_mapping(self) -> dict:
        return self


def scope(value: Any = None, **variables: Any) -> Scope:
    context = {"State": {"EnteredTime": "2026-01-02T03:04:05.678Z"}}
    return Scope(
        input=value, context=lambda: context, variables=Vars(variables), random=lambda: random.Random(7), result=3
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$states.input.a", 2**60 + 1),
        ("$states.result + 1", 4),
        ("$x.`odd name`", 5),
        ("$count", 9),
        ("$sum([$count, 1])", 10),
        ("($x := 1; $x + 1)", 2),
        ("$map([1, 2], function($x) { $x * 2 })", [2, 4]),
        ("$now()", "2026-01-02T03:04:05.678Z"),
        ("$toMillis($now())", 1767323045678),
        ("$hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("$range(1, 9, 2)", [1, 3, 5, 7, 9]),
        ('"$x" /* $x */ & $string($x.b)', "$x1"),
        ("$x.c[$ > 1]", [2, 3]),
        ("$x.missing = null", False),
        ("$states.input.n", None),
        ("$formatInteger(12, 'w')", "twelve"),
    ],
)
def test_value(text: str, wanted: Any) -> None:
    given = scope({"a": 2**60 + 1, "n": None}, x={"odd name": 5, "b": 1, "c": [1, 2, 3]}, count=9)
    assert compile_jsonata(text).evaluate(given, "Output") == wanted


def test_names() -> None:
    compiled = compile_jsonata("$a + $states.input.x + ($b := 1; $b)[$states.context.y]")
    assert compiled.variables == {"a"}
    assert compiled.reads == {"input", "context"}
    assert compile_jsonata("$states").reads == {"input", "result", "errorOutput", "context"}


@pytest.mark.parametrize("text", ["(", "a[", '"abc', "1 +", "$x :=", "/abc", "{'a'}", "", "#", "1), (2", '1), "w": (2'])
def test_syntax_error(text: str) -> None:
    with pytest.raises(JsonataSyntaxError):
        compile_jsonata(text)


def test_eval_is_refused_and_errors_are_worded() -> None:
    for text in ('$eval("1")', '"a" + 1', "$nope(1)", "1 / 0", "$formatInteger(1e300, 'w')"):
        with pytest.raises(EvaluationFailed) as failed:
            compile_jsonata(text).evaluate(scope(), "Output")
        assert failed.value.cause.startswith(f"The JSONata expression '{text}' specified for the field 'Output' threw")
        assert failed.value.location == "Output"


def test_the_same_randomness_gives_the_same_values() -> None:
    for text in ("$random()", "$uuid()", "$shuffle([1..9])"):
        assert compile_jsonata(text).evaluate(scope()) == compile_jsonata(text).evaluate(scope())


def test_other_threads_may_evaluate() -> None:
    compiled = compile_jsonata("$fromMillis(0)")
    compiled.evaluate(scope())
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(compiled.evaluate(scope())))
    thread.start()
    thread.join()
    assert found == ["1970-01-01T00:00:00.000Z"]


def test_large_lists_are_not_copied() -> None:
    items = [{"a": 1}]
    assert compile_jsonata("$xs").evaluate(scope(xs=items)) is items
    assert compile_jsonata("$xs").evaluate(scope(xs=[1.0])) == [1.0]


def test_templates() -> None:
    made = compile_template({"a.$": "$.x", "b": [{"c.$": "States.MathAdd($.x, 1)"}], "d": "$.x"}, "JSONPath")
    assert made.evaluate(scope({"x": 1})) == {"a": 1, "b": [{"c": 2}], "d": "$.x"}
    made = compile_template({"a": "{% $x %}", "b": [1, "{% $x + 1 %}"]}, "JSONata", "Output")
    assert made.evaluate(scope(x=1)) == {"a": 1, "b": [1, 2]}
    assert compile_template({"a": [1]}, "JSONata", "Output").constant


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("States.Format('{} \\{\\} {}', 1.5, true)", "1.5 {} true"),
        ("States.ArrayUnique(States.Array(1, 1, true, 'a', 'a'))", [1, True, "a"]),
        ("States.ArrayRange(5, 1, -2)", [5, 3, 1]),
        ("States.JsonMerge($.a, $.b, false)", {"x": 2, "y": 3}),
        ("States.StringSplit('a.b+c', '.+')", ["a", "b", "c"]),
        ("States.Base64Decode(States.Base64Encode('hé'))", "hé"),
        ("States.ArrayLength($.l)", 2),
    ],
)
def test_intrinsic(call: str, wanted: Any) -> None:
    given = scope({"a": {"x": 1}, "b": {"x": 2, "y": 3}, "l": [1, 2]})
    assert compile_intrinsic(call).evaluate(given) == wanted


@pytest.mark.parametrize(
    "call", ["States.Nope()", "States.UUID(", "States.MathAdd(1)", "Format('a')", "States.UUID() x"]
)
def test_not_an_intrinsic(call: str) -> None:
    with pytest.raises(InvalidIntrinsic):
        compile_intrinsic(call)


@pytest.mark.parametrize(
    "call",
    [
        "States.ArrayRange(1, 5000, 1)",
        "States.ArrayRange(1, 5, 0)",
        "States.ArrayGetItem(States.Array(1), 1)",
        "States.Format('{}')",
        "States.Hash('a', 'CRC')",
        "States.StringToJson('{')",
        "States.MathAdd('a', 1)",
        "States.ArrayLength($.missing)",
    ],
)
def test_intrinsic_fails(call: str) -> None:
    with pytest.raises(EvaluationFailed) as failed:
        compile_intrinsic(call).evaluate(scope({}))
    assert failed.value.error == "States.IntrinsicFailure"


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("log-*.txt", "log-1.txt", True),
        ("log-*.txt", "log-1.tx", False),
        ("a*a", "a", False),
        ("\\*", "*", True),
        ("\\*", "x", False),
        ("*a*b*", "xaxbx", True),
        ("a" + "*a" * 30 + "b", "a" * 2_000, False),
    ],
)
def test_string_matches(pattern: str, text: str, wanted: bool) -> None:
    rule = compile_rule(Comparison(pointer="", variable="$", operator="StringMatches", operand=pattern))
    assert rule(scope(text)) is wanted


def test_missing_variable_of_a_rule() -> None:
    with pytest.raises(EvaluationFailed) as failed:
        compile_rule(Comparison(pointer="", variable="$.x", operator="NumericEquals", operand=1))(scope({}))
    assert failed.value.error == "States.Runtime"
    assert failed.value.cause.startswith("Invalid path '$.x': The choice state's condition path references")
