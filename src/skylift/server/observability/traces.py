"""Traces of runs, sent by OTLP over HTTP to where the OTEL_EXPORTER_OTLP_… variables say. Nothing of it is loaded, and
the engine derives no history for it, unless traces are wanted."""

from __future__ import annotations

import importlib.util
import logging
import queue
import threading

from skylift.engine.observe import Progress
from skylift.engine.thread import EngineThread
from skylift.errors import SetupError

MOST_WAITING = 20_000
"""Steps that wait to become spans; more are left out, so that a slow collector never holds up the engine."""
_log = logging.getLogger(__name__)


class Tracing:
    """From now on, until `close`."""

    def __init__(self, engine: EngineThread) -> None:
        """Raises SetupError where the packages are missing."""
        _check_installed()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from skylift.server.observability.spans import Spans

        self._provider = TracerProvider(resource=Resource.create({"service.name": "skylift"}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._spans = Spans(self._provider.get_tracer("skylift"))
        self._waiting: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="skylift-traces", daemon=True)
        self._thread.start()
        self._subscription = engine.subscribe(callback=self._tell)

    def close(self) -> None:
        """Sends what there is."""
        self._subscription.close()
        self._waiting.put(None)
        self._thread.join()
        self._provider.shutdown()

    def _tell(self, progress: Progress) -> None:
        if self._waiting.qsize() < MOST_WAITING:
            self._waiting.put(progress)
        else:
            self.dropped += 1

    def _work(self) -> None:
        while (progress := self._waiting.get()) is not None:
            try:
                self._spans.take(progress)
            except Exception:  # noqa: BLE001  # a trace is a help: the next run's may be whole
                _log.exception("a step of run %s could not be traced", progress.record.run_id)


def _check_installed() -> None:
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:  # of a package around it
        found = None
    if found is None:
        raise SetupError("traces need OpenTelemetry, which is not installed", hint="pip install 'skylift[otel]'")
