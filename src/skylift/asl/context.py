"""The context object: `$$` in JSONPath, `$states.context` in JSONata."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from msgspec import UNSET

from skylift.asl.state import ROOT, Frame, RunState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)  # the iterations of a map begin in the same milliseconds
def timestamp(at_ms: int) -> str:
    """`2026-11-21T09:12:18.123Z`, as the service writes times."""
    try:
        text = (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")
    except OverflowError:
        return "9999-12-31T23:59:59.999Z"
    return text.removesuffix("+00:00") + "Z"


def build_context(state: RunState, frame: Frame, retryable: bool) -> dict[str, Any]:
    """The context object as a state of this frame sees it. Built only when an expression asks."""
    context: dict[str, Any] = {**state.context, "Execution": _execution(state, frame)}
    at: dict[str, Any] = {"EnteredTime": timestamp(frame.entered_ms), "Name": frame.state}
    if retryable:
        at["RetryCount"] = frame.retry_count
    context["State"] = at
    context.pop("Task", None)
    if frame.phase == "task":
        context["Task"] = {"Token": token_prefix(state) + token_of(frame)}
    item = map_item(state, frame)
    if item is not None:
        context["Map"] = {"Item": item}
    return context


def token_of(frame: Frame) -> str:
    """The token of the frame's present attempt."""
    return f"{frame.number}-{frame.tries}"


def token_prefix(state: RunState) -> str:
    """What the shell puts before a token to make it unique among runs: `Task.TokenPrefix` of the run's context."""
    task = state.context.get("Task")
    prefix = task.get("TokenPrefix") if isinstance(task, dict) else None
    return prefix if isinstance(prefix, str) else ""


def map_item(state: RunState, frame: Frame) -> dict[str, Any] | None:
    """Map.Item of the nearest iteration around the frame; a child execution sees its own only."""
    while True:
        if frame.home == frame.number:
            return None
        if frame.item is not UNSET:
            return {"Index": frame.index, "Value": frame.item}
        frame = state.frames[frame.parent]


def _execution(state: RunState, frame: Frame) -> dict[str, Any]:
    execution = dict(state.context.get("Execution") or {})
    home = state.frames[frame.home]
    if home.number != ROOT:
        execution |= {"Id": child_arn(state, home), "Name": home.name, "Input": home.item}
        execution["StartTime"] = timestamp(home.started_ms)
        return execution
    execution["Input"] = state.input
    execution["StartTime"] = timestamp(state.started_ms)
    if not is_express(state):
        execution["RedriveCount"] = state.redrives
        if state.redrives:
            execution["RedriveTime"] = timestamp(state.redriven_ms)
    return execution


def is_express(state: RunState) -> bool:
    """Whether the run is an EXPRESS execution, by its ARN."""
    execution = state.context.get("Execution")
    return isinstance(execution, dict) and ":express:" in str(execution.get("Id", ""))


def child_arn(state: RunState, home: Frame) -> str:
    """A child execution's ARN: its parent's machine, the Map's label, and its own name."""
    execution = state.context.get("Execution")
    parent = str(execution.get("Id", "")) if isinstance(execution, dict) else ""
    machine, _, _ = parent.rpartition(":")
    fan = state.frames[home.parent].fan
    label = fan.map_run.label if fan is not None and fan.map_run is not None else ""
    return f"{machine}/{label}:{home.name}"
