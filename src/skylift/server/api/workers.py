"""`/v1/workers`: boxes that joined the batch pool say what they do, and are told what to run."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from skylift.compute.batch.joined import BoxSays, JoinedBoxes
from skylift.server.api.answers import Refusal, json_response, read_json
from skylift.server.api.limits import check_name
from skylift.server.api.services import Services
from skylift.server.caller import Caller

LONGEST_BODY = 64 * 1024 * 1024
"""Outcomes of many attempts."""
HOLD_S = 2.0
"""How long a box that has nothing to do is held, in case there is something."""
LOOK_S = 0.1


async def post_worker(services: Services, caller: Caller, request: Request) -> Response:
    """The box is the caller's account's: it is given that account's attempts only."""
    says: BoxSays = await read_json(request, BoxSays, LONGEST_BODY)
    name = request.path_params["name"]
    check_name("the box's name", name)
    if services.context.runtime.config.backends.batch.provider != "workers":
        raise Refusal(
            409,
            "NO-POOL",
            "this server has no pool for boxes to join",
            hint='an administrator can make one: [backends.batch] provider = "workers" in its skylift.toml',
        )
    context = services.context
    boxes = JoinedBoxes(context.resources)
    orders = await context.blocking(boxes.said, caller.account, name, says, context.now_ms())
    idle = says.id == orders.id and not (says.holds or says.ended or says.leaving or orders.run or orders.stop)
    if idle and await _news(services, boxes, caller.account, name):
        orders = await context.blocking(boxes.said, caller.account, name, says, context.now_ms())
    return json_response(orders)


async def _news(services: Services, boxes: JoinedBoxes, account: str, name: str) -> bool:
    context, clock = services.context, asyncio.get_running_loop().time
    end = clock() + HOLD_S
    while clock() < end and not context.draining.is_set():
        if await context.blocking(boxes.has_news, account, name):
            return True
        await asyncio.sleep(LOOK_S)
    return False
