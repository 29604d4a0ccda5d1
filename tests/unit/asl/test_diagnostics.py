"""The catalogue: every code can be produced, is documented, and every diagnostic says place and mend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skylift.asl.diagnostics import CATALOGUE, Diagnostic, InvalidDefinition, catalogue_page
from skylift.asl.parse import load, parse


def machine(first: Any, **others: Any) -> dict[str, Any]:
    """A document whose first state is A."""
    return {"StartAt": "A", "States": {"A": first, **others}}


def task(**fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": "arn:aws:states:::skylift:t", "End": True, **fields}


def mapped(processor: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    inner = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
    return {"Type": "Map", "ItemProcessor": {**inner, **(processor or {})}, "End": True, **fields}


DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
PASS = {"Type": "Pass", "End": True}
JSONATA = {"QueryLanguage": "JSONata"}
DEEP: dict[str, Any] = {}
_level = DEEP
for _ in range(250):
    _level["a"] = {}
    _level = _level["a"]

CASES: list[tuple[str, Any, str]] = [
    ("INVALID_JSON", '{"StartAt": nope}', ""),
    ("INVALID_JSON", "{", ""),
    ("INVALID_JSON", '{"a": NaN}', ""),
    ("INVALID_JSON", b"\xff\xfe", ""),
    ("INVALID_JSON", '{"a": 1' + "0" * 5000 + "}", ""),
    ("NOT_JSON", machine({**PASS, "Result": float("nan")}), "/States/A/Result"),
    ("NOT_JSON", machine({**PASS, "Result": {"a": object()}}), "/States/A/Result/a"),
    ("NOT_JSON", machine({**PASS, "Result": {1: 2}}), "/States/A/Result/1"),
    ("NOT_JSON", '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "\\ud800"}}}', "/States/A/Result"),
    ("DUPLICATE_KEY", '{"StartAt": "A", "StartAt": "A", "States": {}}', "/StartAt"),
    ("DUPLICATE_KEY", '{"StartAt": "A", "States": {"A": {"x": [{"b": 1, "b": 2}]}}}', "/States/A/x/0/b"),
    ("TOO_LARGE", " " * (16 * 1024 * 1024 + 1), ""),
    ("TOO_DEEP", machine({**PASS, "Result": DEEP}), "/States/A/Result" + "/a" * 197),
    ("TOO_DEEP", "[" * 100_000, ""),
    ("NOT_AN_OBJECT", "[]", ""),
    ("NOT_AN_OBJECT", " ", ""),
    ("MISSING_FIELD", {}, ""),
    ("MISSING_FIELD", machine({"Type": "Pass"}), "/States/A"),
    ("MISSING_FIELD", machine({"Type": "Pass", "End": False}), "/States/A"),
    ("MISSING_FIELD", machine({"End": True}), "/States/A"),
    ("MISSING_FIELD", machine({"Type": "Task", "End": True}), "/States/A"),
    ("MISSING_FIELD", machine({"Type": "Wait", "End": True}), "/States/A"),
    ("MISSING_FIELD", machine({"Type": "Map", "End": True}), "/States/A"),
    ("MISSING_FIELD", machine({"Type": "Parallel", "End": True}), "/States/A"),
    ("MISSING_FIELD", machine(task(Retry=[{}])), "/States/A/Retry/0"),
    ("MISSING_FIELD", machine(task(Catch=[{"ErrorEquals": ["E"]}])), "/States/A/Catch/0"),
    ("MISSING_FIELD", machine({"Type": "Choice"}), "/States/A"),
    ("MISSING_FIELD", machine({"Type": "Choice", "Choices": [{"Next": "B"}]}, B=PASS), "/States/A/Choices/0"),
    (
        "MISSING_FIELD",
        machine(mapped({"ProcessorConfig": {"Mode": "DISTRIBUTED"}})),
        "/States/A/ItemProcessor/ProcessorConfig",
    ),
    ("MISSING_FIELD", machine(mapped(DISTRIBUTED, ItemReader={})), "/States/A/ItemReader"),
    ("MISSING_FIELD", machine(mapped(DISTRIBUTED, ItemBatcher={"BatchInput": {}})), "/States/A/ItemBatcher"),
    ("UNKNOWN_FIELD", {**machine(PASS), "Sates": {}}, "/Sates"),
    ("UNKNOWN_FIELD", machine({**PASS, "Parametres": {}}), "/States/A/Parametres"),
    ("UNKNOWN_FIELD", machine(task(Retry=[{"ErrorEquals": ["E"], "MaxAttempt": 1}])), "/States/A/Retry/0/MaxAttempt"),
    (
        "UNKNOWN_FIELD",
        machine({"Type": "Choice", "Choices": [{"Variable": "$.a", "StringEqual": "b", "Next": "B"}]}, B=PASS),
        "/States/A/Choices/0/StringEqual",
    ),
    ("FIELD_NOT_ALLOWED", machine({**PASS, "Catch": []}), "/States/A/Catch"),
    ("FIELD_NOT_ALLOWED", machine(mapped(TimeoutSeconds=3)), "/States/A/TimeoutSeconds"),
    ("FIELD_NOT_ALLOWED", machine({"Type": "Succeed", "End": True}), "/States/A/End"),
    ("FIELD_NOT_ALLOWED", machine({"Type": "Fail", "InputPath": "$"}), "/States/A/InputPath"),
    ("FIELD_NOT_ALLOWED", machine(mapped(Label="x")), "/States/A/Label"),
    ("FIELD_NOT_ALLOWED", machine(mapped(JSONATA)), "/States/A/ItemProcessor/QueryLanguage"),
    (
        "FIELD_NOT_ALLOWED",
        machine(
            {"Type": "Choice", "Choices": [{"Not": {"Variable": "$.a", "IsNull": True, "Next": "B"}, "Next": "B"}]},
            B=PASS,
        ),
        "/States/A/Choices/0/Not/Next",
    ),
    ("WRONG_QUERY_LANGUAGE", machine({**PASS, **JSONATA, "Parameters": {}}), "/States/A/Parameters"),
    ("WRONG_QUERY_LANGUAGE", machine(task(Arguments={})), "/States/A/Arguments"),
    ("WRONG_QUERY_LANGUAGE", machine({**PASS, "Output": 1}), "/States/A/Output"),
    ("QUERY_LANGUAGE_DOWNGRADE", {**JSONATA, **machine({**PASS, "QueryLanguage": "JSONPath"})}, "/States/A"),
    ("CONFLICTING_FIELDS", machine({**PASS, "Next": "B"}, B=PASS), "/States/A"),
    ("CONFLICTING_FIELDS", machine({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.s", "End": True}), "/States/A"),
    ("CONFLICTING_FIELDS", machine({"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}), "/States/A"),
    ("CONFLICTING_FIELDS", machine(task(TimeoutSeconds=3, TimeoutSecondsPath="$.t")), "/States/A"),
    ("CONFLICTING_FIELDS", machine(mapped(Iterator={})), "/States/A"),
    ("CONFLICTING_FIELDS", machine(mapped(ItemSelector={}, Parameters={})), "/States/A"),
    ("CONFLICTING_FIELDS", machine(mapped(MaxConcurrency=1, MaxConcurrencyPath="$.n")), "/States/A"),
    (
        "CONFLICTING_FIELDS",
        machine(
            {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "IsString": True, "Next": "B"}]}, B=PASS
        ),
        "/States/A/Choices/0",
    ),
    ("WRONG_TYPE", machine(5), "/States/A"),
    ("WRONG_TYPE", machine({**PASS, "Comment": 5}), "/States/A/Comment"),
    ("WRONG_TYPE", machine({"Type": "Pass", "End": "yes"}), "/States/A/End"),
    ("WRONG_TYPE", machine(task(TimeoutSeconds="3")), "/States/A/TimeoutSeconds"),
    ("WRONG_TYPE", machine(task(TimeoutSeconds=1.5)), "/States/A/TimeoutSeconds"),
    ("WRONG_TYPE", machine(task(TimeoutSeconds=True)), "/States/A/TimeoutSeconds"),
    ("WRONG_TYPE", machine(task(Catch={})), "/States/A/Catch"),
    ("WRONG_TYPE", machine({"Type": "Parallel", "Branches": [1], "End": True}), "/States/A/Branches/0"),
    (
        "WRONG_TYPE",
        machine({"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": "$.b", "Next": "B"}]}, B=PASS),
        "/States/A/Choices/0/NumericEquals",
    ),
    ("INVALID_VALUE", {**machine(PASS), "Version": "2.0"}, "/Version"),
    ("INVALID_VALUE", machine({**PASS, "QueryLanguage": "jsonata"}), "/States/A/QueryLanguage"),
    (
        "INVALID_VALUE",
        machine(task(Retry=[{"ErrorEquals": ["E"], "JitterStrategy": "SOME"}])),
        "/States/A/Retry/0/JitterStrategy",
    ),
    (
        "INVALID_VALUE",
        machine(
            mapped(
                DISTRIBUTED,
                ItemReader={"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "XML"}},
            )
        ),
        "/States/A/ItemReader/ReaderConfig/InputType",
    ),
    ("OUT_OF_RANGE", machine(task(TimeoutSeconds=0)), "/States/A/TimeoutSeconds"),
    ("OUT_OF_RANGE", machine(task(TimeoutSeconds=5, HeartbeatSeconds=5)), "/States/A/HeartbeatSeconds"),
    (
        "OUT_OF_RANGE",
        machine(task(Retry=[{"ErrorEquals": ["E"], "IntervalSeconds": 5, "MaxDelaySeconds": 5}])),
        "/States/A/Retry/0/MaxDelaySeconds",
    ),
    (
        "OUT_OF_RANGE",
        machine(task(Retry=[{"ErrorEquals": ["E"], "BackoffRate": 0.5}])),
        "/States/A/Retry/0/BackoffRate",
    ),
    ("OUT_OF_RANGE", machine(mapped(ToleratedFailurePercentage=101)), "/States/A/ToleratedFailurePercentage"),
    ("OUT_OF_RANGE", machine(mapped(MaxConcurrency=-1)), "/States/A/MaxConcurrency"),
    ("TOO_FEW", {"StartAt": "A", "States": {}}, "/States"),
    ("TOO_FEW", machine({"Type": "Choice", "Choices": []}), "/States/A/Choices"),
    ("TOO_FEW", machine({"Type": "Parallel", "Branches": [], "End": True}), "/States/A/Branches"),
    ("TOO_FEW", machine(task(Retry=[{"ErrorEquals": []}])), "/States/A/Retry/0/ErrorEquals"),
    ("UNKNOWN_STATE_TYPE", machine({"Type": "Taks"}), "/States/A/Type"),
    ("INVALID_STATE_NAME", {"StartAt": "B" * 81, "States": {"B" * 81: PASS}}, "/States/" + "B" * 81),
    (
        "DUPLICATE_STATE_NAME",
        machine(mapped({"StartAt": "A", "States": {"A": PASS}})),
        "/States/A/ItemProcessor/States/A",
    ),
    ("INVALID_LABEL", machine(mapped(DISTRIBUTED, Label="l" * 41)), "/States/A/Label"),
    ("INVALID_LABEL", machine(mapped(DISTRIBUTED, Label="a b")), "/States/A/Label"),
    (
        "DUPLICATE_LABEL",
        machine(
            {**mapped(DISTRIBUTED, Label="x"), "End": False, "Next": "B"},
            B=mapped({**DISTRIBUTED, "StartAt": "J", "States": {"J": PASS}}, Label="x"),
        ),
        "/States/B/Label",
    ),
    ("MISSING_TARGET", {**machine(PASS), "StartAt": "Z"}, "/StartAt"),
    ("MISSING_TARGET", machine({"Type": "Pass", "Next": "Z"}), "/States/A/Next"),
    ("MISSING_TARGET", machine(task(Catch=[{"ErrorEquals": ["E"], "Next": "Z"}])), "/States/A/Catch/0/Next"),
    (
        "MISSING_TARGET",
        machine({**mapped({"States": {"I": {"Type": "Pass", "Next": "B"}}}), "End": False, "Next": "B"}, B=PASS),
        "/States/A/ItemProcessor/States/I/Next",
    ),
    ("UNREACHABLE_STATE", machine(PASS, B=PASS), "/States/B"),
    ("NO_TERMINAL_STATE", machine({"Type": "Pass", "Next": "A"}), ""),
    (
        "NO_WAY_TO_END",
        machine(
            {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "B"}], "Default": "C"},
            B=PASS,
            C={"Type": "Pass", "Next": "C"},
        ),
        "/States/C",
    ),
    (
        "MISPLACED_CATCH_ALL",
        machine(task(Retry=[{"ErrorEquals": ["States.ALL", "E"]}])),
        "/States/A/Retry/0/ErrorEquals",
    ),
    (
        "MISPLACED_CATCH_ALL",
        machine(task(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}])),
        "/States/A/Retry/0/ErrorEquals",
    ),
    (
        "UNKNOWN_ERROR_NAME",
        machine(task(Retry=[{"ErrorEquals": ["States.Timeot"]}])),
        "/States/A/Retry/0/ErrorEquals/0",
    ),
    ("INVALID_RESOURCE", machine(task(Resource="hello")), "/States/A/Resource"),
    ("INVALID_PATH", machine({**PASS, "InputPath": "a.b"}), "/States/A/InputPath"),
    ("INVALID_PATH", machine({**PASS, "Parameters": {"a.$": "a.b"}}), "/States/A/Parameters/a.$"),
    ("INVALID_REFERENCE_PATH", machine({**PASS, "ResultPath": "$.a[*]"}), "/States/A/ResultPath"),
    ("INVALID_REFERENCE_PATH", machine({**PASS, "ResultPath": "$$.a"}), "/States/A/ResultPath"),
    (
        "INVALID_REFERENCE_PATH",
        machine(mapped(MaxConcurrencyPath="$$.Execution.Input.*")),
        "/States/A/MaxConcurrencyPath",
    ),
    ("INVALID_INTRINSIC", machine({**PASS, "Parameters": {"a.$": "States.Format("}}), "/States/A/Parameters/a.$"),
    ("INVALID_TEMPLATE", machine({**PASS, "Parameters": {"a.$": 5}}), "/States/A/Parameters/a.$"),
    ("INVALID_TEMPLATE", machine({**PASS, "Parameters": {"a.$": "$.b", "a": 1}}), "/States/A/Parameters/a.$"),
    ("INVALID_JSONATA", machine({**PASS, **JSONATA, "Output": "{% 1 + %}"}), "/States/A/Output"),
    ("INVALID_JSONATA", machine({**PASS, **JSONATA, "Output": ["{% 1 "]}), "/States/A/Output/0"),
    ("INVALID_JSONATA", machine({**PASS, **JSONATA, "Output": "{%%}"}), "/States/A/Output"),
    (
        "INVALID_JSONATA",
        machine({"Type": "Choice", **JSONATA, "Choices": [{"Condition": "yes", "Next": "B"}]}, B=PASS),
        "/States/A/Choices/0/Condition",
    ),
    ("UNSUPPORTED_JSONATA", machine({**PASS, **JSONATA, "Output": "{% $$.a %}"}), "/States/A/Output"),
    ("UNSUPPORTED_JSONATA", machine({**PASS, **JSONATA, "Output": "{% phone.number %}"}), "/States/A/Output"),
    ("UNSUPPORTED_JSONATA", machine({**PASS, **JSONATA, "Output": "{%phone%}"}), "/States/A/Output"),
    ("UNSUPPORTED_JSONATA", machine({**PASS, **JSONATA, "Output": "{% $states.errorOutput %}"}), "/States/A/Output"),
    ("INVALID_TIMESTAMP", machine({"Type": "Wait", "Timestamp": "tomorrow", "End": True}), "/States/A/Timestamp"),
    (
        "INVALID_TIMESTAMP",
        machine({"Type": "Wait", "Timestamp": "2026-13-01T00:00:00Z", "End": True}),
        "/States/A/Timestamp",
    ),
    ("INVALID_VARIABLE_NAME", machine({**PASS, "Assign": {"states": 1}}), "/States/A/Assign/states"),
    ("INVALID_VARIABLE_NAME", machine({**PASS, "Assign": {"a b": 1}}), "/States/A/Assign/a b"),
    ("INVALID_VARIABLE_NAME", machine({**PASS, "Assign": {"a" * 81: 1}}), "/States/A/Assign/" + "a" * 81),
    (
        "VARIABLE_SHADOWED",
        machine(mapped({"States": {"I": {**PASS, "Assign": {"v": 1}}}}, Assign={"v.$": "$"})),
        "/States/A/ItemProcessor/States/I/Assign/v",
    ),
    ("UNKNOWN_VARIABLE", machine({**PASS, **JSONATA, "Output": "{% $v %}"}), "/States/A/Output"),
    ("UNKNOWN_VARIABLE", machine({**PASS, **JSONATA, "Output": "{% $states.inptu %}"}), "/States/A/Output"),
    (
        "UNKNOWN_VARIABLE",
        machine({**PASS, "Parameters": {"a.$": "States.Format('{}', $v)"}}),
        "/States/A/Parameters/a.$",
    ),
    (
        "VARIABLE_OUT_OF_SCOPE",
        machine(
            {**PASS, "Assign": {"v": 1}, "End": False, "Next": "B"},
            B=mapped({**DISTRIBUTED, "States": {"I": {**PASS, "InputPath": "$v"}}}),
        ),
        "/States/B/ItemProcessor/States/I/InputPath",
    ),
    ("NO_DOLLAR", machine({**PASS, "Parameters": {"a": "$.b"}}), "/States/A/Parameters/a"),
    ("PASS_RESULT_IS_STATIC", machine({**PASS, "Result": {"a.$": "$.b"}}), "/States/A/Result"),
    ("NOT_EVALUATED", machine({**PASS, "Parameters": {"a": "{% 1 %}"}}), "/States/A/Parameters/a"),
    ("NOT_EVALUATED", machine({**PASS, **JSONATA, "Output": {"a.$": "$.b"}}), "/States/A/Output/a.$"),
    ("NOT_EVALUATED", machine({**PASS, **JSONATA, "Output": " {% 1 %}"}), "/States/A/Output"),
]
EXPRESS = machine(task(Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken"))


@pytest.mark.parametrize(
    ("code", "source", "pointer"), CASES, ids=lambda value: value[:30] if isinstance(value, str) else ""
)
def test_bad_input_gets_its_code_at_its_place(code: str, source: Any, pointer: str) -> None:
    parsed = parse(source)
    found = [diagnostic for diagnostic in parsed.diagnostics if diagnostic.code == code]
    assert [diagnostic.pointer for diagnostic in found] == [pointer], parsed.diagnostics
    assert (parsed.document is None) == any(each.severity == "ERROR" for each in parsed.diagnostics)
    # one mistake, one message
    assert {each.code for each in parsed.diagnostics} == {code} or code in CASCADES, parsed.diagnostics


CASCADES = {"DUPLICATE_KEY", "MISSING_TARGET", "CONFLICTING_FIELDS", "MISSING_FIELD", "WRONG_TYPE"}
"""Codes whose cases above break more than one rule."""


def test_express_machines_cannot_wait() -> None:
    found = parse(EXPRESS, machine_type="EXPRESS").diagnostics
    assert [(each.code, each.pointer) for each in found] == [("NOT_FOR_EXPRESS", "/States/A/Resource")]
    assert parse(EXPRESS).diagnostics == ()


def test_express_machines_have_no_activities() -> None:
    activity = "arn:aws:states:us-east-1:123456789012:activity:a"
    document = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity, "End": True}}}
    (found,) = parse(document, machine_type="EXPRESS").diagnostics
    assert (found.code, found.pointer) == ("NOT_FOR_EXPRESS", "/States/A/Resource")
    assert parse(document).diagnostics == ()


def test_every_code_of_the_catalogue_can_be_produced() -> None:
    assert {code for code, _, _ in CASES} | {"NOT_FOR_EXPRESS"} == set(CATALOGUE)


def test_the_page_is_made_of_the_catalogue() -> None:
    page = Path(__file__).parents[3] / "docs" / "diagnostics.md"
    assert page.read_text(encoding="utf-8") == catalogue_page()


def test_every_message_says_place_problem_and_mend() -> None:
    for _, source, _ in CASES:
        for found in parse(source).diagnostics:
            assert found.message and found.mend, found
            assert not found.message.endswith("."), found
            assert not found.mend.endswith("."), found
            assert found.mend[0].isupper() or not found.mend[0].isalpha(), found
            assert found.severity == CATALOGUE[found.code].severity
            assert "\n" not in str(found)
            assert len(found.message) < 400


def test_all_errors_are_listed_at_once_with_line_and_column() -> None:
    source = """{
  "StartAt": "A",
  "States": {
    "A": {"Type": "Pass", "Nxt": "B"},
    "B": {"Type": "Wait", "Seconds": -1, "End": true}
  }
}"""
    with pytest.raises(InvalidDefinition) as raised:
        load(source)
    text = str(raised.value)
    assert "3 errors" in text
    assert (
        "UNKNOWN_FIELD at /States/A/Nxt (line 4, column 27): a Pass state has no field 'Nxt'. Did you mean 'Next'?"
        in text
    )
    assert "OUT_OF_RANGE at /States/B/Seconds (line 5, column 27)" in text
    assert raised.value.code == "INVALID-DEFINITION"
    assert len(raised.value.diagnostics) == 3


def test_broken_json_names_line_and_column() -> None:
    (found,) = parse('{\n  "StartAt": "A",\n}').diagnostics
    assert found.code == "INVALID_JSON"
    assert "line 3, column 1" in found.message


def test_a_diagnostic_reads_well() -> None:
    found = Diagnostic(code="MISSING_TARGET", pointer="/StartAt", message="there is no state 'B'", mend="Name one")
    assert str(found) == "ERROR MISSING_TARGET at /StartAt: there is no state 'B'. Name one."


def test_an_empty_target_leads_nowhere() -> None:
    last = {"Type": "Succeed"}
    catch = [{"ErrorEquals": ["States.ALL"], "Next": ""}]
    rule = {"Condition": "{% true %}", "Next": ""}
    machine = "arn:aws:lambda:us-east-1:111122223333:function:f"
    found = {
        "/StartAt": {"StartAt": "", "States": {"A": last}},
        "/States/A/Next": {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": ""}, "B": last}},
        "/States/A/Default": {
            "StartAt": "A",
            "States": {"A": {"Type": "Choice", "Choices": [{**rule, "Next": "B"}], "Default": ""}, "B": last},
        },
        "/States/A/Choices/0/Next": {"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [rule]}, "B": last}},
        "/States/A/Catch/0/Next": {
            "StartAt": "A",
            "States": {"A": {"Type": "Task", "Resource": machine, "Catch": catch, "End": True}},
        },
    }
    for pointer, document in found.items():
        [error] = parse(json.dumps({"QueryLanguage": "JSONata", **document})).errors
        assert (error.code, error.pointer) == ("MISSING_TARGET", pointer), error
        assert error.message.endswith("is empty, and every state has a name")
