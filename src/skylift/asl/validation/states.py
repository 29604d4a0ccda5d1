"""The eight state types: which fields each has, and their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, UnsetType

from skylift.asl.document import Fail, Flow, Parallel, Pass, State, Succeed, Task, Wait
from skylift.asl.validation.choice import choice
from skylift.asl.validation.expressions import (
    assign,
    expression,
    number_or_expression,
    path,
    result_path,
    template,
    text_or_expression,
)
from skylift.asl.validation.fields import EVERYWHERE, JSONATA, JSONPATH, Allowed, Fields, kind_of
from skylift.asl.validation.map import map_state
from skylift.asl.validation.nested import FlowReader
from skylift.asl.validation.report import show
from skylift.asl.validation.resource import resource
from skylift.asl.validation.retry import MAX_SECONDS, catchers, retriers
from skylift.asl.validation.timestamp import check_timestamp


def _allowed(everywhere: str, jsonpath: str = "", jsonata: str = "") -> Allowed:
    return {
        **dict.fromkeys(("Type", "Comment", "QueryLanguage", *everywhere.split()), EVERYWHERE),
        **dict.fromkeys(jsonpath.split(), JSONPATH),
        **dict.fromkeys(jsonata.split(), JSONATA),
    }


_PATHS = "InputPath OutputPath"
_CALL = f"{_PATHS} Parameters ResultSelector ResultPath"

STATE_FIELDS: dict[str, Allowed] = {
    "Pass": _allowed("Next End Assign", f"{_PATHS} Parameters Result ResultPath", "Output"),
    "Task": _allowed(
        "Next End Resource Credentials TimeoutSeconds HeartbeatSeconds Retry Catch Assign",
        f"{_CALL} TimeoutSecondsPath HeartbeatSecondsPath",
        "Arguments Output",
    ),
    "Choice": _allowed("Choices Default Assign", _PATHS, "Output"),
    "Wait": _allowed("Next End Seconds Timestamp Assign", f"{_PATHS} SecondsPath TimestampPath", "Output"),
    "Succeed": _allowed("", _PATHS, "Output"),
    "Fail": _allowed("Error Cause", "ErrorPath CausePath"),
    "Parallel": _allowed("Next End Branches Retry Catch Assign", _CALL, "Arguments Output"),
    "Map": _allowed(
        "Next End ItemProcessor Iterator ItemSelector ItemReader ItemBatcher ResultWriter MaxConcurrency "
        "ToleratedFailureCount ToleratedFailurePercentage Label Retry Catch Assign",
        f"{_CALL} ItemsPath MaxConcurrencyPath ToleratedFailureCountPath ToleratedFailurePercentagePath",
        "Items Output",
    ),
}
KNOWN: Allowed = {name: EVERYWHERE for allowed in STATE_FIELDS.values() for name in allowed}
TERMINAL = ("Succeed", "Fail")
WITHOUT_NEXT = ("Choice", *TERMINAL)


def read_state(fields: Fields, name: str, kind: str, read: FlowReader) -> State:
    """The typed state. What is wrong is reported and reads as absent."""
    fields.allow(STATE_FIELDS[kind], KNOWN)
    common = _common(fields, name, kind)
    if kind == "Map":
        return map_state(fields, common, read)
    if kind == "Parallel":
        return _parallel(fields, common, read)
    return _READERS[kind](fields, common)


def _common(fields: Fields, name: str, kind: str) -> dict[str, Any]:
    common: dict[str, Any] = {
        "pointer": fields.pointer,
        "name": name,
        "query_language": fields.language,
        "comment": fields.comment(),
    }
    if kind not in WITHOUT_NEXT:
        common.update(_transition(fields))
    if kind != "Fail":
        common["input_path"] = path(fields, "InputPath", null=True)
        common["output_path"] = path(fields, "OutputPath", null=True)
        common["assign"] = assign(fields)
        common["output"] = template(fields, "Output")
    return common


def _transition(fields: Fields) -> dict[str, Any]:
    """Next or End, one of them."""
    end = fields.flag("End")
    target = fields.target("Next")
    if end and fields.has("Next"):
        fields.exclusive("Next", "End")
    elif not end and not fields.has("Next"):
        fields.report.add(
            "MISSING_FIELD",
            fields.pointer,
            f"{fields.what} needs Next or End" + (", and End is false" if fields.value.get("End") is False else ""),
            'Add "Next": "…" with the name of the following state, or "End": true',
        )
    return {"next": target if isinstance(target, str) else None, "end": end}


def _pass(fields: Fields, common: dict[str, Any]) -> Pass:
    result = fields.raw("Result")
    if result is not UNSET:
        _check_static_result(result, fields)
    return Pass(**common, result=result, parameters=template(fields, "Parameters"), result_path=result_path(fields))


def _check_static_result(result: Any, fields: Fields) -> None:
    dollar = next((key for key in result if key.endswith(".$")), None) if isinstance(result, dict) else None
    if dollar is not None:
        fields.report.add(
            "PASS_RESULT_IS_STATIC",
            fields.at("Result"),
            f"Result is not evaluated: the key {show(dollar)} stays as it is",
            "Use Parameters for paths",
        )


def _task(fields: Fields, common: dict[str, Any]) -> Task:
    fields.require("Resource")
    fields.exclusive("TimeoutSeconds", "TimeoutSecondsPath")
    fields.exclusive("HeartbeatSeconds", "HeartbeatSecondsPath")
    timeout = number_or_expression(fields, "TimeoutSeconds", 1, MAX_SECONDS)
    heartbeat = number_or_expression(fields, "HeartbeatSeconds", 1, MAX_SECONDS)
    if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
        fields.report.add(
            "OUT_OF_RANGE",
            fields.at("HeartbeatSeconds"),
            f"'HeartbeatSeconds' is {heartbeat}, not less than the TimeoutSeconds of {timeout}",
            "Make it smaller than TimeoutSeconds",
        )
    return Task(
        **common,
        resource=resource(fields),
        parameters=template(fields, "Parameters"),
        arguments=template(fields, "Arguments"),
        result_selector=template(fields, "ResultSelector"),
        result_path=result_path(fields),
        credentials=template(fields, "Credentials"),
        timeout_seconds=timeout,
        timeout_seconds_path=path(fields, "TimeoutSecondsPath"),
        heartbeat_seconds=heartbeat,
        heartbeat_seconds_path=path(fields, "HeartbeatSecondsPath"),
        retry=retriers(fields),
        catch=catchers(fields),
    )


_WAITS = ("Seconds", "SecondsPath", "Timestamp", "TimestampPath")


def _wait(fields: Fields, common: dict[str, Any]) -> Wait:
    fields.exclusive(*_WAITS)
    if not any(fields.has(name) for name in _WAITS):
        fields.report.add(
            "MISSING_FIELD",
            fields.pointer,
            "a Wait state needs one of Seconds, SecondsPath, Timestamp, TimestampPath",
            'Add for example "Seconds": 10',
        )
    return Wait(
        **common,
        seconds=number_or_expression(fields, "Seconds", 0, MAX_SECONDS),
        seconds_path=path(fields, "SecondsPath"),
        timestamp=_timestamp(fields),
        timestamp_path=path(fields, "TimestampPath"),
    )


def _timestamp(fields: Fields) -> str | UnsetType:
    if expression(fields, "Timestamp"):
        return str(fields.raw("Timestamp"))
    value = fields.text("Timestamp")
    if isinstance(value, str):
        check_timestamp(value, fields.at("Timestamp"), fields.report)
    return value


def _succeed(fields: Fields, common: dict[str, Any]) -> Succeed:
    return Succeed(**common)


def _fail(fields: Fields, common: dict[str, Any]) -> Fail:
    fields.exclusive("Error", "ErrorPath")
    fields.exclusive("Cause", "CausePath")
    return Fail(
        **common,
        error=text_or_expression(fields, "Error"),
        error_path=path(fields, "ErrorPath", intrinsic=True),
        cause=text_or_expression(fields, "Cause"),
        cause_path=path(fields, "CausePath", intrinsic=True),
    )


def _parallel(fields: Fields, common: dict[str, Any], read: FlowReader) -> Parallel:
    fields.require("Branches")
    entries = fields.list("Branches")
    if entries == []:
        fields.report.add("TOO_FEW", fields.at("Branches"), "'Branches' is empty", "Add a branch")
    branches: list[Flow] = []
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        pointer = f"{fields.at('Branches')}/{index}"
        if isinstance(entry, dict):
            branches.append(read(entry, pointer, "a branch", fields.check, False))
        else:
            fields.report.add("WRONG_TYPE", pointer, f"a branch must be an object, it is {kind_of(entry)}", "Mend it")
    return Parallel(
        **common,
        branches=tuple(branches),
        parameters=template(fields, "Parameters"),
        arguments=template(fields, "Arguments"),
        result_selector=template(fields, "ResultSelector"),
        result_path=result_path(fields),
        retry=retriers(fields),
        catch=catchers(fields),
    )


_READERS: dict[str, Callable[[Fields, dict[str, Any]], State]] = {
    "Pass": _pass,
    "Task": _task,
    "Choice": choice,
    "Wait": _wait,
    "Succeed": _succeed,
    "Fail": _fail,
}
