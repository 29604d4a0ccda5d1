"""The one door of the protocol: finds the action, checks the role and the request, and answers, errors too."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from skylift.errors import JournalUnavailable
from skylift.server.caller import Caller
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.stepfunctions import (
    activities,
    aliases,
    execution_lists,
    execution_machines,
    executions,
    history,
    machines,
    map_runs,
    redrive,
    sync_executions,
    tags,
    tasks,
    test_state,
    validation,
    versions,
)
from skylift.server.stepfunctions.actions import Action
from skylift.server.stepfunctions.shapes import REQUESTS
from skylift.server.stepfunctions.wire import CONTENT_TYPE, encode, encode_error, read_request

PREFIX = "AWSStepFunctions."
"""Of `X-Amz-Target`."""

_MODULES = (
    activities,
    aliases,
    execution_lists,
    execution_machines,
    executions,
    history,
    machines,
    map_runs,
    redrive,
    sync_executions,
    tags,
    tasks,
    test_state,
    validation,
    versions,
)
_log = logging.getLogger(__name__)


class Endpoint:
    """Answers requests of the protocol. Never raises but for cancellation."""

    def __init__(self, actions: Mapping[str, Action] | None = None) -> None:
        self._actions = all_actions() if actions is None else actions

    async def handle(
        self, context: ServerContext, caller: Caller, target: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """HTTP status, headers and body of the answer to one request; `target` is its X-Amz-Target."""
        headers = {"content-type": CONTENT_TYPE, "x-amzn-requestid": str(uuid.uuid4())}
        try:
            answer = await self._answer(context, caller, target, body)
        except ApiError as problem:
            headers["x-amzn-errortype"] = problem.code
            return problem.status, headers, encode_error(problem)
        return 200, headers, encode(answer)

    async def _answer(self, context: ServerContext, caller: Caller, target: str, body: bytes) -> dict[str, Any]:
        name = target.removeprefix(PREFIX)
        action = self._actions.get(name) if target.startswith(PREFIX) else None
        if action is None:
            raise ApiError("UnknownOperationException", f"There is no action {target!r}")
        if caller.role < action.role:
            raise _denied(caller, name)
        request = read_request(body, REQUESTS[name])
        try:
            return await action.handle(context, caller, request)
        except ApiError:
            raise
        except JournalUnavailable as problem:
            _log.warning("%s: the journal is unavailable: %s", name, problem)
            raise ApiError("ServiceUnavailable", "The store is unavailable, try again", status=503) from problem
        except Exception as problem:
            _log.exception("%s of account %s failed", name, caller.account)
            raise ApiError("InternalFailure", "An internal error occurred", status=500) from problem


def all_actions() -> dict[str, Action]:
    """Every action of the protocol, by its name."""
    return {name: action for module in _MODULES for name, action in module.actions.by_name.items()}


def _denied(caller: Caller, name: str) -> ApiError:
    user = f"arn:aws:iam::{caller.account}:user/{caller.key_id or 'anonymous'}"
    resource = f"arn:aws:states:{caller.region}:{caller.account}:*"
    return ApiError(
        "AccessDeniedException",
        f"User: {user} is not authorized to perform: states:{name} on resource: {resource} "
        f"because no identity-based policy allows the states:{name} action",
    )
