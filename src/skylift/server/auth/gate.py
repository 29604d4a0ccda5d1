"""The gate that every request passes: authentication, as the server is set up."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, ParamSpec, TypeVar

from skylift.errors import JournalUnavailable
from skylift.server.auth.keys import USED_MS, Keys
from skylift.server.auth.request import Head
from skylift.server.auth.sealing import MasterKeyError
from skylift.server.auth.signatures import KNOWN_S, KeyCache, KnownKey, admit, loader, verified
from skylift.server.auth.unsigned import anonymous
from skylift.server.caller import Caller
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Gate:
    """Of one event loop. `auth` as in the settings; with `auto` keys are asked for from when there is one, and from
    then on: who revokes the last key does not mean to let everybody in."""

    def __init__(
        self,
        context: ServerContext,
        keys: Keys,
        auth: Literal["auto", "required", "off"],
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._context = context
        self._keys = keys
        self._auth = auth
        self._now = now
        self._load = loader(keys)
        self._cache = KeyCache(self._loaded)
        self._any = False
        self._any_until = 0.0
        self._used: dict[str, int] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def is_open(self) -> bool:
        """Is authentication off now?"""
        if self._auth != "auto":
            return self._auth == "off"
        if not self._any and time.monotonic() >= self._any_until:
            until = time.monotonic() + KNOWN_S
            self._any = await self._ask(self._keys.any)
            self._any_until = until
        return not self._any

    async def allows_local(self, head: Head) -> bool:
        """Authentication is off, and this is a request of a program of this machine. Raises ApiError while that cannot
        be known."""
        if not await self.is_open():
            return False
        try:
            return bool(anonymous(head))
        except ApiError:
            return False

    async def caller(self, head: Head, body: bytes | None) -> tuple[Caller, str | None]:
        """Who asks, and the digest that the body must have where it has not been read (`body` is None) but is signed.
        Raises ApiError."""
        if await self.is_open():
            return anonymous(head), None
        digest = None if body is None else hashlib.sha256(body).hexdigest()
        caller, claimed = await verified(head, digest, self._cache, self._now())
        self._note(caller.key_id or "")
        return caller, claimed

    async def admit(self, head: Head) -> None:
        """Before a long body is read. Raises ApiError for a request that is refused whatever it says."""
        if await self.is_open():
            anonymous(head)
        else:
            await admit(head, self._cache, self._now())

    async def _loaded(self, key_id: str) -> KnownKey | None:
        return await self._ask(self._load, key_id)

    async def _ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._context.blocking(function, *args, **kwargs)
        except (JournalUnavailable, MasterKeyError) as problem:
            _log.warning("keys cannot be looked up: %s", problem)
            raise ApiError("ServiceUnavailable", "Keys cannot be looked up now, try again", status=503) from problem

    def _note(self, key_id: str) -> None:
        """When it was last used, off the way of the request."""
        now = self._context.now_ms()
        if now - self._used.get(key_id, 0) < USED_MS:
            return
        self._used[key_id] = now
        task = asyncio.create_task(self._write_used(key_id, now))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _write_used(self, key_id: str, now: int) -> None:
        try:
            await self._context.blocking(self._keys.used, key_id, now)
        except JournalUnavailable as problem:
            _log.warning("the use of key %s cannot be noted: %s", key_id, problem)
