"""Paths of the API, who may use them, and what answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from skylift.server.api import documents, logs, openapi, pipelines, runs, workers
from skylift.server.api.answers import Handle, endpoint
from skylift.server.api.services import Services
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext

Endpoint = Callable[[Request], Awaitable[Response]]
ServiceHandle = Callable[[Services, Caller, Request], Awaitable[Response]]

TABLE: tuple[tuple[str, str, Role, ServiceHandle], ...] = (
    ("GET", "/openapi.json", Role.VIEWER, openapi.get_openapi),
    ("GET", "/v1/runs", Role.VIEWER, runs.list_runs),
    ("POST", "/v1/runs", Role.OPERATOR, runs.post_run),
    ("GET", "/v1/runs/{run}", Role.VIEWER, runs.get_run),
    ("GET", "/v1/runs/{run}/wait", Role.VIEWER, runs.wait_for_run),
    ("GET", "/v1/runs/{run}/entries", Role.VIEWER, runs.get_entries),
    ("POST", "/v1/runs/{run}/signals", Role.OPERATOR, runs.post_signal),
    ("POST", "/v1/runs/{run}/logs", Role.VIEWER, logs.post_logs),
    ("GET", "/v1/runs/{run}/logs/{token}", Role.VIEWER, logs.get_log),
    ("PUT", "/v1/documents/{digest}", Role.OPERATOR, documents.put_document),
    ("GET", "/v1/documents/{digest}", Role.VIEWER, documents.get_document),
    ("PUT", "/v1/blobs/{digest}", Role.OPERATOR, documents.put_blob),
    ("GET", "/v1/blobs/{digest}", Role.VIEWER, documents.get_blob),
    ("GET", "/v1/pipelines", Role.VIEWER, pipelines.list_pipelines),
    ("PUT", "/v1/pipelines/{name}", Role.ADMIN, pipelines.put_pipeline),
    ("GET", "/v1/pipelines/{name}", Role.VIEWER, pipelines.get_pipeline),
    ("DELETE", "/v1/pipelines/{name}", Role.ADMIN, pipelines.delete_pipeline),
    ("POST", "/v1/workers/{name}", Role.OPERATOR, workers.post_worker),
    ("POST", "/pipelines/{name}/runs", Role.OPERATOR, pipelines.post_pipeline_run),
)
"""GET also answers HEAD."""


def routes(context: ServerContext) -> list[BaseRoute]:
    """For the server's application. The authenticator has put the Caller into `request.scope["caller"]`."""
    services = Services(context)

    def bound(handle: ServiceHandle) -> Handle:
        async def answer(_: ServerContext, caller: Caller, request: Request) -> Response:
            return await handle(services, caller, request)

        return answer

    by_path: dict[str, dict[str, Endpoint]] = {}
    for method, path, role, handle in TABLE:
        by_path.setdefault(path, {})[method] = endpoint(context, role, bound(handle))
    return [Route(path, by_method(found), methods=list(found)) for path, found in by_path.items()]


def by_method(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    """One route for a path, so that a refused method is told all that there are."""

    async def answer(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return answer
