"""Fields that hold a number of seconds: as such, as a path, or as JSONata."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from skylift.asl.dataflow import Evaluate, named_path_reader, template
from skylift.asl.json_text import json_text
from skylift.asl.result_types import out_of_range, require
from skylift.asl.scope import EvaluationFailed, Scope

MOST_SECONDS = 99_999_999
"""The longest wait or time limit of the service: about three years."""


def time_limit(value: Any, path: Any, language: Any, field: str) -> Evaluate | None:
    """TimeoutSeconds or HeartbeatSeconds, evaluated to milliseconds."""
    return _seconds(value, path, language, field, 1)


def waiting_time(value: Any, path: Any, language: Any) -> Evaluate | None:
    """Seconds of a Wait, evaluated to milliseconds."""
    return _seconds(value, path, language, "Seconds", 0)


def _seconds(value: Any, path: Any, language: Any, field: str, least: int) -> Evaluate | None:
    if path is not UNSET:
        return _at_path(path, field, least)
    evaluate = template(value, language, field)
    if evaluate is None:
        return None
    jsonata = language == "JSONata"

    def read(scope: Scope) -> int:
        seconds = evaluate(scope)
        require("number", seconds, value, field)
        if least <= seconds <= MOST_SECONDS and seconds == int(seconds):
            return int(seconds) * 1000
        cause = f"{field} must be an integer between {least} and {MOST_SECONDS} but was: {json_text(seconds)}"
        raise out_of_range(jsonata, field, cause)

    return read


def _at_path(path: str, field: str, least: int) -> Evaluate:
    evaluate = named_path_reader(path, field + "Path")
    assert evaluate is not None

    def read(scope: Scope) -> int:
        seconds = evaluate(scope)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != int(seconds):
            problem = "cannot be parsed as a long value"
        elif seconds < least:
            problem = "references a negative value" if seconds < 0 else "references a value that is not positive"
        elif seconds > MOST_SECONDS:
            problem = f"references a value larger than {MOST_SECONDS}"
        else:
            return int(seconds) * 1000
        shown = seconds if isinstance(seconds, str) else json_text(seconds)
        cause = f"The {field}Path parameter {problem}: {path} == {shown}"
        raise EvaluationFailed("States.Runtime", cause)

    return read
