"""History events as GetExecutionHistory shows them."""

from __future__ import annotations

from typing import Any

from skylift.asl.history import HistoryEvent
from skylift.asl.json_text import json_text
from skylift.server.stepfunctions.wire import seconds

_WITH_DETAILS = frozenset(
    f"{family}{ending}"
    for family, endings in {
        "Activity": "Failed ScheduleFailed Scheduled Started Succeeded TimedOut",
        "Task": "Failed Scheduled StartFailed Started SubmitFailed Submitted Succeeded TimedOut",
        "LambdaFunction": "Failed ScheduleFailed Scheduled StartFailed Succeeded TimedOut",
        "Execution": "Failed Started Succeeded Aborted TimedOut Redriven",
        "MapState": "Started",
        "MapIteration": "Started Succeeded Failed Aborted",
        "MapRun": "Started Failed Redriven",
        "Evaluation": "Failed",
    }.items()
    for ending in endings.split()
)
"""Types that have details, if only empty ones; the types of states have theirs by their endings."""

_NOT_TRUNCATED = {"truncated": False}
_DATA = frozenset(
    ["input", "inputDetails", "output", "outputDetails", "parameters", "assignedVariables", "assignedVariablesDetails"]
)


def wire_event(event: HistoryEvent, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """`more` goes into the details as it is."""
    wire: dict[str, Any] = {
        "timestamp": seconds(event.at_ms),
        "type": event.type,
        "id": event.id,
        "previousEventId": event.previous_id,
    }
    key = _details_key(event.type)
    if key is not None:
        details = {name: given for field, value in event.details.items() for name, given in _member(field, value)}
        wire[key] = {**details, **more} if more else details
    return wire


def without_data(wire: dict[str, Any]) -> dict[str, Any]:
    """The event without what went in and came out."""
    return {
        key: {name: value for name, value in given.items() if name not in _DATA} if isinstance(given, dict) else given
        for key, given in wire.items()
    }


def _details_key(kind: str) -> str | None:
    if kind.endswith("StateEntered"):
        return "stateEnteredEventDetails"
    if kind.endswith("StateExited"):
        return "stateExitedEventDetails"
    return f"{kind[0].lower()}{kind[1:]}EventDetails" if kind in _WITH_DETAILS else None


def _member(field: str, value: Any) -> list[tuple[str, Any]]:
    """A detail as the wire has it: data as JSON text, with a word on whether that was cut."""
    if field in ("input", "output"):
        return [(field, json_text(value)), (f"{field}Details", _NOT_TRUNCATED)]
    if field == "parameters":
        return [(field, json_text(value))]
    if field == "assignedVariables":
        texts = {name: json_text(given) for name, given in value.items()}
        return [(field, texts), ("assignedVariablesDetails", _NOT_TRUNCATED)]
    return [(field, value)]
