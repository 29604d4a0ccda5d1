"""What StartExecution and StartSyncExecution have in common: from a request to a start that the engine is asked for."""

from __future__ import annotations

import uuid
from typing import Any

from skylift.engine.inputs import StartRun
from skylift.engine.names import new_run_id
from skylift.server.caller import Caller
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.machines import Machines, Target
from skylift.server.names import check_name
from skylift.server.starts import start_of
from skylift.server.stepfunctions.inputs import as_given, read_input
from skylift.server.stepfunctions.lookup import quick


async def read_target(context: ServerContext, caller: Caller, request: dict[str, Any]) -> Target:
    """The machine that the request starts, as it is stored now: what any process has answered to an update is seen.
    Raises ApiError: InvalidArn, StateMachineDoesNotExist, StateMachineDeleting."""
    arn = request["stateMachineArn"]
    target = await quick(context, Machines(context.resources).target, arn, caller)
    if target.machine.status == "DELETING":
        raise ApiError("StateMachineDeleting", f"State Machine Deleting: '{arn}'")
    return target


def read_start(target: Target, request: dict[str, Any]) -> StartRun:
    """Raises ApiError: InvalidName, InvalidExecutionInput."""
    name = request.get("name")
    if name is None:
        name = str(uuid.uuid4())
    else:
        check_name(name)
    text = request.get("input", "{}")
    value = read_input(text)
    trace = {"trace": request["traceHeader"]} if "traceHeader" in request else None
    return start_of(target, value, name=name, run_id=new_run_id(), input_text=as_given(text, value), attributes=trace)
