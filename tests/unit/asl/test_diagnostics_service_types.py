"""Values of the wrong type, in the service's words for them."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.asl.diagnostics import service_refusal
from skylift.asl.parse import parse

PASS = {"Type": "Pass", "End": True}


def refusal(states: dict[str, Any], **more: Any) -> str:
    return service_refusal(parse({"StartAt": "A", "States": states, **more}).diagnostics)


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({"Type": "Wait", "Seconds": "$.n", "End": True}, "Expected value of type Integer at /States/A/Seconds"),
        ({"Type": "Pass", "End": "yes"}, "Expected value of type Boolean at /States/A/End"),
        ({"Type": "Pass", "End": True, "Comment": 1}, "Expected value of type String at /States/A/Comment"),
        ({"Type": "Parallel", "Branches": {}, "End": True}, "Expected value of type Array at /States/A/Branches"),
        ({"Type": "Map", "ItemProcessor": [], "End": True}, "Expected value of type Object at /States/A/ItemProcessor"),
        ({"Type": "Task", "Resource": "work", "End": True}, "Value is not a valid resource ARN at /States/A/Resource"),
    ],
)
def test_a_value_of_the_wrong_type(state: dict[str, Any], problem: str) -> None:
    assert f"SCHEMA_VALIDATION_FAILED: {problem}" in refusal({"A": state})
