"""DescribeStateMachineForExecution: the state machine as an execution uses it."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.asl.events import RunStarted
from skylift.ports.journal import RunRecord
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.machines import Machines, StateMachine
from skylift.server.names import EXECUTION, MAP_RUN, Arn, make_arn, read_arn
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.descriptions import describe_definition, describe_settings
from skylift.server.stepfunctions.lookup import find_execution
from skylift.server.stepfunctions.wire import seconds

actions = Actions()


@actions.add("DescribeStateMachineForExecution", Role.VIEWER)
async def describe_for_execution(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    return await context.blocking(_describe, context, caller, request)


def _describe(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    execution = find_execution(context.journal, caller, request["executionArn"])
    record = execution.record
    arn = read_arn(execution.arn, EXECUTION)
    machine = _machine_of(context, record)
    return {
        "stateMachineArn": arn.machine,
        "name": arn.name,
        "roleArn": _role(context, record) or (machine.role_arn if machine else ""),
        "updateDate": seconds((machine.updated_ms or machine.created_ms) if machine else record.created_ms),
        **(describe_settings(machine) if machine else {}),
        **describe_definition(context, request, record.definition),
        **_map_run(arn),
    }


def _machine_of(context: ServerContext, record: RunRecord) -> StateMachine | None:
    """What the execution was started from: its version, or the machine as it is now; None once that is deleted."""
    machines = Machines(context.resources)
    version_arn = record.attributes.get("version")
    version = machines.version(version_arn) if version_arn else None
    if version is not None and version.machine.account == record.account:
        return version.machine
    machine = machines.get(record.pipeline)
    if machine is None or machine.created_ms > record.created_ms:
        return None
    return msgspec.structs.replace(machine, revision_id=record.attributes.get("revision"))


def _role(context: ServerContext, record: RunRecord) -> str | None:
    for entry in context.journal.entries(record.run_id):
        execution = entry.event.context.get("Execution") if isinstance(entry.event, RunStarted) else None
        role = execution.get("RoleArn") if isinstance(execution, dict) else None
        return role if isinstance(role, str) else None
    return None


def _map_run(arn: Arn) -> dict[str, str]:
    if arn.label is None:
        return {}
    unique, _, _ = arn.rest[0].rpartition("-")
    map_run = make_arn(MAP_RUN, arn.region, arn.account, f"{arn.name}/{arn.label}:{unique}")
    return {"label": arn.label, "mapRunArn": map_run}
