"""`/v1/triggers` over HTTP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from skylift.server.api.answers import endpoint, json_response, read_json
from skylift.server.api.routes import by_method
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.machines import Machines
from skylift.server.names import read_machine
from skylift.server.triggers.actions import (
    TriggerRequest,
    delete_trigger,
    get_trigger,
    list_triggers,
    put_trigger,
)
from skylift.server.triggers.book import TriggerBook

LONGEST_BODY = 300_000


async def _list(context: ServerContext, caller: Caller, request: Request) -> Response:
    found = await context.blocking(list_triggers, TriggerBook(context.resources), caller)
    return json_response({"triggers": found})


async def _get(context: ServerContext, caller: Caller, request: Request) -> Response:
    name = request.path_params["name"]
    return json_response(await context.blocking(get_trigger, TriggerBook(context.resources), caller, name))


async def _put(context: ServerContext, caller: Caller, request: Request) -> Response:
    given: TriggerRequest = await read_json(request, TriggerRequest, LONGEST_BODY)
    name = request.path_params["name"]

    def put() -> Response:
        Machines(context.resources).target(read_machine(caller, given.start), caller)
        book = TriggerBook(context.resources)
        services = context.runtime.config.services
        return json_response(put_trigger(book, context.settings, services, caller, name, given, context.now_ms()))

    return await context.blocking(put)


async def _delete(context: ServerContext, caller: Caller, request: Request) -> Response:
    name = request.path_params["name"]
    await context.blocking(delete_trigger, TriggerBook(context.resources), caller, name)
    return Response(status_code=204)


def routes(context: ServerContext) -> list[BaseRoute]:
    """For the server's application."""
    all_of_them = {"GET": endpoint(context, Role.VIEWER, _list)}
    one = {
        "GET": endpoint(context, Role.VIEWER, _get),
        "PUT": endpoint(context, Role.ADMIN, _put),
        "DELETE": endpoint(context, Role.ADMIN, _delete),
    }
    table = (("/v1/triggers", all_of_them), ("/v1/triggers/{name}", one))
    return [Route(path, by_method(found), methods=list(found)) for path, found in table]
