"""TagResource, UntagResource, ListTagsForResource: of state machines and activities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from skylift.server.activities import Activities, Activity
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.machines import Machines, StateMachine
from skylift.server.names import ACTIVITY, STATE_MACHINE, Arn, read_arn
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.tag_lists import as_list, merge_tags

actions = Actions()
Edit = Callable[[dict[str, str]], dict[str, str]]


@actions.add("TagResource", Role.ADMIN)
async def tag_resource(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    arn = _arn(request)
    await context.blocking(_change, context, caller, arn, lambda tags: merge_tags(arn.text, tags, request["tags"]))
    return {}


@actions.add("UntagResource", Role.ADMIN)
async def untag_resource(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    gone = frozenset(request["tagKeys"])
    without: Edit = lambda tags: {key: value for key, value in tags.items() if key not in gone}  # noqa: E731
    await context.blocking(_change, context, caller, _arn(request), without)
    return {}


@actions.add("ListTagsForResource", Role.VIEWER)
async def list_tags(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    return {"tags": as_list(await context.blocking(_tags, context, caller, _arn(request)))}


def _arn(request: dict[str, Any]) -> Arn:
    return read_arn(request["resourceArn"], STATE_MACHINE, ACTIVITY)


def _tags(context: ServerContext, caller: Caller, arn: Arn) -> dict[str, str]:
    found: Activity | StateMachine | None
    if arn.kind == ACTIVITY:
        found = Activities(context.resources).get(arn.text, caller.account)
    else:
        found = Machines(context.resources).get(arn.text) if arn.account == caller.account else None
    if found is None:
        raise _not_found(arn)
    return found.tags


def _change(context: ServerContext, caller: Caller, arn: Arn, edit: Edit) -> None:
    changed: Activity | StateMachine | None = None
    if arn.kind == ACTIVITY:
        activities = Activities(context.resources)
        changed = activities.change(arn.text, caller.account, lambda activity: _retagged(activity, edit))
    elif arn.account == caller.account:
        changed = Machines(context.resources).change(arn.text, lambda machine: _retagged(machine, edit))
    if changed is None:
        raise _not_found(arn)


def _retagged(resource: Any, edit: Edit) -> Any:
    return msgspec.structs.replace(resource, tags=edit(resource.tags))


def _not_found(arn: Arn) -> ApiError:
    """Versions and aliases have no tags of their own."""
    return ApiError("ResourceNotFound", f"Resource not found: '{arn.text}'")
