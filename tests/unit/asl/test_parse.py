"""What the typed document holds, and the rules that need more than one bad line to show."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from msgspec import UNSET

from skylift.asl import document as asl
from skylift.asl.parse import load, parse
from skylift.asl.validation.report import as_service_location

PASS = {"Type": "Pass", "End": True}


def codes(source: Any) -> list[str]:
    return [found.code for found in parse(source).diagnostics]


def test_a_document_is_typed() -> None:
    document = load(
        {
            "Comment": "c",
            "StartAt": "Fetch",
            "TimeoutSeconds": 60,
            "States": {
                "Fetch": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::skylift:fetch",
                    "Parameters": {"a.$": "$.a"},
                    "ResultPath": None,
                    "TimeoutSeconds": 30.0,
                    "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 0, "BackoffRate": 1}],
                    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Stop", "ResultPath": "$.error"}],
                    "Next": "Each",
                },
                "Each": {
                    "Type": "Map",
                    "ItemsPath": "$.items",
                    "MaxConcurrency": 4,
                    "Iterator": {"StartAt": "Item", "States": {"Item": {"Type": "Succeed"}}},
                    "Next": "Both",
                },
                "Both": {
                    "Type": "Parallel",
                    "Branches": [{"StartAt": "L", "States": {"L": PASS}}, {"StartAt": "R", "States": {"R": PASS}}],
                    "Next": "Pick",
                },
                "Pick": {
                    "Type": "Choice",
                    "Choices": [
                        {
                            "And": [
                                {"Variable": "$.a", "NumericGreaterThan": 1},
                                {"Not": {"Variable": "$.b", "IsPresent": True}},
                            ],
                            "Next": "Rest",
                        }
                    ],
                    "Default": "Stop",
                },
                "Rest": {"Type": "Wait", "Seconds": 0, "Next": "Done"},
                "Done": {"Type": "Succeed"},
                "Stop": {"Type": "Fail", "Error": "E", "CausePath": "States.Format('{}', $.error)"},
            },
        }
    )
    flow = document.flow
    assert (flow.start_at, flow.comment, document.timeout_seconds, document.version) == ("Fetch", "c", 60, "1.0")
    assert list(flow.states) == ["Fetch", "Each", "Both", "Pick", "Rest", "Done", "Stop"]
    fetch = flow.states["Fetch"]
    assert isinstance(fetch, asl.Task)
    assert (fetch.result_path, fetch.output_path, fetch.timeout_seconds) == (None, UNSET, 30)
    assert fetch.retry[0] == asl.Retrier(
        pointer="/States/Fetch/Retry/0", error_equals=("E",), max_attempts=0, backoff_rate=1.0
    )
    assert fetch.catch[0].next == "Stop"
    each = flow.states["Each"]
    assert isinstance(each, asl.Map)
    assert (each.mode, each.items_path, each.max_concurrency) == ("INLINE", "$.items", 4)
    assert each.item_processor.pointer == "/States/Each/Iterator"
    both = flow.states["Both"]
    assert isinstance(both, asl.Parallel)
    assert both.branches[1].states["R"].pointer == "/States/Both/Branches/1/States/R"
    pick = flow.states["Pick"]
    assert isinstance(pick, asl.Choice)
    rule = pick.choices[0].rule
    assert isinstance(rule, asl.BooleanRule)
    assert [type(operand).__name__ for operand in rule.operands] == ["Comparison", "BooleanRule"]
    assert isinstance(flow.states["Rest"], asl.Wait)
    assert isinstance(flow.states["Stop"], asl.Fail)


def test_a_distributed_map_is_typed() -> None:
    document = load(
        {
            "QueryLanguage": "JSONata",
            "StartAt": "M",
            "States": {
                "M": {
                    "Type": "Map",
                    "ItemProcessor": {
                        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                        "StartAt": "I",
                        "States": {"I": PASS},
                    },
                    "ItemReader": {
                        "Resource": "arn:aws:states:::s3:getObject",
                        "ReaderConfig": {
                            "InputType": "CSV",
                            "CSVHeaderLocation": "GIVEN",
                            "CSVHeaders": ["a"],
                            "MaxItems": 5,
                        },
                        "Arguments": {"Bucket": "{% $states.input.b %}", "Key": "k"},
                    },
                    "ItemSelector": {"x": "{% $states.context.Map.Item.Value %}"},
                    "ItemBatcher": {"MaxItemsPerBatch": "{% 3 %}"},
                    "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b"}},
                    "ToleratedFailurePercentage": 12.5,
                    "MaxConcurrency": "{% $states.input.n %}",
                    "Label": "faces",
                    "End": True,
                }
            },
        }
    )
    state = document.flow.states["M"]
    assert isinstance(state, asl.Map)
    assert (state.mode, state.execution_type, state.label) == ("DISTRIBUTED", "EXPRESS", "faces")
    assert isinstance(state.item_reader, asl.ItemReader)
    assert state.item_reader.reader_config["MaxItems"] == 5  # type: ignore[index]
    assert isinstance(state.item_batcher, asl.ItemBatcher)
    assert state.item_batcher.max_items_per_batch == "{% 3 %}"
    assert isinstance(state.result_writer, asl.ResultWriter)
    assert state.tolerated_failure_percentage == 12.5


@pytest.mark.parametrize(
    "convert", [json.dumps, lambda value: json.dumps(value).encode(), lambda value: "\ufeff" + json.dumps(value)]
)
def test_text_bytes_and_dicts_read_alike(convert: Any) -> None:
    source = {"StartAt": "Ä/~", "States": {"Ä/~": PASS}}
    assert load(convert(source)) == load(source)
    assert load(source).flow.states["Ä/~"].pointer == "/States/Ä~1~0"


def test_states_inherit_the_language_of_the_document_not_of_the_state_around() -> None:
    inner = {"StartAt": "I", "States": {"I": {**PASS, "Parameters": {"a.$": "$"}}}}
    document = load(
        {
            "StartAt": "M",
            "States": {"M": {"Type": "Map", "QueryLanguage": "JSONata", "ItemProcessor": inner, "End": True}},
        }
    )
    state = document.flow.states["M"]
    assert isinstance(state, asl.Map)
    assert (state.query_language, state.item_processor.states["I"].query_language) == ("JSONata", "JSONPath")


def test_expressions_are_allowed_for_numbers_in_jsonata_only() -> None:
    wait = {"Type": "Wait", "Seconds": "{% 1 + 1 %}", "End": True}
    assert codes({"QueryLanguage": "JSONata", "StartAt": "W", "States": {"W": wait}}) == []
    assert codes({"StartAt": "W", "States": {"W": wait}}) == ["WRONG_TYPE"]
    padded = {**wait, "Seconds": " {% 1 %}"}
    assert codes({"QueryLanguage": "JSONata", "StartAt": "W", "States": {"W": padded}}) == ["WRONG_TYPE"]


def test_error_output_is_visible_in_catchers() -> None:
    catch = [
        {
            "ErrorEquals": ["States.ALL"],
            "Next": "B",
            "Assign": {"e": "{% $states.errorOutput %}"},
            "Output": "{% $states.errorOutput.Error %}",
        }
    ]
    first = {"Type": "Task", "Resource": "arn:aws:states:::skylift:t", "Catch": catch, "Next": "B"}
    assert (
        codes({"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": first, "B": {**PASS, "Output": "{% $e %}"}}})
        == []
    )


def test_names_in_text_comments_and_functions_are_not_variables() -> None:
    expression = (
        """{% ( $f := function($x){ $x + 1 }; /* $c */ $map([1], $f) & '$t' & "$u" & $sum(`$w`.a) ~> $string ) %}"""
    )
    assert codes({"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {**PASS, "Output": expression}}}) == []


def test_inner_flows_see_outer_variables_and_siblings_may_share_names() -> None:
    def branch(name: str) -> dict[str, Any]:
        return {"StartAt": name, "States": {name: {**PASS, "InputPath": "$v.a", "Assign": {"w": 1}}}}

    states = {
        "A": {"Type": "Pass", "Assign": {"v.$": "$"}, "Next": "B"},
        "B": {"Type": "Parallel", "Branches": [branch("C"), branch("D")], "End": True},
    }
    assert codes({"StartAt": "A", "States": states}) == []


def test_a_distributed_processor_may_use_the_names_around_it() -> None:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    processor = {"ProcessorConfig": config, "StartAt": "I", "States": {"I": {**PASS, "Assign": {"v": 2}}}}
    state = {"Type": "Map", "ItemProcessor": processor, "Assign": {"v": 1}, "End": True}
    assert codes({"StartAt": "M", "States": {"M": state}}) == []


def test_cycles_in_a_dict_end() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    assert codes({"StartAt": "A", "States": {"A": loop}}) == ["TOO_DEEP"]


def test_shared_parts_of_a_dict_do_not_explode() -> None:
    value: Any = [1] * 10
    for _ in range(12):
        value = [value] * 10
    assert codes({"StartAt": "A", "States": {"A": {**PASS, "Result": value}}}) == ["TOO_LARGE"]


def test_service_words() -> None:
    (found,) = parse(
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}}
    ).diagnostics
    assert (found.service_code, found.service_message, found.service_location) == (
        "MISSING_END_STATE",
        "Workflow has no terminal state",
        None,
    )
    inner = {"StartAt": "I", "States": {"I": PASS}}
    (found,) = parse(
        {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": inner, "TimeoutSeconds": 1, "End": True}}}
    ).diagnostics
    assert (found.pointer, found.service_message, found.service_location) == (
        "/States/M/TimeoutSeconds",
        "Field 'TimeoutSeconds' is not supported",
        "/States/M",
    )
    (found,) = parse({"StartAt": "A", "States": {"A": {**PASS, "Output": 1}}}).diagnostics
    assert found.service_message == (
        "The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the 'JSONata' QueryLanguage"
    )
    assert found.service_location == "/States/A"
    assert "QueryLanguage" in found.mend
    document = {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {**PASS, "Parameters": {}}}}
    assert parse(document).diagnostics[0].mend == "Use Arguments"
    assert as_service_location("/States/0/Choices/1/Next") == "/States/0/Choices[1]/Next"
    assert as_service_location("") == "/"


def test_a_thousand_states_are_read_quickly() -> None:
    states: dict[str, Any] = {}
    for index in range(1000):
        states[f"s{index}"] = {
            "Type": "Task",
            "Resource": "arn:aws:states:::skylift:t",
            "Arguments": {"a": "{% $states.input.x + 1 %}", "b": [index]},
            "Assign": {"v": "{% $states.result %}"},
            "Next": f"s{index + 1}",
        }
    states["s1000"] = {"Type": "Succeed"}
    text = json.dumps({"QueryLanguage": "JSONata", "StartAt": "s0", "States": states})
    best = min(_seconds(text) for _ in range(3))
    assert best < 0.5  # 0.1 on a quiet machine; bench measures it


def _seconds(text: str) -> float:
    """Of the processor, for others use it too."""
    start = time.thread_time()
    assert parse(text).diagnostics == ()
    return time.thread_time() - start
