"""Resources: what a Task, ItemReader or ResultWriter calls."""

from __future__ import annotations

import re

from skylift.asl.validation.fields import Fields
from skylift.asl.validation.report import show

_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:\S+", re.DOTALL)
_ACTIVITY = re.compile(r"arn:[^:]+:states:[^:]*:[^:]*:activity:.+", re.DOTALL)
_PATTERN = re.compile(r"(\.waitForTaskToken|\.sync)(:\d+)?$")


def resource(fields: Fields) -> str:
    """The Resource, empty if it is absent or wrong."""
    value = fields.text("Resource")
    if not isinstance(value, str):
        return ""
    if not _ARN.fullmatch(value):
        fields.report.add(
            "INVALID_RESOURCE",
            fields.at("Resource"),
            f"{show(value)} is not an ARN",
            "Name a task (arn:aws:states:::skylift:NAME), a function (arn:aws:lambda:REGION:ACCOUNT:function:NAME) or "
            "a service (arn:aws:states:::lambda:invoke)",
            service_message="Value is not a valid resource ARN",
        )
    elif fields.check.express:
        _check_express(value, fields)
    return value


def _check_express(value: str, fields: Fields) -> None:
    if _ACTIVITY.fullmatch(value):
        fields.report.add(
            "NOT_FOR_EXPRESS",
            fields.at("Resource"),
            f"an Express machine cannot use the activity {show(value)}",
            "Make the machine STANDARD, or call a function instead",
            service_message=f"Express state machine does not support Activity ARN '{value}'",
        )
    pattern = _PATTERN.search(value)
    if pattern is None:
        return
    kind = pattern.group(1)
    end = " " if kind == ".waitForTaskToken" else ""
    fields.report.add(
        "NOT_FOR_EXPRESS",
        fields.at("Resource"),
        f"an Express machine cannot use the {kind} integration of {show(value)}",
        f"Make the machine STANDARD, or take {kind} off",
        service_message=f"Express state machine does not support '{kind}' service integration{end}",
    )
