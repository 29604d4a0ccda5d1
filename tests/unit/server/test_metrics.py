"""What Prometheus is told, and that nobody can make it more than it should be."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from skylift.engine.observe import TurnReport
from skylift.ports.journal import RunRecord
from skylift.server.observability import metrics as module
from skylift.server.observability.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def record(status: str, stopped_ms: int | None) -> RunRecord:
    return RunRecord(
        run_id="r", name="n", pipeline="arn", definition="d", input_digest="i", status=status, created_ms=1_000,
        stopped_ms=stopped_ms, type="EXPRESS",
    )  # fmt: skip


def test_turns_are_counted() -> None:
    metrics = Metrics()
    report = TurnReport(
        now_ms=5_000, created=[record("RUNNING", None)], ended=[record("FAILED", 3_500)], events=7, tasks=2,
        commit_s=0.002, open_runs=4,
    )  # fmt: skip
    metrics.turn(report)
    metrics.turn(report)
    found = samples(metrics)
    assert found["skylift_executions_started_total", ("EXPRESS",)] == 2
    assert found["skylift_executions_ended_total", ("FAILED", "EXPRESS")] == 2
    assert found["skylift_execution_seconds_sum", ("EXPRESS",)] == 5
    assert found["skylift_engine_events_total", ()] == 14
    assert found["skylift_tasks_started_total", ()] == 4
    assert found["skylift_executions_open", ()] == 4
    assert found["skylift_commit_seconds_count", ()] == 2


def test_requests_are_counted_by_action_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 400):
        metrics.request("StartExecution", status, 0.003)
    metrics.request("GET /v1/runs/{run}", 200, 0.003)
    found = samples(metrics)
    assert found["skylift_http_requests_total", ("StartExecution", "200")] == 2
    assert found["skylift_http_requests_total", ("StartExecution", "400")] == 1
    assert found["skylift_http_request_seconds_count", ("StartExecution",)] == 3
    assert found["skylift_http_requests_total", ("GET /v1/runs/{run}", "200")] == 1


def test_made_up_actions_are_one() -> None:
    metrics = Metrics()
    for number in range(10_000):
        metrics.request(f"Action{number}", 400, 0.001)
    found = samples(metrics)
    assert found["skylift_http_requests_total", ("unknown", "400")] == 10_000
    assert {labels[0] for name, labels in found if name == "skylift_http_requests_total"} == {"unknown"}
    assert len(metrics._seen) == 0
    assert len(metrics._actions) < module.MOST_ACTIONS


def test_the_process_is_measured() -> None:
    found = samples(Metrics())
    assert found["process_resident_memory_bytes", ()] > 1_000_000
    assert found["process_cpu_seconds", ()] > 0
