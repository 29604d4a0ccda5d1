"""Every …Path field reads the input, a variable and the context object alike."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.testing.virtual import CONTEXT, VirtualRun

PASS = {"Type": "Pass", "End": True}
INLINE = {"StartAt": "P", "States": {"P": PASS}}
DISTRIBUTED = {**INLINE, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
TASK = {"Type": "Task", "Resource": "arn:aws:states:::skylift:work", "End": True}
MAP = {"Type": "Map", "ItemsPath": "$.l", "End": True}


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)


def run(state: dict[str, Any]) -> VirtualRun:
    first = {"Type": "Pass", "Assign": {"n.$": "$.n", "t.$": "$.t", "l.$": "$.l", "e.$": "$.e"}, "Next": "A"}
    document = load({"StartAt": "First", "States": {"First": first, "A": state}})
    given = {"n": 1, "t": "2026-01-01T00:00:01Z", "l": [1, 2], "e": "Broken"}
    return VirtualRun(document, {"work": lambda arguments: arguments}, context=CONTEXT).run(given)


ROOTS = ("$.", "$", "$$.Execution.Input.")


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(
    ("state", "field", "member"),
    [
        ({**MAP, "ItemProcessor": INLINE}, "ItemsPath", "l"),
        ({**MAP, "ItemProcessor": INLINE}, "MaxConcurrencyPath", "n"),
        ({**MAP, "ItemProcessor": DISTRIBUTED}, "MaxConcurrencyPath", "n"),
        ({**MAP, "ItemProcessor": DISTRIBUTED}, "ToleratedFailureCountPath", "n"),
        ({**MAP, "ItemProcessor": DISTRIBUTED}, "ToleratedFailurePercentagePath", "n"),
        ({"Type": "Wait", "End": True}, "SecondsPath", "n"),
        ({"Type": "Wait", "End": True}, "TimestampPath", "t"),
        (TASK, "TimeoutSecondsPath", "n"),
        (TASK, "HeartbeatSecondsPath", "n"),
        (PASS, "InputPath", "l"),
        (PASS, "OutputPath", "l"),
    ],
)
def test_a_path_field(state: dict[str, Any], field: str, member: str, root: str) -> None:
    assert run({**state, field: root + member}).status == "SUCCEEDED"


@pytest.mark.parametrize("root", ROOTS)
def test_the_paths_of_a_batcher(root: str) -> None:
    state = {**MAP, "ItemProcessor": DISTRIBUTED, "ItemBatcher": {"MaxItemsPerBatchPath": f"{root}n"}}
    assert run(state).output == [{"Items": [1]}, {"Items": [2]}]


@pytest.mark.parametrize("root", ROOTS)
def test_error_and_cause(root: str) -> None:
    ended = run({"Type": "Fail", "ErrorPath": f"{root}e", "CausePath": f"{root}t"})
    assert (ended.error, ended.cause) == ("Broken", "2026-01-01T00:00:01Z")


@pytest.mark.parametrize("root", ROOTS)
def test_both_sides_of_a_comparison(root: str) -> None:
    rule = {"Variable": f"{root}n", "NumericEqualsPath": f"{root}n", "Next": "B"}
    document = load(
        {
            "StartAt": "First",
            "States": {
                "First": {"Type": "Pass", "Assign": {"n.$": "$.n"}, "Next": "A"},
                "A": {"Type": "Choice", "Choices": [rule]},
                "B": {"Type": "Succeed"},
            },
        }
    )
    assert VirtualRun(document, context=CONTEXT).run({"n": 1}).status == "SUCCEEDED"


@pytest.mark.parametrize(
    "state",
    [
        {**PASS, "InputPath": "$.a"},
        {**PASS, "OutputPath": "$.a.b"},
        {**PASS, "Parameters": {"x.$": "$.a"}},
        {"Type": "Wait", "SecondsPath": "$.a", "End": True},
        {"Type": "Fail", "CausePath": "$.a"},
    ],
)
def test_a_path_into_no_input(state: dict[str, Any]) -> None:
    ended = VirtualRun(load({"StartAt": "A", "States": {"A": state}})).run(None)
    assert ended.error == "States.Runtime"
    assert str(ended.cause).endswith("Unable to apply Path transformation to null or empty input.")


def test_no_input_can_be_handed_on_and_compared() -> None:
    states = {
        "A": {"Type": "Pass", "Parameters": {"x.$": "$", "n.$": "$$.Execution.Name"}, "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsNull": True, "Next": "C"}]},
        "C": {"Type": "Succeed"},
    }
    ended = VirtualRun(load({"StartAt": "A", "States": states}), context=CONTEXT).run(None)
    assert ended.output == {"x": None, "n": "run"}
