"""From a request to an answer: who may ask, what is read of the request, how refusals look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from skylift.asl.diagnostics import InvalidDefinition
from skylift.errors import (
    AuthorError,
    BlobMissing,
    BlobUnavailable,
    JournalUnavailable,
    RunAlreadyExists,
    RunNotFound,
    SetupError,
    SkyliftError,
)
from skylift.remote.wire import ErrorBody, Problem
from skylift.runtime import WrongStatus
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.limits import check_depth

T = TypeVar("T")
Handle = Callable[[ServerContext, Caller, Request], Awaitable[Response]]

READ_S = 30.0
"""How long a client may take to send a request's body, or the next piece of a large one."""
JSON = "application/json"
DEPTH = 200
"""Of a request's JSON."""
_UNREAD = (408, 413)
"""What is left of the body is not read."""
LARGE = 100_000
"""Bodies from this size on are read on a thread, so that others do not wait."""


class Refusal(Exception):
    """A request that is not done, and what the client is told."""

    def __init__(
        self, status: int, code: str, message: str, *, hint: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(code=code, message=message, hint=hint)
        self.headers = headers or {}


def endpoint(context: ServerContext, role: Role, handle: Handle) -> Callable[[Request], Awaitable[Response]]:
    """A Starlette endpoint that asks `handle` for callers who may, and tells everybody else why not."""

    async def answer(request: Request) -> Response:
        try:
            caller: Caller = request.scope["caller"]
            require(caller, role)
            return await handle(context, caller, request)
        except (Refusal, ApiError, SkyliftError, TimeoutError, ClientDisconnect) as problem:
            return refuse(problem)

    return answer


def require(caller: Caller, role: Role) -> None:
    """Raises Refusal for a caller whose role is a lesser one."""
    if caller.role < role:
        raise Refusal(
            403,
            "NOT-ALLOWED",
            f"this needs the role {role.name.lower()}, and the key has the role {caller.role.name.lower()}",
            hint=f"ask an administrator for a key with the role {role.name.lower()}",
        )


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, JSON)


def refuse(problem: BaseException) -> Response:
    """The answer to what was raised."""
    if isinstance(problem, Refusal):
        headers = problem.headers
        if problem.status in _UNREAD:
            headers = {**headers, "connection": "close"}
        return json_response(ErrorBody(error=problem.problem), problem.status, headers)
    if isinstance(problem, ApiError):
        body = ErrorBody(error=Problem(code=problem.code, message=problem.message))
        return json_response(body, problem.status)
    if isinstance(problem, SkyliftError):
        said = Problem(code=problem.code, message=problem.message, hint=problem.hint)
        return json_response(ErrorBody(error=said), _status(problem))
    if isinstance(problem, ClientDisconnect):
        return Response(status_code=400)
    said = Problem(code="TIMEOUT", message="the server did not answer in time", hint="try again")
    return json_response(ErrorBody(error=said), 503)


def _status(problem: SkyliftError) -> int:
    for kinds, status in (
        ((RunNotFound, BlobMissing), 404),
        ((RunAlreadyExists, WrongStatus), 409),
        ((InvalidDefinition, AuthorError), 400),
        ((JournalUnavailable, BlobUnavailable), 503),
        ((SetupError,), 400),
    ):
        if isinstance(problem, kinds):
            return status
    return 500


def not_found(what: str, name: str) -> Refusal:
    return Refusal(404, f"{what.upper().replace(' ', '-')}-NOT-FOUND", f"there is no {what} {name!r}")


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises Refusal for one that is longer, or that does not come."""
    data = bytearray()
    try:
        async with asyncio.timeout(READ_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > limit:
                    raise too_long(limit)
    except TimeoutError:
        raise Refusal(408, "TOO-SLOW", f"the body did not come within {READ_S:g} s") from None
    except HTTPException as problem:
        raise Refusal(problem.status_code, "REQUEST", str(problem.detail)) from problem
    return bytes(data)


def too_long(limit: int) -> Refusal:
    return Refusal(413, "TOO-LONG", f"the body is longer than {limit} bytes")


async def read_json(request: Request, kind: type[T] | Any, limit: int) -> Any:
    """The body as `kind`. Raises Refusal for what is no JSON or does not fit."""
    raw = await read_body(request, limit)
    return _decoded(raw, kind) if len(raw) < LARGE else await asyncio.to_thread(_decoded, raw, kind)


def _decoded(raw: bytes, kind: Any) -> Any:
    try:
        check_depth(raw, DEPTH)
        return msgspec.json.decode(raw, type=kind)
    except ApiError:
        raise Refusal(400, "BODY", f"the body is nested more than {DEPTH} levels deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Refusal(400, "BODY", f"the body is not what is expected: {problem}") from None


def whole_number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A number of the query. Raises Refusal for any other text."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise Refusal(400, "QUERY", f"{name} is {text!r}", hint=f"use a whole number from {least} to {most}")


def seconds(request: Request, name: str, most: float) -> float | None:
    """A length of time of the query; None where there is none. Raises Refusal."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise Refusal(400, "QUERY", f"{name} is {text!r}", hint=f"use seconds from 0 to {most:g}")
    return value
