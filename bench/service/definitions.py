"""The state machines that are measured. JSONPath throughout: it is what the peer executes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A state machine, the input of its executions, and how many states one execution enters."""

    name: str
    title: str
    document: dict[str, Any]
    input: Any
    transitions: int

    @property
    def text(self) -> str:
        return json.dumps(self.document)


def chain(length: int) -> Definition:
    states = {
        f"S{number}": {"Type": "Pass", **({"Next": f"S{number + 1}"} if number < length else {"End": True})}
        for number in range(1, length + 1)
    }
    return Definition(
        name=f"chain{length}",
        title=f"{length} Pass states in a row",
        document={"StartAt": "S1", "States": states},
        input={"x": 1},
        transitions=length,
    )


def loop(rounds: int) -> Definition:
    """A counter and a Choice: 2 states a round, and one at each end."""
    states = {
        "Begin": {"Type": "Pass", "Result": 0, "ResultPath": "$.count", "Next": "Add"},
        "Add": {
            "Type": "Pass",
            "Parameters": {"count.$": "States.MathAdd($.count, 1)"},
            "Next": "Enough",
        },
        "Enough": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.count", "NumericGreaterThanEquals": rounds, "Next": "Done"}],
            "Default": "Add",
        },
        "Done": {"Type": "Succeed"},
    }
    return Definition(
        name=f"loop{rounds}",
        title=f"Choice loop of {rounds} rounds",
        document={"StartAt": "Begin", "States": states},
        input={},
        transitions=2 * rounds + 2,
    )


def wide(items: int) -> Definition:
    """An inline Map whose items are one Pass state each."""
    item = {"StartAt": "One", "States": {"One": {"Type": "Pass", "End": True}}}
    states = {
        "All": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, **item},
            "End": True,
        }
    }
    return Definition(
        name=f"map{items}",
        title=f"Map of {items:,} items, a Pass state each",
        document={"StartAt": "All", "States": states},
        input={"items": list(range(items))},
        transitions=items + 1,
    )


def waiting() -> Definition:
    """Half of its executions wait for a timer, half for a callback that nobody gives."""
    activity = "arn:aws:states:us-east-1:123456789012:activity:bench"
    states = {
        "Which": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.timer", "BooleanEquals": True, "Next": "Timer"}],
            "Default": "Callback",
        },
        "Timer": {"Type": "Wait", "Seconds": 86_400, "Next": "Done"},
        "Callback": {"Type": "Task", "Resource": activity, "TimeoutSeconds": 86_400, "Next": "Done"},
        "Done": {"Type": "Succeed"},
    }
    return Definition(
        name="waiting",
        title="Executions that wait for timers and callbacks",
        document={"StartAt": "Which", "States": states},
        input={"timer": True},
        transitions=2,
    )
