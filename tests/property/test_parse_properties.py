"""`parse` never raises, whatever it is given, and says where the problem is."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skylift.asl.diagnostics import InvalidDefinition
from skylift.asl.parse import load, parse
from skylift.asl.validation.choice import TOP as CHOICE_FIELDS
from skylift.asl.validation.json_reader import scan
from skylift.asl.validation.map import ITEM_BATCHER, ITEM_READER, READER_CONFIG, RESULT_WRITER
from skylift.asl.validation.retry import CATCHER, RETRIER
from skylift.asl.validation.states import KNOWN, STATE_FIELDS

FAST = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
SLOW = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))

FIELDS = sorted(
    {"StartAt", "States", "Mode", "ExecutionType", "ProcessorConfig", "Version", *KNOWN, *CHOICE_FIELDS, *RETRIER}
    | {*CATCHER, *ITEM_READER, *READER_CONFIG, *ITEM_BATCHER, *RESULT_WRITER}
)
WORDS = [
    "$", "$.a", "$$", "$$.Execution.Id", "$v", "$v.a", "$.a[*]", "States.ALL", "States.Format('{}', $.a)", "States.",
    "{% $states.input %}", "{% $v %}", "{% $$ %}", "{%", "%}", "{%%}", "{% ( %}", "A", "B", "", "JSONata", "JSONPath",
    "E", "arn:aws:states:::skylift:t", "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "2026-01-01T00:00:00Z",
    "DISTRIBUTED", "INLINE", "STANDARD", "CSV", "GIVEN", "FULL", "\ud800", "ä/~", *STATE_FIELDS,
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 200_000_000)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
)
KEYS = st.sampled_from(FIELDS) | st.sampled_from(["a.$", "A", "B", "states"]) | st.text(max_size=4)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=25
)

INNER = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
VALID: dict[str, Any] = {
    "Comment": "everything once",
    "Version": "1.0",
    "TimeoutSeconds": 100,
    "StartAt": "A",
    "States": {
        "A": {
            "Type": "Task",
            "Resource": "arn:aws:states:::skylift:t",
            "Parameters": {"a.$": "$.a", "b": [{"c.$": "States.Format('{}', $.a)"}]},
            "ResultSelector": {"r.$": "$.r"},
            "ResultPath": "$.out",
            "TimeoutSeconds": 60,
            "HeartbeatSeconds": 10,
            "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 1, "MaxDelaySeconds": 5, "JitterStrategy": "FULL"}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "F", "ResultPath": "$.e", "Assign": {"e.$": "$.Error"}}],
            "Assign": {"v.$": "$.r"},
            "Next": "B",
        },
        "B": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.a", "StringMatches": "x*", "Next": "C"},
                {
                    "Or": [
                        {"Variable": "$v", "IsNull": True},
                        {"Not": {"Variable": "$.t", "TimestampLessThan": "2026-01-01T00:00:00Z"}},
                        {"And": [{"Variable": "$.n", "NumericEqualsPath": "$.m"}]},
                    ],
                    "Next": "D",
                },
            ],
            "Default": "E",
        },
        "C": {"Type": "Wait", "SecondsPath": "$.s", "Next": "D"},
        "D": {
            "Type": "Parallel",
            "Branches": [INNER, {"StartAt": "J", "States": {"J": {"Type": "Succeed"}}}],
            "Next": "E",
        },
        "E": {
            "Type": "Map",
            "QueryLanguage": "JSONata",
            "Items": "{% $states.input.items %}",
            "ItemSelector": {"x": "{% $states.context.Map.Item.Value %}", "y": "{% $v %}"},
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                "StartAt": "K",
                "States": {"K": {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% 1 %}", "End": True}},
            },
            "ItemBatcher": {"MaxItemsPerBatch": 3, "BatchInput": {"a": 1}},
            "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b"}},
            "MaxConcurrency": "{% 3 %}",
            "ToleratedFailureCount": 2,
            "Label": "l",
            "Output": {"all": "{% $states.result %}"},
            "Next": "G",
        },
        "F": {"Type": "Fail", "Error": "E", "CausePath": "$.e.Cause"},
        "G": {"Type": "Succeed"},
    },
}


def test_the_valid_document_is_valid() -> None:
    assert parse(VALID).diagnostics == ()


def never_raises(value: Any) -> None:
    parsed = parse(value)
    assert (parsed.document is None) == bool(parsed.errors)
    for found in parsed.diagnostics:
        assert found.message and found.mend
        assert found.pointer == "" or found.pointer.startswith("/")
        str(found).encode()
    if parsed.errors:
        with pytest.raises(InvalidDefinition):
            load(value)
    else:
        assert load(value) == parsed.document


def as_text_agrees(value: Any) -> None:
    """Read as text, a document has the same problems, with lines."""
    text = json.dumps(value, indent=1)
    parsed = parse(text)
    if not is_json(value):
        assert parsed.document is None
        return
    assert [(found.code, found.pointer) for found in parsed.diagnostics] == [
        (found.code, found.pointer) for found in parse(value).diagnostics
    ]
    for found in parsed.diagnostics:
        assert found.line is not None
        assert 1 <= found.line <= text.count("\n") + 1


@FAST
@given(JSON)
def test_any_json_is_answered(value: Any) -> None:
    never_raises(value)


@FAST
@given(st.text(max_size=60) | st.binary(max_size=60) | st.text(alphabet='{}[]",:ab1.-\\ \n', max_size=40))
def test_any_text_is_answered(source: str | bytes) -> None:
    never_raises(source)


@FAST
@given(st.data())
def test_any_mutation_is_answered(data: st.DataObject) -> None:
    value = mutated(data)
    never_raises(value)
    as_text_agrees(value)


@pytest.mark.slow
@SLOW
@given(JSON)
def test_any_json_is_answered_long(value: Any) -> None:
    never_raises(value)


@pytest.mark.slow
@SLOW
@given(st.data())
def test_any_mutation_is_answered_long(data: st.DataObject) -> None:
    value = mutated(data)
    never_raises(value)
    as_text_agrees(value)


@FAST
@given(JSON)
def test_positions_are_found_for_every_value(value: Any) -> None:
    if not is_json(value):
        return
    text = json.dumps(value)
    offsets, repeated = scan(text)
    assert repeated == []
    assert set(offsets) == set(pointers(json.loads(text)))


def is_json(value: Any) -> bool:
    """Finite numbers and whole characters only."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


