"""Aliases: names for one version, or for two with weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from skylift.ports.resources import ResourceChanged
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.machines import MOST_ALIASES, Alias, Machines, does_not_exist
from skylift.server.names import Arn, invalid_arn, machine_arn_of
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.paging import key_after, make_token, page_size
from skylift.server.stepfunctions.wire import seconds

actions = Actions()
Routing = list[tuple[str, int]]


@actions.add("CreateStateMachineAlias", Role.ADMIN)
async def create_alias(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    alias = await context.blocking(_create, context, caller, request)
    return {"stateMachineAliasArn": alias.arn, "creationDate": seconds(alias.created_ms)}


@actions.add("UpdateStateMachineAlias", Role.ADMIN)
async def update_alias(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    if "description" not in request and "routingConfiguration" not in request:
        raise ApiError(
            "ValidationException",
            "Either the description or the routing configuration must be specified",
            details={"reason": "MISSING_REQUIRED_PARAMETER"},
        )
    alias = await context.blocking(_update, context, caller, request)
    return {"updateDate": seconds(alias.updated_ms or alias.created_ms)}


@actions.add("DescribeStateMachineAlias", Role.VIEWER)
async def describe_alias(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    arn = _alias_arn(request)
    alias = await context.blocking(Machines(context.resources).alias, arn.text)
    if alias is None or arn.account != caller.account:
        raise _not_found()
    return _described(alias)


@actions.add("DeleteStateMachineAlias", Role.ADMIN)
async def delete_alias(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """What is gone already is deleted too."""
    arn = _alias_arn(request)
    if arn.account == caller.account:
        await context.blocking(Machines(context.resources).delete_alias, arn.text)
    return {}


@actions.add("ListStateMachineAliases", Role.VIEWER)
async def list_aliases(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    return await context.blocking(_list, context, caller, request)


def _create(context: ServerContext, caller: Caller, request: dict[str, Any]) -> Alias:
    machines = Machines(context.resources)
    routing = _read_routing(request["routingConfiguration"])
    machine = _check_routing(machines, caller, routing)
    asked = Alias(
        arn=f"{machine}:{request['name']}",
        name=request["name"],
        description=request.get("description"),
        routing=routing,
        created_ms=context.now_ms(),
    )
    present = machines.alias(asked.arn)
    if present is None and len(machines.aliases(machine)) >= MOST_ALIASES:
        raise ApiError("ServiceQuotaExceededException", f"A state machine may have at most {MOST_ALIASES} aliases")
    if present is None:
        try:
            machines.create_alias(asked)
        except ResourceChanged:
            present = machines.alias(asked.arn)
        else:
            return asked
    if present is None or not _is_same(present, asked):
        raise ApiError(
            "ConflictException",
            "Failed to create alias because an alias with the same name and a different routing configuration "
            "already exists.",
        )
    return present


def _is_same(present: Alias, asked: Alias) -> bool:
    return dict(present.routing) == dict(asked.routing) and present.description == asked.description


def _update(context: ServerContext, caller: Caller, request: dict[str, Any]) -> Alias:
    arn = _alias_arn(request)
    machines = Machines(context.resources)
    if arn.account != caller.account or machines.alias(arn.text) is None:
        raise _not_found()
    routing: Routing | None = None
    if "routingConfiguration" in request:
        routing = _read_routing(request["routingConfiguration"])
        if _check_routing(machines, caller, routing) != arn.machine:
            raise _invalid_routing("Routing configuration must contain versions of the alias's own state machine.")
    now_ms = context.now_ms()

    def edit(alias: Alias) -> Alias:
        return msgspec.structs.replace(
            alias,
            description=request.get("description", alias.description),
            routing=alias.routing if routing is None else routing,
            updated_ms=now_ms,
        )

    changed = machines.change_alias(arn.text, edit)
    if changed is None:
        raise _not_found()
    return changed


def _list(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    arn = machine_arn_of(request["stateMachineArn"])
    scope, size = ("ListStateMachineAliases", arn.text), page_size(request)
    after = key_after(request, scope)
    machines = Machines(context.resources)
    if arn.account != caller.account or machines.get(arn.machine) is None:
        raise does_not_exist(arn.text)
    found = machines.aliases(arn.machine, after=after)
    if arn.qualifier is not None:
        found = [alias for alias in found if arn.text in dict(alias.routing)]
    answer: dict[str, Any] = {"stateMachineAliases": [_listed(alias) for alias in found[:size]]}
    if len(found) > size:
        answer["nextToken"] = make_token(scope, found[size - 1].arn)
    return answer


def _read_routing(given: Sequence[dict[str, Any]]) -> Routing:
    """Raises ValidationException for weights and versions that make no routing."""
    routing = [(entry["stateMachineVersionArn"], entry["weight"]) for entry in given]
    arns = [arn for arn, _ in routing]
    weights = [weight for _, weight in routing]
    if sum(weights) != 100:
        raise _invalid_routing(f"Sum of routing configuration weights must equal 100. Received: {weights}")
    if len(set(arns)) < len(arns):
        raise _invalid_routing(
            f"Routing configuration must contain distinct state machine version ARNs. Received: [{', '.join(arns)}]"
        )
    return routing


def _check_routing(machines: Machines, caller: Caller, routing: Routing) -> str:
    """ARN of the machine whose versions these are. Raises ValidationException, ResourceNotFound."""
    arns = [machine_arn_of(arn) for arn, _ in routing]
    if not all(arn.qualifier is not None and arn.qualifier.isdigit() for arn in arns):
        received = ", ".join(arn.text for arn in arns)
        raise _invalid_routing(f"Routing configuration must contain state machine version ARNs. Received: [{received}]")
    if len({arn.machine for arn in arns}) > 1:
        raise _invalid_routing("Routing configuration must contain versions of one state machine.")
    if any(arn.account != caller.account or machines.version(arn.text) is None for arn in arns):
        raise _not_found()
    return arns[0].machine


def _alias_arn(request: dict[str, Any]) -> Arn:
    text = request["stateMachineAliasArn"]
    arn = machine_arn_of(text)
    if arn.qualifier is None or arn.qualifier.isdigit():
        raise invalid_arn(text)
    return arn


def _listed(alias: Alias) -> dict[str, Any]:
    return {"stateMachineAliasArn": alias.arn, "creationDate": seconds(alias.created_ms)}


def _described(alias: Alias) -> dict[str, Any]:
    described = {
        **_listed(alias),
        "name": alias.name,
        "routingConfiguration": [{"stateMachineVersionArn": arn, "weight": weight} for arn, weight in alias.routing],
        "updateDate": seconds(alias.updated_ms or alias.created_ms),
    }
    return described if alias.description is None else {**described, "description": alias.description}


def _invalid_routing(message: str) -> ApiError:
    return ApiError("ValidationException", message, details={"reason": "INVALID_ROUTING_CONFIGURATION"})


def _not_found() -> ApiError:
    return ApiError("ResourceNotFound", "Request references a resource that does not exist.")
