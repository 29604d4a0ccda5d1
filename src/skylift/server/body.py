"""A request's body, read with a bound on its length and on the time it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from skylift.server.errors import ApiError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]


class Gone(Exception):
    """The client has closed the connection: nobody is to be answered."""


async def read_body(receive: Receive, most: int, within_s: float) -> bytes:
    """Raises ApiError for a body that is longer or slower, Gone."""
    parts = bytearray()
    try:
        async with asyncio.timeout(within_s):
            while True:
                message = await _heard(receive)
                body: bytes = message.get("body", b"")
                last = not message.get("more_body")
                _check(len(parts) + len(body), most)
                if last and not parts:
                    return body
                parts += body
                if last:
                    return bytes(parts)
    except TimeoutError:
        raise _too_slow() from None


async def _heard(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    return message


def _check(length: int, most: int) -> None:
    if length > most:
        raise too_long(most)


def too_long(most: int) -> ApiError:
    return ApiError("RequestEntityTooLargeException", f"Request must be smaller than {most} bytes", status=413)


def _too_slow() -> ApiError:
    return ApiError("RequestTimeoutException", "The body of the request did not come in time", status=408)