def mutated(data: st.DataObject) -> dict[str, Any]:
    """VALID with one to three nodes deleted, duplicated, retyped or renamed."""
    value = copy.deepcopy(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        nodes = [(parent, key) for parent, key in edges(value)]
        if not nodes:
            break
        parent, key = data.draw(st.sampled_from(nodes))
        change = data.draw(st.sampled_from(["delete", "retype", "rename", "duplicate", "replace"]))
        if change == "delete":
            del parent[key]
        elif change == "rename" and isinstance(parent, dict):
            parent[data.draw(KEYS)] = parent.pop(key)
        elif change == "duplicate":
            twin = copy.deepcopy(parent[key])
            if isinstance(parent, dict):
                parent[data.draw(KEYS)] = twin
            else:
                parent.insert(data.draw(st.integers(0, len(parent))), twin)
        elif change == "retype":
            parent[key] = data.draw(st.sampled_from([None, True, 0, -1, 1.5, "", "x", [], {}, [{}], {"a": 1}]))
        else:
            parent[key] = data.draw(JSON)
    return value


def edges(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        found.append((value, key))
        if isinstance(child, dict | list):
            found.extend(edges(child))
    return found


def pointers(value: Any, pointer: str = "") -> list[str]:
    found = [pointer]
    if isinstance(value, dict):
        for key, child in value.items():
            found += pointers(child, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            found += pointers(child, f"{pointer}/{index}")
    return found
