"""From the history of runs to spans: a run holds states, a state its attempts, iterations and branches' states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags, Tracer

from skylift.asl.history import HistoryEvent
from skylift.engine.names import split_token
from skylift.engine.observe import Progress
from skylift.errors import SkyliftError
from skylift.ports.journal import RunRecord

MOST_EVENTS = 50_000
"""Of one run; what comes after is part of the run's span only."""
_ENDED = re.compile(r"(Succeeded|Failed|TimedOut|Aborted)$")
_W3C = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_XRAY = re.compile(r"(Root|Parent|Sampled)=([0-9A-Za-z-]+)")


class Node:
    """A span that may have others in it."""

    __slots__ = ("parent", "span")

    def __init__(self, span: Span, parent: Node | None) -> None:
        self.span = span
        self.parent = parent


class RunSpans:
    """The open spans of one run. An event follows another one: it lies in what that one has left open."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.inside: dict[tuple[str | None, int], Node] = {}
        self.open: dict[Span, Node] = {}
        self.attempts: list[str] = []


class Spans:
    """Of one thread. `take` is given what an engine tells, in order."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._runs: dict[str, RunSpans] = {}
        self._attempts: dict[tuple[str, str], Node] = {}

    def take(self, progress: Progress) -> None:
        record = progress.record
        for event in progress.history:
            run = self._runs.get(record.run_id)
            if run is None:
                run = self._runs[record.run_id] = RunSpans(self._root(record))
            if event.child is None and event.type.startswith("Execution") and _ENDED.search(event.type):
                self._end_run(record, run, event)
            elif len(run.inside) < MOST_EVENTS:
                self._step(record, run, event)

    def _root(self, record: RunRecord) -> Node:
        facts = {
            "skylift.run_id": record.run_id,
            "skylift.run_name": record.name,
            "skylift.machine": record.pipeline,
            "skylift.account": record.account,
        }
        name = record.pipeline.rpartition(":")[2]
        span = self._tracer.start_span(
            name, self._context_of(record), attributes=facts, start_time=_ns(record.created_ms)
        )
        return Node(span, None)

    def _context_of(self, record: RunRecord) -> Any:
        """The attempt of another run that has started it, or what the caller's trace header names."""
        if record.parent is not None:
            parent = self._attempts.get(_parent_key(record.parent))
            if parent is not None:
                return trace.set_span_in_context(parent.span)
        remote = remote_context(record.attributes.get("trace", ""))
        return None if remote is None else trace.set_span_in_context(NonRecordingSpan(remote))

    def _step(self, record: RunRecord, run: RunSpans, event: HistoryEvent) -> None:
        around = run.inside.get((event.child, event.previous_id)) or run.root
        kind = event.type
        if kind.endswith("StateEntered"):
            inner = self._start(run, around, str(event.details.get("name", kind)), event, {"skylift.kind": "state"})
        elif kind == "MapIterationStarted":
            index = event.details.get("index")
            inner = self._start(
                run, around, f"item {index}", event, {"skylift.kind": "iteration", "skylift.index": index}
            )
        elif kind.endswith("Scheduled"):
            inner = self._start_attempt(record, run, around, event)
        elif kind.endswith("StateExited"):
            inner = self._end(run, around, event, None)
        elif _is_attempt_end(kind) or (kind.startswith("MapIteration") and _ENDED.search(kind)):
            inner = self._end(run, around, event, kind)
        else:
            inner = around
        run.inside[event.child, event.id] = inner

    def _start(self, run: RunSpans, around: Node, name: str, event: HistoryEvent, facts: Mapping[str, Any]) -> Node:
        context = trace.set_span_in_context(around.span)
        span = self._tracer.start_span(name, context, attributes=facts, start_time=_ns(event.at_ms))
        node = Node(span, around)
        run.open[span] = node
        return node

    def _start_attempt(self, record: RunRecord, run: RunSpans, around: Node, event: HistoryEvent) -> Node:
        resource = str(event.details.get("resource", event.type))
        facts = {"skylift.kind": "attempt", "skylift.resource": resource, "skylift.run_id": record.run_id}
        node = self._start(run, around, resource.rpartition(":")[2], event, facts)
        if event.token is not None:
            self._attempts[record.run_id, event.token] = node
            run.attempts.append(event.token)
        return node

    def _end(self, run: RunSpans, node: Node, event: HistoryEvent, outcome: str | None) -> Node:
        """What the next event lies in."""
        if node is run.root or node.parent is None:
            return node
        if outcome is not None and not outcome.endswith("Succeeded"):
            node.span.set_status(Status(StatusCode.ERROR, str(event.details.get("error") or outcome)))
        node.span.end(_ns(event.at_ms))
        run.open.pop(node.span, None)
        return node.parent

    def _end_run(self, record: RunRecord, run: RunSpans, event: HistoryEvent) -> None:
        at = _ns(event.at_ms)
        failed = event.type != "ExecutionSucceeded"
        for span in reversed(run.open):
            if failed:
                span.set_status(Status(StatusCode.ERROR, "the run has ended"))
            span.end(at)
        run.root.span.set_attribute("skylift.status", event.type.removeprefix("Execution"))
        if failed:
            run.root.span.set_status(Status(StatusCode.ERROR, str(event.details.get("error") or event.type)))
        run.root.span.end(at)
        for token in run.attempts:
            self._attempts.pop((record.run_id, token), None)
        del self._runs[record.run_id]


def remote_context(header: str) -> SpanContext | None:
    """From a W3C traceparent or an X-Ray trace header; None for anything else."""
    if found := _W3C.fullmatch(header):
        return _remote(found[1], found[2], bool(int(found[3], 16) & 1))
    given = dict(_XRAY.findall(header))
    root = re.fullmatch(r"1-([0-9a-f]{8})-([0-9a-f]{24})", given.get("Root", ""))
    parent = given.get("Parent", "")
    if root is None or not re.fullmatch(r"[0-9a-f]{16}", parent):
        return None
    return _remote(root[1] + root[2], parent, given.get("Sampled", "1") != "0")


def _remote(trace_id: str, span_id: str, sampled: bool) -> SpanContext | None:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    context = SpanContext(int(trace_id, 16), int(span_id, 16), True, flags)
    return context if context.is_valid else None


def _is_attempt_end(kind: str) -> bool:
    """`LambdaFunctionFailed`, `TaskSubmitFailed`, `ActivityTimedOut`; not those of states, iterations and runs."""
    return (
        kind.startswith(("Task", "Lambda", "Activity"))
        and not kind.startswith("TaskState")
        and _ENDED.search(kind) is not None
    )


def _parent_key(token: str) -> tuple[str, str]:
    try:
        run_id, local = split_token(token)
    except (SkyliftError, ValueError):
        return "", ""
    return run_id, local


def _ns(at_ms: int) -> int:
    return at_ms * 1_000_000
