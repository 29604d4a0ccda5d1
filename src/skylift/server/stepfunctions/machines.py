"""State machines: create, update, delete, describe, list."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from skylift.ports.resources import ResourceChanged
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.machines import Machines, StateMachine, does_not_exist, too_busy
from skylift.server.names import check_name, check_role, machine_arn_of, own_machine_arn
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.configuration import read_encryption, read_logging, read_tracing
from skylift.server.stepfunctions.definitions import check_definition
from skylift.server.stepfunctions.descriptions import describe
from skylift.server.stepfunctions.log_groups import check_log_group
from skylift.server.stepfunctions.paging import key_after, make_token, page_size
from skylift.server.stepfunctions.tag_lists import merge_tags
from skylift.server.stepfunctions.versions import publish
from skylift.server.stepfunctions.wire import seconds

actions = Actions()
Request = dict[str, Any]
_SAME = ("definition", "type", "logging", "tracing", "encryption", "created_with")
"""What a creation of a machine that is there must give again; role and tags may differ and stay as they are."""
_UPDATABLE = ("definition", "roleArn", "loggingConfiguration", "tracingConfiguration", "encryptionConfiguration")


@actions.add("CreateStateMachine", Role.ADMIN)
async def create_state_machine(context: ServerContext, caller: Caller, request: Request) -> dict[str, Any]:
    return await context.blocking(_create, context, caller, request)


@actions.add("UpdateStateMachine", Role.ADMIN)
async def update_state_machine(context: ServerContext, caller: Caller, request: Request) -> dict[str, Any]:
    return await context.blocking(_update, context, caller, request)


@actions.add("DeleteStateMachine", Role.ADMIN)
async def delete_state_machine(context: ServerContext, caller: Caller, request: Request) -> dict[str, Any]:
    """What is gone already is deleted too; executions that run go on."""
    arn = machine_arn_of(request["stateMachineArn"])
    if arn.qualifier is not None:
        raise ApiError("ValidationException", f"Only a state machine can be deleted here, not '{arn.text}'")
    if arn.account == caller.account:
        await context.blocking(Machines(context.resources).delete, arn.text)
    return {}


@actions.add("DescribeStateMachine", Role.VIEWER)
async def describe_state_machine(context: ServerContext, caller: Caller, request: Request) -> dict[str, Any]:
    return await context.blocking(_describe, context, caller, request)


@actions.add("ListStateMachines", Role.VIEWER)
async def list_state_machines(context: ServerContext, caller: Caller, request: Request) -> dict[str, Any]:
    prefix = own_machine_arn(caller, "")
    scope, size = ("ListStateMachines", prefix), page_size(request)
    after = key_after(request, scope)
    found = await context.blocking(Machines(context.resources).page, prefix, after=after, limit=size + 1)
    answer: dict[str, Any] = {"stateMachines": [_listed(machine) for machine in found[:size]]}
    if len(found) > size:
        answer["nextToken"] = make_token(scope, found[size - 1].arn)
    return answer


def _create(context: ServerContext, caller: Caller, request: Request) -> dict[str, Any]:
    machines = Machines(context.resources)
    asked = _read(context, caller, request)
    machine = _created(machines, asked)
    answer = {"stateMachineArn": machine.arn, "creationDate": seconds(machine.created_ms)}
    if request.get("publish"):
        version = publish(machines, machine.arn, now_ms=context.now_ms(), description=request.get("versionDescription"))
        answer["stateMachineVersionArn"] = version.arn
    return answer


def _created(machines: Machines, asked: StateMachine) -> StateMachine:
    """The machine, new or as it was before. Raises StateMachineAlreadyExists if it was another one."""
    try:
        machines.create(asked)
    except ResourceChanged:
        present = machines.get(asked.arn)
        if present is None:  # deleted in the same moment, or the definition was
            raise too_busy(asked.arn) from None
        if any(getattr(present, name) != getattr(asked, name) for name in _SAME):
            raise ApiError("StateMachineAlreadyExists", f"State Machine Already Exists: '{asked.arn}'") from None
        return present
    return asked


def _read(context: ServerContext, caller: Caller, request: Request) -> StateMachine:
    """The machine that the request describes. Raises ApiError for what is wrong with it."""
    name, machine_type = request["name"], request.get("type", "STANDARD")
    check_name(name)
    _check_description(request)
    check_role(request["roleArn"])
    arn = own_machine_arn(caller, name)
    logging = _read_logging(context, request)
    encryption = read_encryption(request.get("encryptionConfiguration"))
    tags = merge_tags(arn, {}, request.get("tags"))
    check_definition(request["definition"], machine_type)
    return StateMachine(
        arn=arn,
        name=name,
        account=caller.account,
        region=caller.region,
        type=machine_type,
        definition=context.journal.put_document(request["definition"].encode()),
        role_arn=request["roleArn"],
        created_ms=context.now_ms(),
        created_with=(request.get("publish", False), request.get("versionDescription")),
        logging=logging,
        tracing=read_tracing(request.get("tracingConfiguration")),
        encryption=encryption,
        tags=tags,
    )


def _update(context: ServerContext, caller: Caller, request: Request) -> dict[str, Any]:
    arn = machine_arn_of(request["stateMachineArn"])
    if not any(name in request for name in _UPDATABLE):
        raise ApiError(
            "MissingRequiredParameter",
            "Either the definition, the role ARN, the LoggingConfiguration, or the EncryptionConfiguration must be "
            "specified",
        )
    _check_description(request)
    machines = Machines(context.resources)
    changes = _changes(context, machines.owned(arn, caller), request)
    now_ms, revision = context.now_ms(), str(uuid.uuid4())
    updated = machines.change(arn.text, lambda machine: _revised(machine, changes, revision, now_ms))
    if updated is None:
        raise does_not_exist(arn.text)
    answer: dict[str, Any] = {"updateDate": seconds(now_ms)}
    if updated.revision_id == revision:
        answer["revisionId"] = revision
    if request.get("publish"):
        version = publish(machines, arn.text, now_ms=now_ms, description=request.get("versionDescription"))
        answer["stateMachineVersionArn"] = version.arn
    return answer


def _changes(context: ServerContext, machine: StateMachine, request: Request) -> dict[str, Any]:
    """Fields of the machine that the request gives, checked."""
    changes: dict[str, Any] = {}
    if "roleArn" in request:
        check_role(request["roleArn"])
        changes["role_arn"] = request["roleArn"]
    if "loggingConfiguration" in request:
        changes["logging"] = _read_logging(context, request)
    if "tracingConfiguration" in request:
        changes["tracing"] = read_tracing(request["tracingConfiguration"])
    if "encryptionConfiguration" in request:
        changes["encryption"] = read_encryption(request["encryptionConfiguration"])
    if "definition" in request:
        check_definition(request["definition"], machine.type)
        changes["definition"] = context.journal.put_document(request["definition"].encode())
        changes["tasks"] = None
        changes["limits"] = "service"
    return changes


def _revised(machine: StateMachine, changes: dict[str, Any], revision: str, now_ms: int) -> StateMachine:
    """A new revision only if something is different."""
    if all(getattr(machine, name) == value for name, value in changes.items()):
        return msgspec.structs.replace(machine, updated_ms=now_ms)
    return msgspec.structs.replace(machine, **changes, revision_id=revision, updated_ms=now_ms)


def _read_logging(context: ServerContext, request: Request) -> dict[str, Any]:
    logging = read_logging(request.get("loggingConfiguration"))
    check_log_group(context, logging)
    return logging


def _check_description(request: Request) -> None:
    if "versionDescription" in request and not request.get("publish"):
        raise ApiError("ValidationException", "Version description can only be set when publish is true")


def _describe(context: ServerContext, caller: Caller, request: Request) -> dict[str, Any]:
    """Of an alias: the version that it gives most executions to."""
    machines, text = Machines(context.resources), request["stateMachineArn"]
    arn = machine_arn_of(text)
    if arn.account != caller.account:
        raise does_not_exist(text)
    if arn.qualifier is None:
        machine = machines.owned(arn, caller)
        return describe(context, request, machine, arn=text, created_ms=machine.created_ms)
    version_arn = text
    if not arn.qualifier.isdigit():
        alias = machines.alias(text)
        if alias is None:
            raise does_not_exist(text)
        version_arn = max(alias.routing, key=lambda entry: entry[1])[0]
    version = machines.version(version_arn)
    if version is None:
        raise does_not_exist(text)
    described = describe(context, request, version.machine, arn=text, created_ms=version.created_ms)
    return described if version.description is None else {**described, "description": version.description}


def _listed(machine: StateMachine) -> dict[str, Any]:
    return {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "type": machine.type,
        "creationDate": seconds(machine.created_ms),
    }
