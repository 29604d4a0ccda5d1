"""Whether an execution can be redriven, and if not, why not."""

from __future__ import annotations

from skylift.ports.journal import RunRecord

DAY_MS = 24 * 3_600_000
REDRIVABLE_MS = 14 * DAY_MS
"""How long after its end an execution of the service's kind can be redriven."""
LONGEST_MS = 365 * DAY_MS
_FULL = "The execution reached the maximum number of history events"


def redrive_status(record: RunRecord, now_ms: int) -> tuple[str, str | None]:
    """`redriveStatus` and `redriveStatusReason`."""
    reason = why_not(record, now_ms)
    return ("REDRIVABLE", None) if reason is None else ("NOT_REDRIVABLE", reason)


def why_not(record: RunRecord, now_ms: int) -> str | None:
    status = "RUNNING" if record.status == "PAUSED" else record.status
    if status in ("RUNNING", "SUCCEEDED"):
        return f"Execution is {status} and cannot be redriven"
    if record.limits != "service":
        return None
    if record.cause is not None and _FULL in record.cause:
        return "Execution history event limit exceeded"
    if now_ms - record.created_ms > LONGEST_MS:
        return "Execution has exceeded the max execution time"
    if record.stopped_ms is not None and now_ms - record.stopped_ms > REDRIVABLE_MS:
        return "Execution redrivable period exceeded"
    return None
