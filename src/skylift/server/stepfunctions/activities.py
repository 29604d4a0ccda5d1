"""Activities: create, describe, list, delete. Their tasks are taken and answered in `tasks`."""

from __future__ import annotations

from typing import Any

from skylift.server.activities import Activities, Activity
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.names import ACTIVITY, check_name, make_arn, read_arn
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.configuration import read_encryption
from skylift.server.stepfunctions.paging import key_after, make_token, page_size
from skylift.server.stepfunctions.tag_lists import merge_tags
from skylift.server.stepfunctions.wire import seconds

actions = Actions()


@actions.add("CreateActivity", Role.ADMIN)
async def create_activity(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    check_name(request["name"])
    arn = make_arn(ACTIVITY, caller.region, caller.account, request["name"])
    asked = Activity(
        arn=arn,
        name=request["name"],
        account=caller.account,
        created_ms=context.now_ms(),
        encryption=read_encryption(request.get("encryptionConfiguration")),
        tags=merge_tags(arn, {}, request.get("tags")),
    )
    made = await context.blocking(Activities(context.resources).create, asked)
    if made.encryption != asked.encryption:
        raise ApiError(
            "ActivityAlreadyExists",
            f"Activity Already Exists: '{arn}'. Its encryption configuration cannot be changed",
        )
    return {"activityArn": made.arn, "creationDate": seconds(made.created_ms)}


@actions.add("DescribeActivity", Role.VIEWER)
async def describe_activity(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    activity = await context.blocking(find_activity, context, caller, request["activityArn"])
    answer = _listed(activity)
    return answer if activity.encryption is None else {**answer, "encryptionConfiguration": activity.encryption}


@actions.add("ListActivities", Role.VIEWER)
async def list_activities(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    prefix = make_arn(ACTIVITY, caller.region, caller.account, "")
    scope, size = ("ListActivities", prefix), page_size(request)
    after = key_after(request, scope)
    found = await context.blocking(Activities(context.resources).page, prefix, after=after, limit=size + 1)
    answer: dict[str, Any] = {"activities": [_listed(activity) for activity in found[:size]]}
    if len(found) > size:
        answer["nextToken"] = make_token(scope, found[size - 1].arn)
    return answer


@actions.add("DeleteActivity", Role.ADMIN)
async def delete_activity(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """What is gone already is deleted too."""
    arn = read_arn(request["activityArn"], ACTIVITY)
    await context.blocking(Activities(context.resources).delete, arn.text, caller.account)
    return {}


def find_activity(context: ServerContext, caller: Caller, arn: str) -> Activity:
    """Blocks. Raises InvalidArn, ActivityDoesNotExist."""
    found = Activities(context.resources).get(read_arn(arn, ACTIVITY).text, caller.account)
    if found is None:
        raise ApiError("ActivityDoesNotExist", f"Activity Does Not Exist: '{arn}'")
    return found


def _listed(activity: Activity) -> dict[str, Any]:
    return {"activityArn": activity.arn, "name": activity.name, "creationDate": seconds(activity.created_ms)}
