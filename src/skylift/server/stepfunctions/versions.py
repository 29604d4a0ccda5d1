"""Versions: state machines as they were when they were published."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.machines import MOST_VERSIONS, Machines, StateMachine, Version, does_not_exist
from skylift.server.names import invalid_arn, machine_arn_of
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.paging import make_token, number_before, page_size
from skylift.server.stepfunctions.wire import seconds

actions = Actions()
INITIAL = "INITIAL"
"""Revision of a machine that was never updated."""


@actions.add("PublishStateMachineVersion", Role.ADMIN)
async def publish_version(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    version = await context.blocking(_publish, context, caller, request)
    return {"creationDate": seconds(version.created_ms), "stateMachineVersionArn": version.arn}


@actions.add("DeleteStateMachineVersion", Role.ADMIN)
async def delete_version(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    await context.blocking(_delete, context, caller, request["stateMachineVersionArn"])
    return {}


@actions.add("ListStateMachineVersions", Role.VIEWER)
async def list_versions(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    return await context.blocking(_list, context, caller, request)


def publish(
    machines: Machines, arn: str, *, now_ms: int, description: str | None = None, revision: str | None = None
) -> Version:
    """Version of the machine as it is now: the one that its revision has already, or a new one. Blocks. Raises
    StateMachineDoesNotExist; ConflictException if it is not at `revision`; ServiceQuotaExceededException."""
    machine = machines.get(arn)
    if machine is None:
        raise does_not_exist(arn)
    present = machine.revision_id or INITIAL
    if revision is not None and revision != present:
        raise ApiError(
            "ConflictException",
            f"Failed to publish the State Machine version for revision {revision}. "
            f"The current State Machine revision is {present}.",
        )
    published = _published(machines, machine)
    if published is not None:
        return published
    if len(machines.versions(arn)) >= MOST_VERSIONS:
        raise _quota(f"A state machine may have at most {MOST_VERSIONS} versions; delete some first")
    made = _next_version(machines, machine, description, now_ms)
    if machines.change(arn, lambda now: _numbered(now, made.number, present)) is None:
        machines.delete_version(made.arn)
        raise does_not_exist(arn)
    return made


def _next_version(machines: Machines, machine: StateMachine, description: str | None, now_ms: int) -> Version:
    """The first number that is free, or that somebody else has just given to the same revision."""
    number = machine.last_version
    while True:
        number += 1
        asked = Version(
            arn=f"{machine.arn}:{number}",
            number=number,
            description=description,
            created_ms=now_ms,
            machine=machine,
        )
        made = machines.create_version(asked)
        if made.machine.revision_id == machine.revision_id:
            return made


def _numbered(machine: StateMachine, number: int, revision: str) -> StateMachine:
    if number <= machine.last_version:
        return machine
    return msgspec.structs.replace(machine, last_version=number, published_revision=revision)


def _published(machines: Machines, machine: StateMachine) -> Version | None:
    """The version of this revision, if it is the newest one."""
    if machine.published_revision != (machine.revision_id or INITIAL):
        return None
    return machines.version(f"{machine.arn}:{machine.last_version}")


def _publish(context: ServerContext, caller: Caller, request: dict[str, Any]) -> Version:
    machines = Machines(context.resources)
    machine = machines.owned(machine_arn_of(request["stateMachineArn"]), caller)
    return publish(
        machines,
        machine.arn,
        now_ms=context.now_ms(),
        description=request.get("description"),
        revision=request.get("revisionId"),
    )


def _delete(context: ServerContext, caller: Caller, text: str) -> None:
    """What is gone already is deleted too."""
    arn = machine_arn_of(text)
    if arn.qualifier is None or not arn.qualifier.isdigit():
        raise invalid_arn(text)
    if arn.account != caller.account:
        return
    machines = Machines(context.resources)
    users = [alias.name for alias in machines.aliases(arn.machine) if text in dict(alias.routing)]
    if users:
        raise ApiError(
            "ConflictException",
            "Version to be deleted must not be referenced by an alias. "
            f"Current list of aliases referencing this version: [{', '.join(users)}]",
        )
    machines.delete_version(text)


def _list(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    machines = Machines(context.resources)
    machine = machines.owned(machine_arn_of(request["stateMachineArn"]), caller)
    scope, size = ("ListStateMachineVersions", machine.arn), page_size(request)
    before = number_before(request, scope)
    found = [version for version in machines.versions(machine.arn) if before is None or version.number < before]
    answer: dict[str, Any] = {"stateMachineVersions": [_listed(version) for version in found[:size]]}
    if len(found) > size:
        answer["nextToken"] = make_token(scope, found[size - 1].number)
    return answer


def _listed(version: Version) -> dict[str, Any]:
    return {"stateMachineVersionArn": version.arn, "creationDate": seconds(version.created_ms)}


def _quota(message: str) -> ApiError:
    return ApiError("ServiceQuotaExceededException", message)
