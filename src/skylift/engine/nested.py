"""Nested runs: what `startExecution` in its forms is given and gives back. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.asl.context import timestamp
from skylift.asl.events import TaskFailed, TaskSucceeded
from skylift.engine.names import execution_arn, machine_arn
from skylift.engine.outcomes import TASK_FAILED
from skylift.engine.router import NestedMode
from skylift.ports.journal import RunRecord

DEEPEST = 200
"""Levels of arrays and objects in a nested run's input."""

LONGEST_CAUSE = 32_768
"""Characters of a cause, as at the service: causes of runs nested in each other would double with every level."""

CUT_CAUSE = 4_000


class BadRequest(Exception):
    """The service's error name and message for a request that cannot be taken."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of startExecution, checked."""

    machine: str
    """StateMachineArn as given."""
    pipeline: str
    input: Any
    name: str | None


def read_request(arguments: Any) -> Request:
    """Raises BadRequest."""
    if not isinstance(arguments, dict) or not isinstance(arguments.get("StateMachineArn"), str):
        raise BadRequest("States.Runtime", "startExecution needs StateMachineArn as text in its arguments.")
    machine: str = arguments["StateMachineArn"]
    name = arguments.get("Name")
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= 80):
        raise BadRequest("StepFunctions.InvalidNameException", f"Invalid Name: '{name}'")
    return Request(
        machine=machine, pipeline=_pipeline_of(machine), input=_read_input(arguments.get("Input")), name=name
    )


def _pipeline_of(machine: str) -> str:
    """The last part of an ARN: `…:stateMachine:NAME`, also with a version or alias after the name."""
    head, found, tail = machine.partition(":stateMachine:")
    return tail.partition(":")[0] if found else head.rpartition(":")[2]


def _read_input(given: Any) -> Any:
    """JSON text is parsed, as the service does; nothing given is an empty object."""
    if given is None:
        return {}
    if not isinstance(given, str):
        _check_depth(given)
        return given
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError as problem:
        message = f"Invalid State Machine Execution Input: '{problem}'"
        raise BadRequest("StepFunctions.InvalidExecutionInputException", message) from None


def _check_depth(given: Any) -> None:
    """A pipeline that wraps its input and calls itself would otherwise grow it until it cannot be written."""
    level, depth = [given], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise BadRequest("States.Runtime", f"The input of a nested run is nested deeper than {DEEPEST} levels.")
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]


def started_output(record: RunRecord) -> dict[str, Any]:
    """What the request itself answers."""
    return {
        "ExecutionArn": execution_arn(record.pipeline, record.name),
        "StartDate": timestamp(record.created_ms),
    }


def ended_event(
    token: str, mode: NestedMode, record: RunRecord, input_: Any, *, classes: tuple[str, ...]
) -> TaskSucceeded | TaskFailed:
    """What the parent learns of a nested run that has ended. `classes` are further names for a failure."""
    description = describe(record, input_, as_text=mode == "sync")
    if record.status == "SUCCEEDED":
        return TaskSucceeded(token=token, output=description)
    cause = msgspec.json.encode(description, order="sorted").decode()
    if len(cause) > LONGEST_CAUSE:
        cut = (record.cause or "")[:CUT_CAUSE] + " … (cut)"
        short = {**description, "Cause": cut, "Input": None, "InputDetails": {"Included": False}}
        cause = msgspec.json.encode(short, order="sorted").decode()[:LONGEST_CAUSE]
    return TaskFailed(token=token, error=TASK_FAILED, cause=cause, classes=classes)


def describe(record: RunRecord, input_: Any, *, as_text: bool) -> dict[str, Any]:
    """DescribeExecution, as the optimised integration returns it; Input and Output as JSON text or as JSON."""
    details: dict[str, Any] = {
        "ExecutionArn": execution_arn(record.pipeline, record.name),
        "Input": _text(input_) if as_text else input_,
        "InputDetails": {"Included": True},
        "Name": record.name,
        "StartDate": record.created_ms,
        "StateMachineArn": machine_arn(record.pipeline),
        "Status": record.status,
        "StopDate": record.stopped_ms,
    }
    if record.status == "SUCCEEDED":
        details["Output"] = _text(record.output) if as_text else record.output
        details["OutputDetails"] = {"Included": True}
    else:
        details |= {
            key: value for key, value in (("Error", record.error), ("Cause", record.cause)) if value is not None
        }
    return details


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
