"""A trigger's start: what StartExecution does, asked for by the server itself, once for each name."""

from __future__ import annotations

from typing import Any

from skylift.asl.json_text import json_text
from skylift.engine.names import arn_of
from skylift.engine.reply import Reply
from skylift.errors import InternalError, RunAlreadyExists
from skylift.ports.journal import RunRecord
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.stepfunctions.starts import read_start, read_target
from skylift.server.triggers.runner import Start
from skylift.server.triggers.trigger import Trigger


def starter(context: ServerContext) -> Start:
    """For the runner."""

    async def start(trigger: Trigger, name: str, value: Any) -> str:
        caller = Caller(account=trigger.account, region=trigger.region, role=Role.OPERATOR)
        target = await read_target(context, caller, {"stateMachineArn": trigger.start})
        asked = read_start(target, {"name": name, "input": json_text(value)})
        asked.attributes["trigger"] = trigger.name
        asked.started = started = Reply[str]()
        context.engine.put(asked)
        try:
            record = await context.blocking(context.journal.run, await context.reply(started))
        except RunAlreadyExists:  # the occurrence was started before, when the trigger's input was another one
            record = await context.blocking(context.journal.run_named, asked.pipeline, name)
        return arn_of(_there(record, name))

    return start


def _there(record: RunRecord | None, name: str) -> RunRecord:
    if record is None:
        raise InternalError(f"the run {name} was started, but the journal does not have it")
    return record
