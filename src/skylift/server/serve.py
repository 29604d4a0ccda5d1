"""Puts a server together, runs it, and ends it without losing what is in flight."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
import uvloop

from skylift.asl.jsonata.outside import evaluated_by
from skylift.config import Config
from skylift.engine.thread import EngineThread
from skylift.errors import InternalError
from skylift.runtime import Runtime
from skylift.server.api.routes import routes
from skylift.server.app import App
from skylift.server.auth.gate import Gate
from skylift.server.auth.keys import Keys
from skylift.server.auth.sealing import open_sealer
from skylift.server.connection import Deadlines, guarded
from skylift.server.context import ServerContext
from skylift.server.expressions.evaluators import Evaluators
from skylift.server.health import Health
from skylift.server.limits import Throttle
from skylift.server.listening import certificate_of, check_exposure, is_only_loopback, listen, url_of
from skylift.server.machines import Machines
from skylift.server.nested import NestedMachines
from skylift.server.observability.logs import Log
from skylift.server.observability.metrics import Metrics, MetricsPage
from skylift.server.observability.observer import Observer
from skylift.server.observability.traces import Tracing
from skylift.server.sweeper import Sweep, Sweeper, keep_to_hours
from skylift.server.triggers.routes import routes as trigger_routes
from skylift.server.triggers.runner import TriggerRunner
from skylift.server.triggers.start import starter

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GUARD_S = 0.5
"""How often is looked whether the engine lives."""
Announce = Callable[[str], None]


class Server:
    """One server of one process. `run` blocks until it was asked to end; then nothing of it is left."""

    def __init__(self, config: Config, *, announce: Announce, log: Log | None = None) -> None:
        """`announce` is given the URL once requests are answered. Raises SetupError."""
        settings = config.server
        self.config = config
        self._announce = announce
        self._log = log or Log(settings.log_format, settings.log_level)
        self._metrics = Metrics()
        self._observer = Observer(self._metrics, self._log)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._uvicorn: _Uvicorn | None = None
        self._ending = 0.0
        self._failure: BaseException | None = None
        self._runtime = Runtime(config, on_turn=self._observer.turn, adopting=True)
        try:
            self._prepare()
        except BaseException:
            self._runtime.close()
            raise

    def _prepare(self) -> None:
        config, settings = self.config, self.config.server
        certificate = certificate_of(settings, config.project)
        resources = self._runtime.resources
        self._keys = Keys(resources, lambda: open_sealer(config.home))
        for warning in check_exposure(settings, self._keys.any()):
            self._log.warning("exposed", message=warning)
        self._auth = settings.auth if is_only_loopback(settings.host) else "required"
        self._runtime.resolve = NestedMachines(Machines(resources))
        self._listener = listen(settings.host, settings.port)
        self._certificate = certificate
        self.url = url_of(self._listener, certificate is not None)

    def run(self) -> None:
        """Ends by itself when it was asked to. Raises InternalError when its engine has ended."""
        try:
            with (
                contextlib.closing(Evaluators()) as evaluators,
                evaluated_by(evaluators.carry),
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                runner.run(self._serve())
        finally:
            self._listener.close()
            self._runtime.close()
            self._log.info("ended", seconds=round(time.monotonic() - self._ending, 3) if self._ending else None)
        if self._failure is not None:
            raise InternalError(f"the server has ended since its engine did: {self._failure!r}") from self._failure

    def end(self) -> None:
        """Ask it to end. From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_to_end)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        context = self._context = ServerContext(self._runtime, self.config.server)
        engine = context.engine
        self._watch(context)
        tracing = Tracing(engine) if self.config.server.trace else None
        self._uvicorn = _Uvicorn(self._uvicorn_config(self._app(context)), self._started)
        self._triggers = asyncio.create_task(
            TriggerRunner(context, self.config.services, starter(context)).run(), name="triggers"
        )
        guard = asyncio.create_task(self._guard(engine), name="guard")
        sweeping = asyncio.create_task(self._sweeper(context).run(), name="sweeper")
        with _signals(self._loop, self._signalled):
            try:
                await self._uvicorn.serve(sockets=[self._listener])
                await self._finish_tasks(context)
            finally:
                self._triggers.cancel()
                guard.cancel()
                sweeping.cancel()
                context.close()
                await asyncio.to_thread(engine.close)
                if tracing is not None:
                    await asyncio.to_thread(tracing.close)

    def _sweeper(self, context: ServerContext) -> Sweeper:
        sweeps: dict[str, Sweep] = {"leases": self._runtime.sweep}
        box = self.config.box
        if box is not None:
            sweeps["box"] = lambda: keep_to_hours(box)
        return Sweeper(context, self._log, sweeps, context.settings.sweep_seconds)

    def _app(self, context: ServerContext) -> App:
        settings = context.settings
        gate = Gate(context, self._keys, self._auth)
        page = MetricsPage(self._metrics, settings.metrics_token, gate.allows_local)
        return App(
            context,
            gate,
            Throttle(settings.requests_per_second, settings.requests_at_once),
            self._observer,
            [*Health(context).routes(), *page.routes(), *routes(context), *trigger_routes(context)],
        )

    def _uvicorn_config(self, app: Callable[..., Awaitable[None]]) -> uvicorn.Config:
        settings = self.config.server
        cert, key = self._certificate or (None, None)
        return uvicorn.Config(
            app,
            http=guarded(
                Deadlines(head_s=settings.head_seconds, body_s=settings.body_seconds, connections=settings.connections)
            ),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=settings.idle_seconds,  # type: ignore[arg-type]  # given to call_later
            timeout_graceful_shutdown=settings.drain_seconds,  # type: ignore[arg-type]  # given to wait_for
            ssl_certfile=cert,
            ssl_keyfile=key,
        )

    def _watch(self, context: ServerContext) -> None:
        gauge, runtime, engine = self._metrics.gauge, self._runtime, context.engine
        gauge("skylift_threads_waiting", "Blocking calls that wait for a thread.", context.waiting)
        gauge("skylift_engine_backlog", "Inputs that the engine has not taken up.", lambda: engine.backlog)
        gauge("skylift_local_tasks_running", "Tasks that run on this machine.", lambda: runtime.local_load()[0])
        gauge("skylift_local_tasks_waiting", "Tasks that wait for a worker.", lambda: runtime.local_load()[1])
        gauge("skylift_engine_trouble", "1 while the journal cannot be written.", lambda: float(bool(engine.trouble)))

    def _started(self) -> None:
        gc.collect()
        gc.freeze()  # what lives for ever need not be looked at again
        self._log.info("listening", url=self.url, store=self._runtime.store.place, auth=self._auth)
        self._announce(self.url)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _guard(self, engine: EngineThread) -> None:
        """A server without an engine is of no use: it ends, and whoever watches over it starts another."""
        while engine.failure is None:
            await asyncio.sleep(GUARD_S)
        self._failure = engine.failure
        self._log.warning("engine_ended", message=repr(engine.failure))
        self._begin_to_end()

    def _signalled(self, number: int) -> None:
        if self._ending:
            os.write(2, b"leaving at once\n")
            os._exit(128 + number)
        self._begin_to_end()

    def _begin_to_end(self) -> None:
        if self._ending:
            return
        self._ending = time.monotonic()
        self._log.info("ending", drain_seconds=self.config.server.drain_seconds)
        self._context.draining.set()
        self._triggers.cancel()
        self._triggers.cancel()
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True

    async def _finish_tasks(self, context: ServerContext) -> None:
        """Tasks of this machine may end, and are recorded; nothing new begins."""
        left = self.config.server.drain_seconds - (time.monotonic() - self._ending)
        running = await context.blocking(self._runtime.finish_tasks, max(0.0, left))
        if running:
            self._log.warning("tasks_cut_off", tasks=running)


class _Uvicorn(uvicorn.Server):
    """Signals are ours, and somebody wants to know when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, handle: Callable[[int], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for number in SIGNALS:
        loop.add_signal_handler(number, handle, int(number))
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
