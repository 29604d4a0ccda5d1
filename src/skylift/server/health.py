"""Is the server alive, and may requests be sent to it? For balancers and supervisors; says nothing of tenants."""

from __future__ import annotations

import asyncio
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from skylift.errors import SkyliftError
from skylift.server.context import ServerContext

ANSWER_S = 2.0
KEPT_S = 0.5
"""How long an answer is good for: whoever asks without end must not keep the database busy."""
PROBE, PROBE_KEY = "health", "probe"


class Health:
    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._asking = asyncio.Lock()
        self._found: str | None = None
        self._until = 0.0

    def routes(self) -> list[BaseRoute]:
        return [Route("/health/live", self.live), Route("/health/ready", self.ready)]

    async def live(self, _: Request) -> Response:
        """The event loop answers; a supervisor restarts what does not. A dead engine thread counts too."""
        failure = self._context.engine.failure
        if failure is not None:
            return _answer("the engine has stopped")
        return _answer(None)

    async def ready(self, _: Request) -> Response:
        return _answer(await self.trouble())

    async def trouble(self) -> str | None:
        """Why no request should be sent here now."""
        if self._context.draining.is_set():
            return "the server is ending"
        async with self._asking:
            if time.monotonic() >= self._until:
                self._found = await self._look()
                self._until = time.monotonic() + KEPT_S
        return self._found

    async def _look(self) -> str | None:
        engine = self._context.engine
        if engine.failure is not None:
            return "the engine has stopped"
        if engine.trouble is not None:
            return f"the engine cannot write the journal: {engine.trouble.code}"
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._context.blocking(self._write)
                await self._context.blocking(engine.on_thread, _nothing)
        except SkyliftError as problem:
            return f"the store cannot be written: {problem.code}"
        except TimeoutError:
            return f"store or engine did not answer within {ANSWER_S:g} s"
        return None

    def _write(self) -> None:
        self._context.resources.put(PROBE, PROBE_KEY, b"")


def _nothing() -> None:
    """What the engine does between two turns to show that it lives."""


def _answer(trouble: str | None) -> Response:
    if trouble is None:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "unavailable", "reason": trouble}, 503, {"retry-after": "1"})
