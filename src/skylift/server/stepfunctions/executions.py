"""Executions: start, stop, describe."""

from __future__ import annotations

from typing import Any

from skylift.asl.events import StopRequested
from skylift.asl.json_text import json_text
from skylift.asl.status import OPEN
from skylift.engine.inputs import Send
from skylift.engine.names import arn_of, execution_arn, plain_name
from skylift.engine.reply import Reply
from skylift.errors import RunAlreadyExists
from skylift.ports.journal import RunRecord
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.ends import Ends
from skylift.server.errors import ApiError
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.child_executions import describe_child
from skylift.server.stepfunctions.lookup import Execution, find_execution, quick
from skylift.server.stepfunctions.redrivable import redrive_status
from skylift.server.stepfunctions.replays import replays
from skylift.server.stepfunctions.run_facts import RunFacts, run_facts
from skylift.server.stepfunctions.starts import read_start, read_target
from skylift.server.stepfunctions.wire import seconds

actions = Actions()

INCLUDED = {"included": True}
ENDS_WITHIN_S = 10.0
"""How long a stop waits for an engine of another process to carry it out."""


@actions.add("StartExecution", Role.OPERATOR)
async def start_execution(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    start = read_start(await read_target(context, caller, request), request)
    assert start.name is not None
    started: Reply[str] = Reply()
    start.started = started
    context.engine.put(start)
    try:
        run_id = await context.reply(started)
    except RunAlreadyExists:
        known = await quick(context, context.journal.run_named, start.pipeline, start.name)
        raise _taken(known, start.pipeline, start.name) from None
    record = await quick(context, context.journal.run, run_id)
    assert record is not None
    if run_id != start.run_id and record.status not in OPEN:
        raise _taken(record, start.pipeline, start.name)
    return {"executionArn": arn_of(record), "startDate": seconds(record.created_ms)}


@actions.add("StopExecution", Role.OPERATOR)
async def stop_execution(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    execution = await quick(context, find_execution, context.journal, caller, request["executionArn"])
    if execution.child is not None:
        raise ApiError(
            "ValidationException",
            "A child execution of a Distributed Map ends with its Map Run: stop the execution that started it",
        )
    record = execution.record
    if record.status in OPEN:
        event = StopRequested(error=request.get("error"), cause=request.get("cause"))
        reply: Reply[None] = Reply()
        context.engine.put(Send(run_id=record.run_id, event=event, reply=reply))
        await context.reply(reply)
        record = await context.part(Ends).wait(record, ENDS_WITHIN_S)
    return {"stopDate": seconds(record.stopped_ms or context.now_ms())}


@actions.add("DescribeExecution", Role.VIEWER)
async def describe_execution(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    execution = await quick(context, find_execution, context.journal, caller, request["executionArn"])
    with_data = request.get("includedData") != "METADATA_ONLY"
    if execution.child is not None:
        answer = await context.blocking(describe_child, context.part(replays), execution)
    else:
        facts = await _facts(context, execution.record)
        answer = _described(execution, facts, context.now_ms())
    return answer if with_data else {name: value for name, value in answer.items() if name not in _DATA}


async def _facts(context: ServerContext, record: RunRecord) -> RunFacts:
    reader = context.part(run_facts)
    if reader.is_short(record, context.now_ms()):
        return await quick(context, reader.read, record)
    return await context.blocking(reader.read, record)


_DATA = ("input", "inputDetails", "output", "outputDetails", "error", "cause")


def _described(execution: Execution, facts: RunFacts, now_ms: int) -> dict[str, Any]:
    record = execution.record
    answer: dict[str, Any] = {
        "executionArn": execution.arn,
        "stateMachineArn": record.pipeline,
        "name": plain_name(record),
        "status": shown_status(record),
        "startDate": seconds(record.created_ms),
        "input": facts.input,
        "inputDetails": INCLUDED,
        "redriveCount": facts.redrives,
    }
    if record.stopped_ms is not None:
        answer["stopDate"] = seconds(record.stopped_ms)
    answer |= outcome(record)
    if "trace" in record.attributes:
        answer["traceHeader"] = record.attributes["trace"]
    answer |= version_and_alias(record)
    if facts.redriven_ms is not None:
        answer["redriveDate"] = seconds(facts.redriven_ms)
    status, reason = redrive_status(record, now_ms)
    answer["redriveStatus"] = status
    if reason is not None:
        answer["redriveStatusReason"] = reason
    return answer


def outcome(record: RunRecord) -> dict[str, Any]:
    """Output, or error and cause, of an execution that has ended."""
    if record.status == "SUCCEEDED":
        return {"output": json_text(record.output), "outputDetails": INCLUDED}
    found = {"error": record.error, "cause": record.cause}
    return {name: value for name, value in found.items() if value is not None}


def version_and_alias(record: RunRecord) -> dict[str, str]:
    members = {"version": "stateMachineVersionArn", "alias": "stateMachineAliasArn"}
    return {members[key]: arn for key, arn in record.attributes.items() if key in members}


def shown_status(record: RunRecord) -> str:
    """The service knows no paused executions."""
    return "RUNNING" if record.status == "PAUSED" else record.status


def _taken(record: RunRecord | None, pipeline: str, name: str) -> ApiError:
    arn = arn_of(record) if record is not None else execution_arn(pipeline, name)
    return ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
