"""Timestamps as the States Language wants them: RFC 3339 with upper-case T and Z."""

from __future__ import annotations

import re
from datetime import datetime

from skylift.asl.validation.report import Report, show

_SHAPE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def is_timestamp(text: str) -> bool:
    match = _SHAPE.fullmatch(text)
    if match is None:
        return False
    try:
        datetime.fromisoformat(match.group(1) + ("+00:00" if match.group(3) == "Z" else match.group(3)))
    except ValueError:
        return False
    return True


def check_timestamp(text: str, pointer: str, report: Report) -> None:
    if not is_timestamp(text):
        report.add(
            "INVALID_TIMESTAMP",
            pointer,
            f"{show(text)} is not a timestamp",
            "Write it like 2026-01-31T12:00:00Z or 2026-01-31T12:00:00.5+01:00, with capital T and Z",
        )
