"""Fields that want one type: whatever field an expression stands in, a wrong result is described in the same words."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.testing.virtual import VirtualRun

PROCESSOR = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
DISTRIBUTED = {**PROCESSOR, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
INLINE_MAP = {"Type": "Map", "Items": [1], "ItemProcessor": PROCESSOR, "End": True}
WIDE_MAP = {"Type": "Map", "Items": [1], "ItemProcessor": DISTRIBUTED, "End": True}
TASK = {"Type": "Task", "Resource": "arn:aws:states:::skylift:work", "End": True}
AT = "An error occurred while executing the state 'A' (entered at the event id #2). "


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)


def run(state: dict[str, Any], value: Any, language: str = "JSONata") -> VirtualRun:
    document = load({"QueryLanguage": language, "StartAt": "A", "States": {"A": state}})
    return VirtualRun(document, {"work": lambda arguments: arguments}).run(value)


def failure(ended: VirtualRun) -> tuple[str | None, str]:
    assert ended.status == "FAILED"
    return ended.error, str(ended.cause).removeprefix(AT)


FIELDS: list[tuple[dict[str, Any], str, str]] = [
    (INLINE_MAP, "Items", "array"),
    (WIDE_MAP, "Items", "array"),
    (INLINE_MAP, "MaxConcurrency", "number"),
    (WIDE_MAP, "ToleratedFailureCount", "number"),
    (WIDE_MAP, "ToleratedFailurePercentage", "number"),
    (TASK, "TimeoutSeconds", "number"),
    (TASK, "HeartbeatSeconds", "number"),
    ({"Type": "Wait", "End": True}, "Seconds", "number"),
    ({"Type": "Wait", "End": True}, "Timestamp", "string"),
    ({"Type": "Fail"}, "Error", "string"),
    ({"Type": "Fail"}, "Cause", "string"),
]
VALUES: list[tuple[str, str, str]] = [
    ("'soon'", "string", '"soon"'),
    ("7", "number", "7"),
    ("true", "boolean", "true"),
    ("null", "null", "null"),
    ("{'foo': 'bar'}", "object", '{"foo":"bar"}'),
    ("[1, 2]", "array", "[1,2]"),
]


@pytest.mark.parametrize(
    ("state", "field", "wanted", "expression", "kind", "text"),
    [(*field, *value) for field in FIELDS for value in VALUES if field[2] != value[1]],
)
def test_a_result_of_another_type(
    state: dict[str, Any], field: str, wanted: str, expression: str, kind: str, text: str
) -> None:
    ended = run({**state, field: f"{{% {expression} %}}"}, {})
    assert failure(ended) == (
        "States.QueryEvaluationError",
        f"The JSONata expression '{expression}' specified for the field '{field}' returned an unexpected result type. "
        f"Expected '{wanted}', but was '{kind}' for value: {text}",
    )
    (event,) = [event for event in ended.history if event.type == "EvaluationFailed"]
    assert event.details["location"] == field


@pytest.mark.parametrize("expression", ["function($x){ $x }", "λ($x){ $x }", "$sum", "/ab+/"])
@pytest.mark.parametrize(
    ("state", "place", "field"),
    [
        (INLINE_MAP, "Items", "Items"),
        ({"Type": "Pass", "End": True}, "Output", "Output"),
        ({"Type": "Wait", "End": True}, "Seconds", "Seconds"),
    ],
)
def test_a_function_is_no_result(state: dict[str, Any], place: str, field: str, expression: str) -> None:
    assert failure(run({**state, place: f"{{% {expression} %}}"}, {})) == (
        "States.QueryEvaluationError",
        f"The JSONata expression '{expression}' specified for the field '{field}' returned an unsupported result type.",
    )


def test_null_beside_a_function_is_null() -> None:
    state = {"Type": "Pass", "Output": "{% $map([null], function($x){ $x }) ? 1 : null %}", "End": True}
    assert run(state, {}).output is None


@pytest.mark.parametrize(
    ("state", "field", "cause"),
    [
        (INLINE_MAP, "MaxConcurrency", "MaxConcurrency cannot be negative."),
        (WIDE_MAP, "ToleratedFailureCount", "ToleratedFailureCount cannot be negative."),
        (WIDE_MAP, "ToleratedFailurePercentage", "ToleratedFailurePercentage must be between 0 and 100."),
    ],
)
def test_a_number_out_of_range(state: dict[str, Any], field: str, cause: str) -> None:
    """In a JSONata state it is an evaluation error, which a Catch can answer; in a JSONPath state it ends the run."""
    ended = run({**state, field: "{% -1 %}"}, {})
    assert failure(ended) == ("States.QueryEvaluationError", cause)
    caught = {**state, field: "{% -1 %}", "Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}]}
    caught.pop("End")
    document = load(
        {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {**caught, "End": True}, "B": {"Type": "Succeed"}}}
    )
    assert VirtualRun(document).run({}).status == "SUCCEEDED"
    jsonpath = {**state, f"{field}Path": "$.n", "ItemsPath": "$.l"}
    jsonpath.pop("Items")
    assert failure(run(jsonpath, {"n": -1, "l": []}, "JSONPath")) == ("States.Runtime", cause)


@pytest.mark.parametrize("field", ["Output", "Assign"])
def test_the_fields_of_a_catcher_are_named_with_its_place(field: str) -> None:
    broken = {"ErrorEquals": ["States.ALL"], "Next": "B", field: {"x": "{% $states.errorOutput.nothing %}"}}
    state = {**TASK, "Catch": [{"ErrorEquals": ["Other"], "Next": "B"}, broken]}
    document = load({"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": state, "B": {"Type": "Succeed"}}})

    def work(arguments: Any) -> Any:
        raise ValueError("no")

    error, cause = failure(VirtualRun(document, {"work": work}).run({}))
    assert error == "States.QueryEvaluationError"
    assert f"specified for the field 'Catch[1]/{field}/x' returned nothing (undefined)." in cause


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("soon", "cannot be parsed as a long value: $.n == soon"),
        (None, "cannot be parsed as a long value: $.n == null"),
        (True, "cannot be parsed as a long value: $.n == true"),
        (1.5, "cannot be parsed as a long value: $.n == 1.5"),
        (-1, "references a negative value: $.n == -1"),
    ],
)
@pytest.mark.parametrize(
    ("state", "field"),
    [({"Type": "Wait", "End": True}, "SecondsPath"), (TASK, "TimeoutSecondsPath"), (TASK, "HeartbeatSecondsPath")],
)
def test_a_path_to_no_number_of_seconds(state: dict[str, Any], field: str, given: Any, problem: str) -> None:
    ended = run({**state, field: "$.n"}, {"n": given}, "JSONPath")
    assert failure(ended) == ("States.Runtime", f"The {field} parameter {problem}")


@pytest.mark.parametrize("given", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", 5, None])
def test_a_path_to_no_timestamp(given: Any) -> None:
    ended = run({"Type": "Wait", "TimestampPath": "$.t", "End": True}, {"t": given}, "JSONPath")
    shown = given if isinstance(given, str) else "null" if given is None else str(given)
    assert failure(ended) == (
        "States.Runtime",
        "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: "
        f"$.t == {shown}",
    )


READER = {"Resource": "arn:aws:states:::s3:getObject"}


@pytest.mark.parametrize(
    ("expression", "cause"),
    [
        (
            "'all'",
            "The JSONata expression ''all'' specified for the field 'ItemReader/ReaderConfig/MaxItems' returned an "
            "unexpected result type. Expected 'number', but was 'string' for value: \"all\"",
        ),
        ("-1", "MaxItems cannot be negative."),
        ("1.5", "MaxItems must be an integer but was: 1.5"),
    ],
)
def test_most_items_of_a_reader_from_an_expression(expression: str, cause: str) -> None:
    config = {"InputType": "JSON", "MaxItems": f"{{% {expression} %}}"}
    reader = {**READER, "Arguments": {"Bucket": "b", "Key": "k"}, "ReaderConfig": config}
    state = {"Type": "Map", "ItemReader": reader, "ItemProcessor": DISTRIBUTED, "End": True}
    assert failure(run(state, {})) == ("States.QueryEvaluationError", cause)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ("all", 'The MaxItemsPath field refers to value "all" which is not a valid integer: $.n'),
        (-1, "MaxItems cannot be negative."),
    ],
)
def test_most_items_of_a_reader_from_a_path(given: Any, cause: str) -> None:
    config = {"InputType": "JSON", "MaxItemsPath": "$.n"}
    reader = {**READER, "Parameters": {"Bucket": "b", "Key": "k"}, "ReaderConfig": config}
    state = {"Type": "Map", "ItemReader": reader, "ItemProcessor": DISTRIBUTED, "End": True}
    assert failure(run(state, {"n": given}, "JSONPath")) == ("States.Runtime", cause)


def test_no_choice_is_worded_as_a_transition_that_leads_nowhere() -> None:
    rule = {"Variable": "$.n", "NumericEquals": 1, "Next": "B"}
    states = {"A": {"Type": "Choice", "Choices": [rule]}, "B": {"Type": "Succeed"}}
    ended = VirtualRun(load({"StartAt": "A", "States": states})).run({"n": 2})
    assert failure(ended) == (
        "States.NoChoiceMatched",
        "Failed to transition out of the state. The state does not point to a next state.",
    )


@pytest.mark.parametrize("field", ["MaxItemsPerBatch", "MaxInputBytesPerBatch"])
def test_the_limits_of_a_batcher_are_located_inside_it(field: str) -> None:
    state = {**WIDE_MAP, "ItemBatcher": {field: "{% $nothing %}"}}
    assert failure(run(state, {}))[1] == (
        f"The JSONata expression '$nothing' specified for the field 'ItemBatcher/{field}' returned nothing (undefined)."
    )
    ended = run({**WIDE_MAP, "ItemBatcher": {field: "{% 0 %}"}}, {})
    assert failure(ended) == ("States.QueryEvaluationError", f"{field} must be positive.")
    (event,) = [event for event in ended.history if event.type == "EvaluationFailed"]
    assert event.details["location"] == f"ItemBatcher/{field}"
