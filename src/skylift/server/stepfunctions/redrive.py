"""RedriveExecution."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from skylift.asl.events import RedriveRequested
from skylift.engine.inputs import Send
from skylift.engine.reply import Reply
from skylift.errors import SetupError
from skylift.ports.journal import RunRecord
from skylift.ports.resources import ResourceStore
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.lookup import find_execution, quick
from skylift.server.stepfunctions.redrivable import why_not
from skylift.server.stepfunctions.run_facts import RunFacts, run_facts
from skylift.server.stepfunctions.wire import seconds

actions = Actions()

KIND = "redrive"
"""In the ResourceStore: the last redrive of an execution that gave a client token; the key is the run's id."""
SAME_FOR_MS = 15 * 60_000
"""How long a client token names the same redrive."""
SEEN_WITHIN_S = 10.0
LOOK_S = 0.02


class Redrive(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for with a client token."""

    token: str
    asked_ms: int
    before: int
    """How often the execution had been redriven then."""


@actions.add("RedriveExecution", Role.OPERATOR)
async def redrive_execution(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    execution = await quick(context, find_execution, context.journal, caller, request["executionArn"])
    if execution.child is not None:
        raise _refused("A child execution of a Distributed Map is redriven with its Map Run")
    record = execution.record
    facts = await _facts(context, record)
    token = request.get("clientToken")
    if token is not None:
        done = await context.blocking(_known, context.resources, record.run_id, token, facts, context.now_ms())
        if done is not None:
            return {"redriveDate": seconds(done)}
    reason = why_not(record, context.now_ms())
    if reason is not None:
        raise _refused(reason)
    if token is not None:
        asked = Redrive(token=token, asked_ms=context.now_ms(), before=facts.redrives)
        await context.blocking(context.resources.put, KIND, record.run_id, msgspec.json.encode(asked))
    return {"redriveDate": seconds(await _redriven(context, record, facts))}


async def _redriven(context: ServerContext, record: RunRecord, before: RunFacts) -> int:
    """When it was: the request may go to an engine of another process."""
    reply: Reply[None] = Reply()
    context.engine.put(Send(run_id=record.run_id, event=RedriveRequested(), reply=reply))
    try:
        await context.reply(reply)
    except SetupError as problem:  # somebody else was faster
        raise _refused(str(problem)) from None
    deadline = time.monotonic() + SEEN_WITHIN_S
    while True:
        facts = await _facts(context, record)
        if facts.redrives > before.redrives and facts.redriven_ms is not None:
            return facts.redriven_ms
        if time.monotonic() > deadline:
            return context.now_ms()
        await asyncio.sleep(LOOK_S)


async def _facts(context: ServerContext, record: RunRecord) -> RunFacts:
    return await context.blocking(context.part(run_facts).redrives, record)


def _known(resources: ResourceStore, run_id: str, token: str, facts: RunFacts, now_ms: int) -> int | None:
    """When the redrive of this client token happened, if it did."""
    stored = resources.get(KIND, run_id)
    asked = None if stored is None else msgspec.json.decode(stored.body, type=Redrive)
    if asked is None or asked.token != token or now_ms - asked.asked_ms > SAME_FOR_MS:
        return None
    return facts.redriven_ms if facts.redrives > asked.before else None


def _refused(reason: str) -> ApiError:
    return ApiError("ExecutionNotRedrivable", f"Execution Not Redrivable: '{reason}'")
