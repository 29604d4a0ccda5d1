"""StartSyncExecution: an EXPRESS execution, answered with its end."""

from __future__ import annotations

from typing import Any

from skylift.engine.names import arn_of, plain_name
from skylift.engine.reply import Reply
from skylift.ports.journal import RunRecord
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.executions import INCLUDED, outcome
from skylift.server.stepfunctions.lookup import not_supported
from skylift.server.stepfunctions.starts import read_start, read_target
from skylift.server.stepfunctions.wire import seconds

actions = Actions()

BILLED_MS = 100
"""Durations are billed in steps of this."""
BILLED_MIB = 64
"""The least memory that the service bills; executions here have none of their own."""


@actions.add("StartSyncExecution", Role.OPERATOR)
async def start_sync_execution(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    target = await read_target(context, caller, request)
    if target.machine.type != "EXPRESS":
        raise not_supported()
    start = read_start(target, request)
    finished: Reply[RunRecord] = Reply()
    start.finished = finished
    context.engine.put(start)
    record = await context.reply(finished)
    answer = _answer(record)
    if request.get("includedData") != "METADATA_ONLY":
        answer |= {"input": request.get("input", "{}"), "inputDetails": INCLUDED, **outcome(record)}
    if "traceHeader" in request:
        answer["traceHeader"] = request["traceHeader"]
    return answer


def _answer(record: RunRecord) -> dict[str, Any]:
    stopped_ms = record.stopped_ms if record.stopped_ms is not None else record.created_ms
    steps = max(1, -(-(stopped_ms - record.created_ms) // BILLED_MS))
    return {
        "executionArn": arn_of(record),
        "stateMachineArn": record.pipeline,
        "name": plain_name(record),
        "startDate": seconds(record.created_ms),
        "stopDate": seconds(stopped_ms),
        "status": "FAILED" if record.status == "ABORTED" else record.status,
        "billingDetails": {"billedMemoryUsedInMB": BILLED_MIB, "billedDurationInMilliseconds": steps * BILLED_MS},
    }
