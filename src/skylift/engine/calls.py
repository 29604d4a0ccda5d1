"""What a backend is given for an attempt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from skylift.asl.commands import StartTask
from skylift.asl.resources import read_resource
from skylift.engine.jobs import job_event
from skylift.engine.redelivery import deliveries_of
from skylift.engine.routes import ServiceRoute, WorkerRoute
from skylift.engine.run import Attempt
from skylift.engine.views import label
from skylift.ports.compute import CodeRef, Requirements, TaskCall
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskSpec

LogPath = Callable[[str, str], str]

KEEP_ATTRIBUTE = "keep_on_failure_ms"
"""Attribute of a run: for how long the place of an attempt that failed is kept."""
LONGEST_KEPT_MS = 24 * 3_600_000
"""Of a run of an account."""
_WHOLE = re.compile(r"[0-9]{1,15}")


def call_of(attempt: Attempt, log_path: LogPath | None) -> TaskCall:
    route = attempt.route
    if type(route) is ServiceRoute:
        return _service_call(attempt)
    assert type(route) is WorkerRoute
    return worker_call(attempt, route, log_path)


def worker_call(attempt: Attempt, route: WorkerRoute, log_path: LogPath | None) -> TaskCall:
    command, run, spec = attempt.command, attempt.run, route.spec
    run_id = run.record.run_id
    before = deliveries_of(attempt)
    needs = spec.requirements if route.callback else limits_of(command, spec)
    if before.memory_mib is not None:
        needs = msgspec.structs.replace(needs, memory_mib=before.memory_mib)
    return TaskCall(
        token=attempt.token,
        run_id=run_id,
        task=spec.name,
        label=label(command.path),
        attempt=command.attempt,
        code=CodeRef(bundle=run.table.bundle if route.bundled else None, target=spec.target),
        arguments=_arguments(attempt, route),
        convention=spec.convention,
        inline_result=spec.inline_result,
        requirements=needs,
        pipeline=run.record.pipeline,
        account=run.record.account,
        visit=visit_of(command),
        delivery=1 + before.count,
        market=attempt.market or "on-demand",
        keep_ms=keep_of(run.record.attributes, run.record.account),
        log=log_path(run_id, command.token) if log_path is not None else None,
    )


def _arguments(attempt: Attempt, route: WorkerRoute) -> Any:
    arguments, record = attempt.command.arguments, attempt.run.record
    if route.job is not None:
        return job_event(route.job, arguments, attempt.token, record.account, region_of(record))
    return arguments.get("Payload", {}) if route.payload else arguments


def limits_of(command: StartTask, spec: TaskSpec) -> Requirements:
    """The task's requirements with the time limits of the attempt: the shorter of both."""
    needs = spec.requirements
    if command.timeout_ms is None and command.heartbeat_ms is None:
        return needs
    return msgspec.structs.replace(
        needs,
        timeout_ms=_shorter(command.timeout_ms, needs.timeout_ms),
        heartbeat_ms=_shorter(command.heartbeat_ms, needs.heartbeat_ms),
    )


def _shorter(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def visit_of(command: StartTask) -> str:
    """The token of the visit's first attempt. Tokens count on in a frame, and attempts in a visit of it."""
    return visit_at(command.token, command.attempt)


def visit_at(token: str, attempt: int) -> str:
    """The same, from the token of any attempt in its run."""
    frame, _, number = token.partition("-")
    return f"{frame}-{int(number) - attempt + 1}"


def keep_of(attributes: Mapping[str, str], account: str = "") -> int | None:
    """`--keep-on-failure`, as the run was started with it; None for what is no time. Never raises: attributes are what
    somebody has written."""
    kept = attributes.get(KEEP_ATTRIBUTE)
    if kept is None or _WHOLE.fullmatch(kept) is None:
        return None
    return min(int(kept), LONGEST_KEPT_MS) if account else int(kept)


def _service_call(attempt: Attempt) -> TaskCall:
    """Its time limit is the engine's business."""
    command, record = attempt.command, attempt.run.record
    resource = read_resource(command.resource)
    return TaskCall(
        token=attempt.token,
        run_id=record.run_id,
        task=resource.arn if resource.family != "Task" else f"{resource.service}:{resource.action}",
        label=label(command.path),
        attempt=command.attempt,
        code=CodeRef(bundle=None, target=command.resource),
        arguments=command.arguments,
        convention="service",
        requirements=Requirements(cpus=0.0),
        credentials=command.credentials,
        account=record.account,
        region=region_of(record),
        submitted=attempt.submitted,
    )


def region_of(record: RunRecord) -> str:
    """Of the run's state machine; empty for a pipeline of this project."""
    return record.pipeline.split(":")[3] if record.pipeline.startswith("arn:") else ""
