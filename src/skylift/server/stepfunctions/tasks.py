"""Answers of tasks by token: SendTaskSuccess, SendTaskFailure, SendTaskHeartbeat; and GetActivityTask."""

from __future__ import annotations

from typing import Any

from skylift.engine.inputs import Callback, FailureAnswer, Heartbeat
from skylift.engine.names import split_token
from skylift.engine.reply import Reply
from skylift.errors import SetupError
from skylift.ports.compute import Succeeded
from skylift.ports.envelope import open_answer, open_elsewhere
from skylift.server.api.visible import Visible
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.activities import find_activity
from skylift.server.stepfunctions.activity_queues import activity_queues
from skylift.server.stepfunctions.inputs import parse, read_output
from skylift.server.stepfunctions.lookup import quick

actions = Actions()

MOST_ANSWER_BYTES = 64 * 1024 * 1024
"""Of what a worker of ours answers for a task of ours."""
_REFUSALS = {
    "TOKEN-INVALID": ("InvalidToken", "Invalid Token: 'Invalid token'"),
    "TASK-UNKNOWN": ("TaskDoesNotExist", "Task Does Not Exist: 'Provided task does not exist'"),
    "TASK-TIMED-OUT": ("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'"),
}
"""The service's code and message by the engine's code."""


@actions.add("SendTaskSuccess", Role.OPERATOR)
async def send_task_success(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    output = read_output(request["output"])
    digest = open_elsewhere(output)
    if digest is not None:
        output = await context.blocking(_answer_at, context, caller, digest)
    return await _answer(context, caller, request["taskToken"], Succeeded(output=output))


@actions.add("SendTaskFailure", Role.OPERATOR)
async def send_task_failure(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    outcome = FailureAnswer(error=request.get("error"), cause=request.get("cause"))
    return await _answer(context, caller, request["taskToken"], outcome)


@actions.add("SendTaskHeartbeat", Role.OPERATOR)
async def send_task_heartbeat(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    token = await _own_token(context, caller, request["taskToken"])
    reply: Reply[None] = Reply()
    context.engine.put(Heartbeat(token=token, reply=reply))
    return await _told(context, reply)


@actions.add("GetActivityTask", Role.OPERATOR)
async def get_activity_task(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    activity = await quick(context, find_activity, context, caller, request["activityArn"])
    offer = await context.part(activity_queues).next(activity.arn, request.get("workerName"))
    return {"taskToken": None} if offer is None else {"taskToken": offer.token, "input": offer.input}


def _answer_at(context: ServerContext, caller: Caller, digest: str) -> Any:
    """What a worker had to say was longer than an output may be: it has put it among the artifacts. Blocks."""
    if not Visible(context).was_put(caller.account, digest):
        raise ApiError("InvalidOutput", f"Invalid Output: there is no artifact {digest[:80]!r}")
    if context.blobs.size(digest) > MOST_ANSWER_BYTES:
        raise ApiError("InvalidOutput", f"Invalid Output: the answer is longer than {MOST_ANSWER_BYTES} bytes")
    try:
        found = parse(context.blobs.get(digest).decode())
    except ValueError as problem:
        raise ApiError("InvalidOutput", f"Invalid Output: {problem}") from None
    if open_answer(found) is None:
        raise ApiError("InvalidOutput", f"Invalid Output: the artifact {digest} is no worker's answer")
    return found


async def _answer(
    context: ServerContext, caller: Caller, token: str, outcome: Succeeded | FailureAnswer
) -> dict[str, Any]:
    token = await _own_token(context, caller, token)
    reply: Reply[None] = Reply()
    context.engine.put(Callback(token=token, outcome=outcome, reply=reply))
    return await _told(context, reply)


async def _own_token(context: ServerContext, caller: Caller, token: str) -> str:
    """A token of another account's run is one that there is not. The engine judges the rest."""
    run_id, _ = split_token(token)
    record = await quick(context, context.journal.run, run_id)
    if record is not None and record.account != caller.account:
        raise _refused("TASK-UNKNOWN")
    return token


async def _told(context: ServerContext, reply: Reply[None]) -> dict[str, Any]:
    try:
        await context.reply(reply)
    except SetupError as problem:
        if problem.code not in _REFUSALS:
            raise
        raise _refused(problem.code) from None
    return {}


def _refused(code: str) -> ApiError:
    return ApiError(*_REFUSALS[code])
