"""Traces of runs, sent to a collector over HTTP: what holds what, how it ended, and whose trace it is part of."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
pytest.importorskip("boto3")
pytest.importorskip("uvicorn")
import boto3
from botocore.config import Config as BotoConfig
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from skylift.server.observability.spans import remote_context
from skylift.testing.server import running_server

ROLE = "arn:aws:iam::123456789012:role/r"
TASK = "arn:aws:lambda:us-east-1:123456789012:function:nope"
CHILD = {"StartAt": "C", "States": {"C": {"Type": "Pass", "End": True}}}


class Collector(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: list[Any] = []


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        yield collector
        collector.shutdown()
        thread.join()


def run(url: str, name: str, definition: dict[str, Any], **more: Any) -> dict[str, Any]:
    client = boto3.client(
        "stepfunctions", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x",
        config=BotoConfig(inject_host_prefix=False),
    )  # fmt: skip
    made = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE, type="EXPRESS")
    found: dict[str, Any] = client.start_sync_execution(stateMachineArn=made["stateMachineArn"], **more)
    return found


def facts(span: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


def test_spans_of_runs_states_items_and_attempts(tmp_path: Path, collector: Collector) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 1}]
    definition = {
        "StartAt": "Each",
        "States": {
            "Each": {"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": CHILD, "ResultPath": None, "Next": "Try"},
            "Try": {"Type": "Task", "Resource": TASK, "Retry": retry, "End": True},
        },
    }
    trace_id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    header = f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={parent};Sampled=1"
    with running_server(tmp_path, trace=True) as server:
        found = run(server.url, "traced", definition, input='{"l": [1, 2]}', traceHeader=header)
        assert found["status"] == "FAILED"
    spans = collector.spans
    by_id = {span.span_id: span for span in spans}
    above = {span.name: by_id[span.parent_span_id].name for span in spans if span.parent_span_id in by_id}
    assert above == {
        "Each": "traced", "Try": "traced", "item 0": "Each", "item 1": "Each", "C": above["C"], "nope": "Try",
    }  # fmt: skip
    assert above["C"] in ("item 0", "item 1")
    assert len([span for span in spans if span.name == "nope"]) == 2, "a span for each attempt"
    assert {span.trace_id.hex() for span in spans} == {trace_id}
    root = next(span for span in spans if span.name == "traced")
    assert root.parent_span_id.hex() == parent
    assert facts(root)["skylift.status"] == "Failed"
    assert facts(root)["skylift.run_id"]
    bad = {span.name for span in spans if span.status.code == 2}
    assert bad == {"traced", "Try", "nope"}
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
    one, other = sorted((span for span in spans if span.name == "nope"), key=lambda span: span.start_time_unix_nano)
    assert other.start_time_unix_nano - one.end_time_unix_nano >= 900_000_000, "the wait between them is nobody's"


def test_a_nested_run_lies_in_the_attempt_that_started_it(tmp_path: Path, collector: Collector) -> None:
    with running_server(tmp_path, trace=True) as server:
        client = boto3.client(
            "stepfunctions", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="x",
            aws_secret_access_key="x",
        )  # fmt: skip
        child = client.create_state_machine(name="child", definition=json.dumps(CHILD), roleArn=ROLE)
        step = {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {"StateMachineArn": child["stateMachineArn"]},
            "End": True,
        }
        outer = json.dumps({"StartAt": "Nested", "States": {"Nested": step}})
        parent = client.create_state_machine(name="parent", definition=outer, roleArn=ROLE)
        started = client.start_execution(stateMachineArn=parent["stateMachineArn"])
        for _ in range(500):
            found = client.describe_execution(executionArn=started["executionArn"])
            if found["status"] != "RUNNING":
                break
            threading.Event().wait(0.01)
        assert found["status"] == "SUCCEEDED", found
    by_id = {span.span_id: span for span in collector.spans}
    inner = next(span for span in collector.spans if span.name == "child")
    chain = []
    while inner.parent_span_id in by_id:
        inner = by_id[inner.parent_span_id]
        chain.append(inner.name)
    assert chain[1:] == ["Nested", "parent"]
    assert len({span.trace_id for span in collector.spans}) == 1


def test_nothing_is_sent_unless_it_is_wanted(tmp_path: Path, collector: Collector) -> None:
    with running_server(tmp_path) as server:
        assert run(server.url, "untraced", CHILD)["status"] == "SUCCEEDED"
        assert server._runtime.engine.engine._observers._all == []
    assert collector.spans == []


@pytest.mark.parametrize(
    "header",
    ["", "x", "Root=1-0-0", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01", "Root=1-5759e988-bd862e3fe1be46a994272793"],
)
def test_other_trace_headers_are_left_alone(header: str) -> None:
    assert remote_context(header) is None


def test_a_w3c_traceparent() -> None:
    found = remote_context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    assert found is not None
    assert found.trace_flags.sampled
    assert f"{found.span_id:016x}" == "00f067aa0ba902b7"
