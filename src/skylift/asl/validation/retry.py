"""Retry and Catch: their entries, and where States.ALL may stand."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from skylift.asl.document import Catcher, Retrier
from skylift.asl.validation.expressions import assign, result_path, template
from skylift.asl.validation.fields import EVERYWHERE, JSONATA, JSONPATH, Allowed, Fields, kind_of
from skylift.asl.validation.report import listed, show, suggestion

RETRIER: Allowed = dict.fromkeys(
    (
        "ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy", "Comment",
    ),
    EVERYWHERE,
)  # fmt: skip
CATCHER: Allowed = {
    **dict.fromkeys(("ErrorEquals", "Next", "Assign", "Comment"), EVERYWHERE),
    "ResultPath": JSONPATH,
    "Output": JSONATA,
}
RESERVED_ERRORS = (
    "States.ALL", "States.BranchFailed", "States.DataLimitExceeded", "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout", "States.Http.Socket", "States.IntrinsicFailure", "States.ItemReaderFailed",
    "States.NoChoiceMatched", "States.ParameterPathFailure", "States.Permissions", "States.QueryEvaluationError",
    "States.ResultPathMatchFailure", "States.ResultWriterFailed", "States.Runtime", "States.TaskFailed",
    "States.Timeout",
)  # fmt: skip

MAX_SECONDS = 99_999_999
MAX_DELAY_SECONDS = 31_622_400


def retriers(fields: Fields) -> tuple[Retrier, ...]:
    entries = _entries(fields, "Retry", "a Retrier", RETRIER)
    read = [_retrier(entry) for entry in entries]
    _check_catch_all(entries, "Retry")
    return tuple(read)


def catchers(fields: Fields) -> tuple[Catcher, ...]:
    entries = _entries(fields, "Catch", "a Catcher", CATCHER)
    read = [_catcher(entry) for entry in entries]
    _check_catch_all(entries, "Catch")
    return tuple(read)


def _entries(fields: Fields, name: str, what: str, allowed: Allowed) -> list[Fields]:
    value = fields.list(name)
    made: list[Fields] = []
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        pointer = f"{fields.at(name)}/{index}"
        if not isinstance(entry, dict):
            fields.report.add("WRONG_TYPE", pointer, f"{what} must be an object, it is {kind_of(entry)}", "Mend it")
            continue
        inner = Fields(entry, pointer, what, fields.check, fields.language)
        inner.allow(allowed, {**RETRIER, **CATCHER})
        made.append(inner)
    return made


def _retrier(fields: Fields) -> Retrier:
    fields.require("ErrorEquals")
    interval = fields.whole("IntervalSeconds", 1, MAX_SECONDS)
    attempts = fields.whole("MaxAttempts", 0, MAX_SECONDS)
    rate = fields.number("BackoffRate", 1.0)
    jitter = fields.one_of("JitterStrategy", "NONE", "FULL")
    delay = fields.whole("MaxDelaySeconds", 1, MAX_DELAY_SECONDS - 1)
    base = 1 if interval is UNSET else interval
    if isinstance(delay, int) and delay <= base:
        fields.report.add(
            "OUT_OF_RANGE",
            fields.at("MaxDelaySeconds"),
            f"'MaxDelaySeconds' is {delay}, not more than the IntervalSeconds of {base}",
            "Make it greater than IntervalSeconds, or leave it out",
        )
    return Retrier(
        pointer=fields.pointer,
        error_equals=_errors(fields),
        interval_seconds=base,
        max_attempts=3 if attempts is UNSET else attempts,
        backoff_rate=2.0 if rate is UNSET else float(rate),
        max_delay_seconds=None if delay is UNSET else delay,
        jitter_strategy="FULL" if jitter == "FULL" else "NONE",
    )


def _catcher(fields: Fields) -> Catcher:
    fields.require("ErrorEquals", "Next")
    target = fields.target("Next")
    return Catcher(
        pointer=fields.pointer,
        error_equals=_errors(fields),
        next=target if isinstance(target, str) else "",
        result_path=result_path(fields),
        assign=assign(fields, caught=True),
        output=template(fields, "Output", caught=True),
    )


def _errors(fields: Fields) -> tuple[str, ...]:
    names = fields.list("ErrorEquals")
    if not isinstance(names, list):
        return ()
    pointer = fields.at("ErrorEquals")
    if not names:
        fields.report.add("TOO_FEW", pointer, "'ErrorEquals' is empty", 'Name errors, or write ["States.ALL"]')
    for index, name in enumerate(names):
        _check_error_name(name, f"{pointer}/{index}", fields)
    return tuple(name for name in names if isinstance(name, str))


def _check_error_name(name: Any, pointer: str, fields: Fields) -> None:
    if not isinstance(name, str):
        fields.report.add("WRONG_TYPE", pointer, f"an error name must be text, it is {kind_of(name)}", "Write text")
    elif name.startswith("States.") and name not in RESERVED_ERRORS:
        guess = suggestion(name, RESERVED_ERRORS)
        fields.report.add(
            "UNKNOWN_ERROR_NAME",
            pointer,
            f"{show(name)} is not a reserved error name, so it never matches",
            f"{guess[:1].upper()}{guess[1:]}The reserved names are {listed(RESERVED_ERRORS)}",
        )


def _check_catch_all(entries: list[Fields], field: str) -> None:
    """States.ALL stands alone, in the last entry."""
    for index, entry in enumerate(entries):
        names = entry.value.get("ErrorEquals")
        if not isinstance(names, list) or "States.ALL" not in names:
            continue
        if len(names) > 1:
            problem, mend = "States.ALL stands beside other error names", "Leave States.ALL alone in its list"
        elif index < len(entries) - 1:
            problem = f"States.ALL is not in the last entry of {field}: those after it would never match"
            mend = "Move this entry to the end"
        else:
            continue
        entry.report.add("MISPLACED_CATCH_ALL", entry.at("ErrorEquals"), problem, mend)
