"""Prometheus metrics of one server process. Labels have few values: actions, statuses; never accounts, ARNs, runs."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Iterable

import psutil  # type: ignore[import-untyped, unused-ignore]
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from skylift.engine.observe import TurnReport
from skylift.server.auth.request import Head, head_of
from skylift.server.stepfunctions.shapes import REQUESTS

_SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400, 604_800)
_COMMIT = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5)
MOST_ACTIONS = 200


class Metrics:
    """Thread-safe. `inside` is asked for what is measured when somebody looks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._actions: set[str] = set(REQUESTS)
        self._requests = Counter(
            "skylift_http_requests", "Answered requests.", ("action", "status"), registry=self.registry
        )
        self._latency = Histogram(
            "skylift_http_request_seconds",
            "From a request's head to its answer.",
            ("action",),
            buckets=_SHORT,
            registry=self.registry,
        )
        self._started = Counter(
            "skylift_executions_started", "Executions that this engine has started.", ("type",), registry=self.registry
        )
        self._ended = Counter(
            "skylift_executions_ended", "Executions that have ended.", ("type", "status"), registry=self.registry
        )
        self._durations = Histogram(
            "skylift_execution_seconds", "From start to end.", ("type",), buckets=_LONG, registry=self.registry
        )
        self._open = Gauge("skylift_executions_open", "Executions that this engine drives.", registry=self.registry)
        self._turns = Counter("skylift_engine_turns", "Turns that were committed.", registry=self.registry)
        self._events = Counter("skylift_engine_events", "Events made durable.", registry=self.registry)
        self._tasks = Counter("skylift_tasks_started", "Tasks started.", registry=self.registry)
        self._commit = Histogram(
            "skylift_commit_seconds", "To make a turn durable.", buckets=_COMMIT, registry=self.registry
        )
        self._turn = Histogram(
            "skylift_turn_seconds",
            "From taking inputs in to their being durable: what a request waits for the engine.",
            buckets=_COMMIT,
            registry=self.registry,
        )
        self.polls = Gauge(
            "skylift_long_requests", "Requests that wait, by action.", ("action",), registry=self.registry
        )
        self.registry.register(_Process())
        self._seen: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def request(self, action: str, status: int, seconds: float) -> None:
        known = self._seen.get((action, status))
        if known is None:
            known = self._of_request(action, status)
        known[0].inc()
        known[1].observe(seconds)

    def _of_request(self, action: str, status: int) -> tuple[Counter, Histogram]:
        """Whoever makes actions up must not fill the memory."""
        if action not in self._actions:
            if " /" not in action or len(self._actions) >= MOST_ACTIONS:
                action = "unknown"
            self._actions.add(action)
        pair = (self._requests.labels(action, str(status)), self._latency.labels(action))
        if action != "unknown":
            self._seen[action, status] = pair
        return pair

    def turn(self, report: TurnReport) -> None:
        """One committed turn, told on the engine's thread."""
        for record in report.created:
            self._started.labels(record.type).inc()
        for record in report.ended:
            self._ended.labels(record.type, record.status).inc()
            if record.stopped_ms is not None:
                self._durations.labels(record.type).observe((record.stopped_ms - record.created_ms) / 1000)
        self._turns.inc()
        self._events.inc(report.events)
        self._tasks.inc(report.tasks)
        self._commit.observe(report.commit_s)
        self._turn.observe(max(0.0, time.time() - report.now_ms / 1000))
        self._open.set(report.open_runs)

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Something that is asked for when somebody looks; `read` must return at once."""
        Gauge(name, description, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Process:
    """Of this process, without its workers."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def collect(self) -> Iterable[Metric]:
        with self._process.oneshot():
            memory, times = self._process.memory_info().rss, self._process.cpu_times()
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory of the server's process.", memory)
        yield GaugeMetricFamily("process_cpu_seconds", "CPU time of it.", times.user + times.system)


class MetricsPage:
    """`/metrics`: open where authentication is off, else for whoever brings the token. A key is not enough: these are
    figures of all accounts."""

    def __init__(self, metrics: Metrics, token: str | None, is_open: Callable[[Head], Awaitable[bool]]) -> None:
        self._metrics = metrics
        self._token = token
        self._is_open = is_open

    def routes(self) -> list[BaseRoute]:
        return [Route("/metrics", self.get)]

    async def get(self, request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if self._token is not None:
            allowed = hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())
        else:
            allowed = await self._is_open(head_of(request.scope))
        if not allowed:
            return PlainTextResponse(
                "metrics need the token of the server's setting metrics_token\n",
                401,
                {"www-authenticate": "Bearer"},
            )
        return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)
