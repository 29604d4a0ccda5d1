"""The server's ASGI application: `POST /` is the Step Functions API, everything else Skylift's own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
import uuid
from collections.abc import Iterator, Sequence

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Router

from skylift.server.api.answers import Refusal, refuse
from skylift.server.auth.gate import Gate
from skylift.server.auth.request import Head, head_of
from skylift.server.auth.signatures import DIGEST
from skylift.server.body import Gone, Message, Receive, Scope, Send, read_body, too_long
from skylift.server.caller import Caller
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.limits import Throttle, Throttled, check_depth
from skylift.server.observability.observer import Observer
from skylift.server.stepfunctions.endpoint import PREFIX, Endpoint
from skylift.server.stepfunctions.wire import CONTENT_TYPE, encode_error
from skylift.sigv4 import EMPTY_DIGEST

OPEN_PATHS = ("/health/live", "/health/ready", "/metrics")
"""Without the gate: the first two say nothing of anybody, the third has a check of its own."""
LONG = ("GetActivityTask", "StartSyncExecution", "TestState")
"""Actions that wait: given up when the client goes away."""

LONG_DIGITS = 4
"""Of the length of a body that is read before it is known whose it is: less than 10,000 bytes."""

_WHAT_THERE_IS = "the Step Functions API is POST /; /openapi.json describes Skylift's own"

_log = logging.getLogger(__name__)
Answer = tuple[int, dict[str, str], bytes]


class App:
    """One for a server. What belongs to a request is in the call's own variables."""

    def __init__(
        self,
        context: ServerContext,
        gate: Gate,
        throttle: Throttle,
        observer: Observer,
        routes: Sequence[BaseRoute],
        endpoint: Endpoint | None = None,
    ) -> None:
        self._context = context
        self._gate = gate
        self._throttle = throttle
        self._observer = observer
        self._endpoint = endpoint or Endpoint()
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        head = head_of(scope)
        if head.path == "/" and head.method == "POST":
            await self._protocol(head, receive, send)
        else:
            await self._own(head, scope, receive, send)

    # -- the Step Functions API ----------------------------------------------------------------------------------------

    async def _protocol(self, head: Head, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        caller: Caller | None = None
        target = head.get("x-amz-target") or ""
        try:
            if _is_long(head):
                await self._gate.admit(head)
            body = await self._body(head, receive)
            caller, _ = await self._gate.caller(head, body)
            with self._admitted(caller):
                check_depth(body)
                status, headers, answer = await self._handle(caller, target, body, receive)
        except Gone:
            return
        except ApiError as problem:
            status, headers, answer = _refused(problem)
        except asyncio.CancelledError:
            status, headers, answer = _refused(_ending())
        self._observer.request(target.removeprefix(PREFIX), status, headers, time.perf_counter() - began, caller)
        await _send(send, status, headers, answer)

    async def _body(self, head: Head, receive: Receive) -> bytes:
        settings = self._context.settings
        length = head.get("content-length") or "0"
        if length.isascii() and length.isdigit() and int(length[:20]) > settings.body_bytes:
            raise too_long(settings.body_bytes)
        return await read_body(receive, settings.body_bytes, settings.body_seconds)

    async def _handle(self, caller: Caller, target: str, body: bytes, receive: Receive) -> Answer:
        handling = self._endpoint.handle(self._context, caller, target, body)
        action = target.removeprefix(PREFIX)
        if action not in LONG:
            return await handling
        with self._observer.metrics.polls.labels(action).track_inprogress():
            return await _while_connected(asyncio.ensure_future(handling), receive)

    @contextlib.contextmanager
    def _admitted(self, caller: Caller) -> Iterator[None]:
        """Limits are of keys: where authentication is off everybody is the user of this machine."""
        if caller.key_id is None:
            yield
            return
        with self._throttle.admitted(caller.key_id):
            yield

    # -- everything else -----------------------------------------------------------------------------------------------

    async def _own(self, head: Head, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        scope["app"] = self  # so that the router raises what it does not find
        seen = _Seen(send)
        caller: Caller | None = None
        try:
            if head.path in OPEN_PATHS:
                await self._router(scope, receive, seen)
            else:
                caller, checked = await self._authenticated(head, receive)
                scope["caller"] = caller
                with self._admitted(caller):
                    await self._router(scope, checked, seen)
        except Gone:
            return
        except (ApiError, HTTPException) as problem:
            if not seen.status:
                await refuse(_as_refusal(problem, head))(scope, receive, seen)
        except asyncio.CancelledError:
            if not seen.status:
                await refuse(Refusal(503, "ENDING", "the server is ending"))(scope, receive, seen)
        except Exception:  # noqa: BLE001  # told in the log; the next request is answered
            _log.exception("%s %s failed", head.method, scope.get("path"))
            if not seen.status:
                await refuse(Refusal(500, "INTERNAL", "an internal error occurred"))(scope, receive, seen)
        action = _action(scope)
        self._observer.request(action, seen.status, {}, time.perf_counter() - began, caller)

    async def _authenticated(self, head: Head, receive: Receive) -> tuple[Caller, Receive]:
        """Who asks, and the body, which is the one that was signed or ends in an HTTPException."""
        if not await self._gate.is_open() and DIGEST not in head.by_name:
            # Signed as by most clients: what the body must be is known only with the body.
            await self._gate.admit(head)
            body = await self._body(head, receive)
            caller, _ = await self._gate.caller(head, body)
            return caller, _again(body, receive)
        caller, claimed = await self._gate.caller(head, None)
        if claimed is None:
            return caller, receive
        if not _has_body(head) and claimed != EMPTY_DIGEST:
            raise HTTPException(400, "the body is not the one that was signed")
        return caller, _checked(receive, claimed)


class _Seen:
    """Passes an answer on, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _has_body(head: Head) -> bool:
    return head.get("content-length") not in (None, "0") or "transfer-encoding" in head.by_name


def _is_long(head: Head) -> bool:
    """Or of a length that is not known: nobody unknown may make the server hold much."""
    length = head.get("content-length")
    if length is None:
        return "transfer-encoding" in head.by_name
    return len(length) > LONG_DIGITS


def _action(scope: Scope) -> str:
    """The path as it is written in the table, so that there are few."""
    route = scope.get("route")
    path = getattr(route, "path", None)
    if path is None:
        endpoint = scope.get("endpoint")
        path = "unknown" if endpoint is None else getattr(endpoint, "__name__", "unknown")
    return f"{scope['method']} {path}"


def _checked(receive: Receive, claimed: str) -> Receive:
    """The body as it comes; at its end it must be the one that was signed."""
    digest = hashlib.sha256()

    async def checked() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            digest.update(message.get("body", b""))
            if not message.get("more_body") and digest.hexdigest() != claimed:
                raise HTTPException(400, "the body is not the one that was signed")
        return message

    return checked


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that has been read, then what comes after it."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return rest.pop() if rest else await receive()

    return again


async def _while_connected(handling: asyncio.Future[Answer], receive: Receive) -> Answer:
    """What `handling` gives. Raises Gone when the client has gone before that."""
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((handling, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not handling.done():
            raise Gone
        return handling.result()
    finally:
        for future in (handling, leaving):
            if not future.done():
                future.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await future


def _refused(problem: ApiError) -> Answer:
    headers = {
        "content-type": CONTENT_TYPE,
        "x-amzn-requestid": str(uuid.uuid4()),
        "x-amzn-errortype": problem.code,
    }
    if isinstance(problem, Throttled):
        headers["retry-after"] = _retry_after(problem)
    if problem.status in (408, 413):
        headers["connection"] = "close"  # what is left of the body is not read
    return problem.status, headers, encode_error(problem)


def _ending() -> ApiError:
    return ApiError("ServiceUnavailable", "The server is ending, try again", status=503)


def _retry_after(problem: Throttled) -> str:
    return str(max(1, round(problem.wait_s)))


def _as_refusal(problem: ApiError | HTTPException, head: Head) -> Refusal:
    if isinstance(problem, HTTPException):
        headers = dict(problem.headers or {})
        if problem.status_code not in (404, 405):
            return Refusal(problem.status_code, "REQUEST", problem.detail, headers=headers)
        said = f"there is no {head.method} {head.path[:200]}"
        return Refusal(problem.status_code, "REQUEST", said, hint=_WHAT_THERE_IS, headers=headers)
    if isinstance(problem, Throttled):
        return Refusal(429, "TOO-MANY", "too many requests", headers={"retry-after": _retry_after(problem)})
    status = 401 if problem.status == 400 else problem.status
    return Refusal(status, problem.code, problem.message)


async def _send(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
