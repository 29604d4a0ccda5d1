"""The language, clause by clause: numbers written as paths and expressions, choice operators, retries, error names."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from msgspec import json

from skylift.asl.commands import StartTask
from skylift.asl.intrinsics import compile_intrinsic
from skylift.asl.jsonata import compile_jsonata
from skylift.asl.limits import SERVICE
from skylift.asl.machine import Machine
from skylift.asl.parse import load, parse
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.state import NO_VARIABLES
from skylift.testing.virtual import START_MS, After, TaskError, VirtualRun, run_document

WORK = "arn:aws:states:::skylift:work"
TASK = {"Type": "Task", "Resource": WORK, "End": True}


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)


def one(state: dict[str, Any], language: str, **more: dict[str, Any]) -> Any:
    return load({"QueryLanguage": language, "StartAt": "A", "States": {"A": state, **more}})


def run(state: dict[str, Any], value: Any, language: str = "JSONPath", work: Any = None, **more: Any) -> VirtualRun:
    return run_document(one(state, language, **more.pop("states", {})), value, {"work": work or (lambda n: n)}, **more)


# -- numbers and times -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "fields"),
    [
        ("JSONPath", {"Seconds": 7}),
        ("JSONPath", {"SecondsPath": "$.n"}),
        ("JSONPath", {"Timestamp": "2026-01-01T00:00:07Z"}),
        ("JSONPath", {"TimestampPath": "$.t"}),
        ("JSONata", {"Seconds": 7}),
        ("JSONata", {"Seconds": "{% $states.input.n %}"}),
        ("JSONata", {"Timestamp": "2026-01-01T01:00:07+01:00"}),
        ("JSONata", {"Timestamp": "{% $states.input.t %}"}),
    ],
)
def test_wait_in_all_forms(language: str, fields: dict[str, Any]) -> None:
    ended = run({"Type": "Wait", **fields, "End": True}, {"n": 7, "t": "2026-01-01T00:00:07.000Z"}, language)
    assert (ended.status, ended.now_ms - START_MS) == ("SUCCEEDED", 7_000)


@pytest.mark.parametrize("value", [-1, 1.5, "soon", None, True, 100_000_000])
def test_wait_refuses_what_is_no_number_of_seconds(value: Any) -> None:
    ended = run({"Type": "Wait", "SecondsPath": "$.n", "End": True}, {"n": value})
    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")
    assert "SecondsPath" in str(ended.cause)
    ended = run({"Type": "Wait", "Seconds": "{% $states.input.n %}", "End": True}, {"n": value}, "JSONata")
    assert (ended.status, ended.error) == ("FAILED", "States.QueryEvaluationError")


def test_a_time_that_is_past_is_no_wait() -> None:
    ended = run({"Type": "Wait", "TimestampPath": "$.t", "End": True}, {"t": "1999-01-01T00:00:00Z"})
    assert (ended.status, ended.now_ms) == ("SUCCEEDED", START_MS)
    assert run({"Type": "Wait", "TimestampPath": "$.t", "End": True}, {"t": "yesterday"}).error == "States.Runtime"


@pytest.mark.parametrize(
    ("language", "fields", "error", "after_s"),
    [
        ("JSONPath", {"TimeoutSeconds": 5}, "States.Timeout", 5),
        ("JSONPath", {"TimeoutSecondsPath": "$.n"}, "States.Timeout", 6),
        ("JSONata", {"TimeoutSeconds": "{% $states.input.n %}"}, "States.Timeout", 6),
        ("JSONPath", {"HeartbeatSeconds": 3}, "States.HeartbeatTimeout", 3),
        ("JSONPath", {"TimeoutSeconds": 50, "HeartbeatSecondsPath": "$.n"}, "States.HeartbeatTimeout", 6),
        ("JSONata", {"HeartbeatSeconds": "{% $states.input.n - 2 %}"}, "States.HeartbeatTimeout", 4),
    ],
)
def test_time_limits_in_all_forms(language: str, fields: dict[str, Any], error: str, after_s: int) -> None:
    ended = run({**TASK, **fields}, {"n": 6}, language, lambda n: After(100))
    assert (ended.error, ended.now_ms - START_MS) == (error, after_s * 1000)


PROCESSOR = {"StartAt": "X", "States": {"X": TASK}}
DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **PROCESSOR}


@pytest.mark.parametrize("processor", [PROCESSOR, DISTRIBUTED])
@pytest.mark.parametrize(
    ("language", "fields", "together"),
    [
        ("JSONPath", {"MaxConcurrency": 2}, 2),
        ("JSONPath", {"MaxConcurrency": 0}, 6),
        ("JSONPath", {"MaxConcurrencyPath": "$.n"}, 3),
        ("JSONata", {"MaxConcurrency": "{% $states.input.n %}"}, 3),
    ],
)
def test_max_concurrency_in_all_forms(processor: Any, language: str, fields: dict[str, Any], together: int) -> None:
    items = {"ItemsPath": "$.l"} if language == "JSONPath" else {"Items": "{% $states.input.l %}"}
    state = {"Type": "Map", **items, "ItemProcessor": processor, "End": True, **fields}
    started = VirtualRun(one(state, language), {"work": lambda n: After(1, n)})
    started.start({"n": 3, "l": list(range(6))})
    assert len(list(started.state.pending())) == together
    assert started.go_on().output == list(range(6))


def test_an_inline_map_of_the_service_runs_forty_at_once() -> None:
    state = {"Type": "Map", "ItemProcessor": PROCESSOR, "End": True}
    started = VirtualRun(one(state, "JSONPath"), {"work": lambda n: After(1, n)}, limits=SERVICE)
    started.start(list(range(100)))
    assert sum(isinstance(command, StartTask) for command in started.state.pending()) == 40


@pytest.mark.parametrize(
    ("language", "fields", "fails"),
    [
        ("JSONPath", {}, True),
        ("JSONPath", {"ToleratedFailureCount": 2}, False),
        ("JSONPath", {"ToleratedFailureCount": 1}, True),
        ("JSONPath", {"ToleratedFailureCountPath": "$.two"}, False),
        ("JSONata", {"ToleratedFailureCount": "{% $states.input.two %}"}, False),
        ("JSONPath", {"ToleratedFailurePercentage": 50}, False),
        ("JSONPath", {"ToleratedFailurePercentage": 49.9}, True),
        ("JSONPath", {"ToleratedFailurePercentagePath": "$.half"}, False),
        ("JSONata", {"ToleratedFailurePercentage": "{% $states.input.half %}"}, False),
        ("JSONPath", {"ToleratedFailureCount": 5, "ToleratedFailurePercentage": 10}, True),
    ],
)
def test_tolerated_failures_in_all_forms(language: str, fields: dict[str, Any], fails: bool) -> None:
    def work(item: str) -> str:
        if item == "bad":
            raise TaskError("Broken")
        return item

    items = {"ItemsPath": "$.l"} if language == "JSONPath" else {"Items": "{% $states.input.l %}"}
    state = {"Type": "Map", **items, "ItemProcessor": DISTRIBUTED, "End": True, **fields}
    ended = run(state, {"two": 2, "half": 50, "l": ["a", "bad", "b", "bad"]}, language, work)
    if fails:
        assert (ended.status, ended.error) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    else:
        assert (ended.status, ended.output) == ("SUCCEEDED", ["a", "b"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("MaxConcurrency", -1),
        ("MaxConcurrency", "many"),
        ("ToleratedFailureCount", -1),
        ("ToleratedFailurePercentage", 101),
        ("TimeoutSeconds", 0),
        ("HeartbeatSeconds", 1.5),
    ],
)
def test_numbers_from_a_path_are_checked_when_they_are_read(field: str, value: Any) -> None:
    state = (
        TASK
        if field.endswith("Seconds")
        else {"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": DISTRIBUTED, "End": True}
    )
    ended = run({**state, f"{field}Path": "$.n"}, {"n": value, "l": [1]})
    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")
    assert field in str(ended.cause)


# -- choice ------------------------------------------------------------------------------------------------------------

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
ORDERED = [("String", "a", "b"), ("Numeric", 1, 2), ("Timestamp", EARLY, LATE)]
ORDER = {  # whether it holds of (less, less), (less, more), (more, less)
    "Equals": (True, False, False),
    "LessThan": (False, True, False),
    "LessThanEquals": (True, True, False),
    "GreaterThan": (False, False, True),
    "GreaterThanEquals": (True, False, True),
}
COMPARISONS = [
    (kind + name, left, right, answer)
    for kind, less, more in ORDERED
    for name, answers in ORDER.items()
    for (left, right), answer in zip([(less, less), (less, more), (more, less)], answers, strict=True)
] + [("BooleanEquals", True, True, True), ("BooleanEquals", True, False, False), ("BooleanEquals", 1, True, False)]


def choose(rule: dict[str, Any], value: Any) -> bool:
    state = {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"}
    ends = {name: {"Type": "Pass", "Result": name == "Yes", "End": True} for name in ("Yes", "No")}
    ended = run(state, value, states=ends)
    assert ended.status == "SUCCEEDED", ended.cause
    return bool(ended.output)


@pytest.mark.parametrize(("operator", "left", "right", "answer"), COMPARISONS)
def test_every_comparison_with_a_constant_and_with_a_path(operator: str, left: Any, right: Any, answer: bool) -> None:
    assert choose({"Variable": "$.x", operator: right}, {"x": left}) is answer
    assert choose({"Variable": "$.x", f"{operator}Path": "$.y"}, {"x": left, "y": right}) is answer
    assert choose({"Variable": "$.x", operator: right}, {"x": [left]}) is False, "another type is never equal"


@pytest.mark.parametrize(
    ("operator", "holds", "does_not"),
    [
        ("IsNull", [None], [0, "", False, [], {}]),
        ("IsNumeric", [0, 1.5, -1], ["1", None, True]),
        ("IsString", ["", "a"], [1, None, ["a"]]),
        ("IsBoolean", [True, False], [0, "true", None]),
        ("IsTimestamp", [EARLY, "2026-01-01T00:00:00.123+02:00"], ["2026-01-01", "x", 1, None]),
    ],
)
def test_every_type_test(operator: str, holds: list[Any], does_not: list[Any]) -> None:
    for value, answer in [*((one, True) for one in holds), *((one, False) for one in does_not)]:
        assert choose({"Variable": "$.x", operator: True}, {"x": value}) is answer, (operator, value)
        assert choose({"Variable": "$.x", operator: False}, {"x": value}) is not answer, (operator, value)


def test_is_present_and_string_matches() -> None:
    assert choose({"Variable": "$.x", "IsPresent": True}, {"x": None})
    assert not choose({"Variable": "$.x", "IsPresent": True}, {})
    assert choose({"Variable": "$.x", "IsPresent": False}, {})
    assert choose({"Variable": "$.x", "StringMatches": "a*.log"}, {"x": "a1.log"})
    assert not choose({"Variable": "$.x", "StringMatches": "a*.log"}, {"x": 1})


def test_and_or_not_and_the_first_that_holds() -> None:
    yes, no = {"Variable": "$.x", "NumericEquals": 1}, {"Variable": "$.x", "NumericEquals": 2}
    value = {"x": 1}
    assert choose({"And": [yes, yes]}, value)
    assert not choose({"And": [yes, no]}, value)
    assert choose({"Or": [no, yes]}, value)
    assert not choose({"Or": [no, no]}, value)
    assert choose({"Not": no}, value)
    assert not choose({"Not": yes}, value)
    assert choose({"And": [{"Or": [no, {"Not": no}]}, yes]}, value)
    assert choose({"Variable": "$.x", "IsPresent": True, "Comment": "first"}, value)


def test_every_operator_is_known_to_the_test_above() -> None:
    from skylift.asl.validation.choice import OPERANDS

    tried = {operator for operator, *_ in COMPARISONS}
    tried |= {f"{operator}Path" for operator in tried}
    tried |= {"IsNull", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp", "IsPresent", "StringMatches"}
    assert tried == set(OPERANDS)


def test_conditions() -> None:
    rules = [{"Condition": "{% $states.input.n > 1 %}", "Next": "Yes", "Output": "{% 'rule' %}"}]
    state = {"Type": "Choice", "Choices": rules, "Default": "No"}
    ends = {name: {"Type": "Pass", "End": True} for name in ("Yes", "No")}
    assert run(state, {"n": 2}, "JSONata", states=ends).output == "rule"
    assert run(state, {"n": 1}, "JSONata", states=ends).output == {"n": 1}
    rules[0]["Condition"] = "{% $states.input.n %}"
    assert run(state, {"n": 2}, "JSONata", states=ends).error == "States.QueryEvaluationError"


# -- retry and catch ---------------------------------------------------------------------------------------------------


def test_retry_with_maximum_delay_and_jitter_in_a_run() -> None:
    def fail(n: Any) -> None:
        raise TaskError("Busy")

    def waits(**more: Any) -> list[float]:
        retrier = {"ErrorEquals": ["Busy"], "IntervalSeconds": 2, "MaxAttempts": 4, "BackoffRate": 3, **more}
        ended = run({**TASK, "Retry": [retrier]}, {}, work=fail)
        times = [event.at_ms for event in ended.history if event.type == "TaskFailed"]
        return [(after - before) / 1000 for before, after in itertools.pairwise(times)]

    assert waits() == [2, 6, 18, 54]
    assert waits(MaxDelaySeconds=10) == [2, 6, 10, 10]
    jittered = waits(JitterStrategy="FULL", MaxDelaySeconds=10)
    assert jittered == waits(JitterStrategy="FULL", MaxDelaySeconds=10), "the same seed, the same jitter"
    assert all(0 <= wait <= most for wait, most in zip(jittered, [2, 6, 10, 10], strict=True))
    assert len(set(jittered)) > 1


def test_retries_run_out_and_the_catcher_answers_on_task_map_and_parallel() -> None:
    count = 0

    def fail(n: Any) -> None:
        nonlocal count
        count += 1
        raise TaskError("Broken", "why")

    answers = {
        "Retry": [{"ErrorEquals": ["Broken"], "IntervalSeconds": 1, "MaxAttempts": 2}],
        "Catch": [{"ErrorEquals": ["Broken"], "Next": "H", "ResultPath": "$.e"}],
        "End": True,
    }
    flows = [{"StartAt": "X", "States": {"X": TASK}}]
    for state in (
        {**TASK, **answers},
        {"Type": "Parallel", "Branches": flows, **answers},
        {"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": flows[0], **answers},
    ):
        count = 0
        ended = run(state, {"l": [1]}, work=fail, states={"H": {"Type": "Pass", "End": True}})
        assert ended.output == {"l": [1], "e": {"Error": "Broken", "Cause": "why"}}
        assert (count, ended.now_ms - START_MS) == (3, 3_000), state["Type"]


def test_no_attempts_is_no_retry() -> None:
    ended = run({**TASK, "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 0}]}, {}, work=lambda n: 1 / 0)
    assert (ended.error, ended.now_ms) == ("ZeroDivisionError", START_MS)


# -- error names -------------------------------------------------------------------------------------------------------

RESERVED = (
    "ALL BranchFailed DataLimitExceeded ExceedToleratedFailureThreshold HeartbeatTimeout Http.Socket IntrinsicFailure "
    "ItemReaderFailed NoChoiceMatched ParameterPathFailure Permissions QueryEvaluationError ResultPathMatchFailure "
    "ResultWriterFailed Runtime TaskFailed Timeout"
)


def test_the_reserved_names_are_known_and_others_are_told() -> None:
    for name in RESERVED.split():
        retry = [{"ErrorEquals": [f"States.{name}"]}]
        assert [found.code for found in parse(document({**TASK, "Retry": retry})).diagnostics] == [], name
    (problem,) = parse(document({**TASK, "Retry": [{"ErrorEquals": ["States.Time"]}]})).diagnostics
    assert (problem.code, "States.Timeout" in problem.mend) == ("UNKNOWN_ERROR_NAME", True)


def document(state: dict[str, Any], language: str = "JSONPath") -> dict[str, Any]:
    return {"QueryLanguage": language, "StartAt": "A", "States": {"A": state}}


def raised(error: str) -> Any:
    def work(n: Any) -> None:
        raise TaskError(error)

    return work


CHOICE = {"Type": "Choice", "Choices": [{"Variable": "$.n", "IsNull": True, "Next": "H"}]}
LOOP = {"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": DISTRIBUTED, "End": True}


@pytest.mark.parametrize(
    ("error", "state", "language", "work"),
    [
        ("States.DataLimitExceeded", TASK, "JSONPath", lambda n: "x" * 300_000),
        ("States.ExceedToleratedFailureThreshold", LOOP, "JSONPath", raised("Any")),
        ("States.HeartbeatTimeout", {**TASK, "HeartbeatSeconds": 1}, "JSONPath", lambda n: After(9)),
        ("States.Timeout", {**TASK, "TimeoutSeconds": 1}, "JSONPath", lambda n: After(9)),
        ("States.IntrinsicFailure", {**TASK, "Parameters": {"x.$": "States.StringToJson('{')"}}, "JSONPath", None),
        ("States.NoChoiceMatched", CHOICE, "JSONPath", None),
        ("States.QueryEvaluationError", {**TASK, "Arguments": "{% $states.input.gone %}"}, "JSONata", None),
        ("States.ResultPathMatchFailure", {**TASK, "ResultPath": "$.n.x"}, "JSONPath", None),
        ("States.Runtime", {**TASK, "InputPath": "$.gone"}, "JSONPath", None),
        ("States.Runtime", {**TASK, "Parameters": {"x.$": "$.gone"}}, "JSONPath", None),
        ("States.Runtime", {**LOOP, "ItemsPath": "$.n"}, "JSONPath", None),
        ("States.TaskFailed", TASK, "JSONPath", raised("States.TaskFailed")),
        ("States.Permissions", TASK, "JSONPath", raised("States.Permissions")),
        ("States.Http.Socket", TASK, "JSONPath", raised("States.Http.Socket")),
    ],
)  # fmt: skip
def test_reserved_errors_are_raised_and_caught(error: str, state: dict[str, Any], language: str, work: Any) -> None:
    end = {"H": {"Type": "Pass", "End": True}}
    to_the_end = end if state["Type"] == "Choice" else {}
    ended = run(state, {"n": 1, "l": [1]}, language, work, states=to_the_end, limits=SERVICE)
    shown = SERVICE.missed_heartbeat if error == "States.HeartbeatTimeout" else error
    assert (ended.status, ended.error) == ("FAILED", shown), ended.cause
    if to_the_end:
        return
    catch = {"Catch": [{"ErrorEquals": [error], "Next": "H"}]}
    ended = run({**state, **catch}, {"n": 1, "l": [1]}, language, work, states=end, limits=SERVICE)
    assert ended.status == ("FAILED" if error == "States.Runtime" else "SUCCEEDED"), "States.Runtime is never caught"


@pytest.mark.parametrize("error", [None, "E", "{% 'E' %}"])
def test_fail_in_all_forms(error: Any) -> None:
    jsonata = {"Type": "Fail", **({} if error is None else {"Error": error, "Cause": "{% 'be' & 'cause' %}"})}
    ended = run(jsonata, {}, "JSONata")
    assert (ended.status, ended.error, ended.cause) == (
        ("FAILED", None, None) if error is None else ("FAILED", "E", "because")
    )
    ended = run({"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}!', $.c)"}, {"e": "E", "c": "C"})
    assert (ended.error, ended.cause) == ("E", "C!")


# -- functions ---------------------------------------------------------------------------------------------------------


def scope(value: Any, **variables: Any) -> Scope:
    return Scope(input=value, context=dict, variables=NO_VARIABLES, random=lambda: random.Random(1))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("States.Array('a', 1, $.l)", ["a", 1, [1, 2, 3]]),
        ("States.ArrayPartition($.l, 2)", [[1, 2], [3]]),
        ("States.ArrayContains($.l, 2)", True),
        ("States.ArrayRange(1, 9, 4)", [1, 5, 9]),
        ("States.ArrayGetItem($.l, 1)", 2),
        ("States.ArrayLength($.l)", 3),
        ("States.ArrayUnique(States.Array(1, 1, 2))", [1, 2]),
        ("States.Base64Encode('hé')", "aMOp"),
        ("States.Base64Decode('aMOp')", "hé"),
        ("States.Hash('a', 'MD5')", "0cc175b9c0f1b6a831c399e269772661"),
        ("States.Hash('a', 'SHA-1')", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
        ("States.JsonMerge($.a, $.b, false)", {"x": 2}),
        ("States.StringToJson('[1]')", [1]),
        ("States.JsonToString($.a)", '{"x":1}'),
        ("States.MathAdd(2, -3)", -1),
        ("States.StringSplit('a,b;c', ',;')", ["a", "b", "c"]),
        ("States.Format('{}-{}', 'a', 1)", "a-1"),
    ],
)
def test_every_intrinsic_function(call: str, expected: Any) -> None:
    given = scope({"l": [1, 2, 3], "a": {"x": 1}, "b": {"x": 2}})
    assert compile_intrinsic(call).evaluate(given) == expected


@pytest.mark.parametrize("text", ["\x80", "a", "gA==", "é" * 16])
def test_what_is_no_base64_of_text_fails_the_function(text: str) -> None:
    with pytest.raises(EvaluationFailed, match="not Base64 of UTF-8 text") as failed:
        compile_intrinsic("States.Base64Decode($.t)").evaluate(scope({"t": text}))
    assert failed.value.error == "States.IntrinsicFailure"


def test_random_intrinsic_functions() -> None:
    given = scope({})
    assert 1 <= compile_intrinsic("States.MathRandom(1, 5)").evaluate(given) <= 5
    assert compile_intrinsic("States.MathRandom(1, 1000, 7)").evaluate(given) == compile_intrinsic(
        "States.MathRandom(1, 1000, 7)"
    ).evaluate(given)
    assert len(compile_intrinsic("States.UUID()").evaluate(given)) == 36


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$partition([1,2,3], 2)", [[1, 2], [3]]),
        ("$range(1, 9, 4)", [1, 5, 9]),
        ("$hash('a', 'MD5')", "0cc175b9c0f1b6a831c399e269772661"),
        ("$parse('[1]')", [1]),
        ("$length($uuid())", 36),
        ("$random() < 1", True),
        ("$random(3) = $random(3)", True),
    ],
)
def test_the_functions_that_the_language_adds_to_jsonata(text: str, expected: Any) -> None:
    assert compile_jsonata(text).evaluate(scope({})) == expected


def test_numbers_are_json() -> None:
    """What a document says is what comes out: no float of a whole number, no lost digits."""
    ended = run({"Type": "Pass", "Result": [1, 1.5, 12345678901234567890, "é"], "End": True}, {})
    assert json.encode(ended.output).decode() == '[1,1.5,12345678901234567890,"é"]'
