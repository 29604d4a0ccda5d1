"""Task: hands arguments to the shell and waits for the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skylift.asl.commands import StartTask
from skylift.asl.context import token_of
from skylift.asl.dataflow import template
from skylift.asl.document import Task
from skylift.asl.events import (
    TaskFailed,
    TaskRedelivered,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    TaskTimedOut,
    Usage,
)
from skylift.asl.resources import read_resource
from skylift.asl.retry import DATA_LIMIT, HEARTBEAT_TIMEOUT, TIMEOUT
from skylift.asl.sizes import too_large, too_large_cause
from skylift.asl.state import NO_DELIVERIES, Deliveries, Failure, Frame
from skylift.asl.states.base import Step
from skylift.asl.states.seconds import time_limit

if TYPE_CHECKING:
    from skylift.asl.turn import Turn


_NO_USAGE = Usage()


class TaskStep(Step):
    kind = "Task"
    retryable = True

    def __init__(self, state: Task) -> None:
        super().__init__(state)
        language = state.query_language
        self._resource = read_resource(state.resource)
        self._timeout = time_limit(state.timeout_seconds, state.timeout_seconds_path, language, "TimeoutSeconds")
        self._heartbeat = time_limit(
            state.heartbeat_seconds, state.heartbeat_seconds_path, language, "HeartbeatSeconds"
        )
        self._credentials = template(state.credentials, language, "Credentials")
        self._plain = self._timeout is None and self._heartbeat is None and self._credentials is None

    def begin(self, turn: Turn, frame: Frame) -> None:
        frame.tries += 1
        frame.attempt += 1
        frame.phase = "task"
        frame.deliveries = None
        scope = turn.scope(frame, self)
        flow = self.flow
        flow.effective(scope)
        arguments = flow.payload(scope)
        timeout = heartbeat = credentials = None
        if not self._plain:
            timeout = None if self._timeout is None else self._timeout(scope)
            heartbeat = None if self._heartbeat is None else self._heartbeat(scope)
            credentials = None if self._credentials is None else self._credentials(scope)
        task = StartTask(
            token=token_of(frame),
            state=self.name,
            path=(*frame.path, self.name),
            attempt=frame.attempt,
            resource=self._resource.arn,
            arguments=arguments,
            scheduled_ms=turn.now_ms,
            timeout_ms=timeout,
            heartbeat_ms=heartbeat,
            credentials=credentials,
        )
        self._record_scheduled(turn, frame, task)
        turn.start_task(frame, task)

    def redrive(self, turn: Turn, frame: Frame) -> None:
        turn.attempt(self, frame)

    # What the shell reports

    def started(self, turn: Turn, frame: Frame, event: TaskStarted) -> None:
        if self._resource.family == "Activity":
            details = {} if event.worker is None else {"workerName": event.worker}
            turn.emit(frame, "ActivityStarted", details, event.token)

    def submitted(self, turn: Turn, frame: Frame, event: TaskSubmitted) -> None:
        if self._resource.submits:
            turn.emit(frame, "TaskSubmitted", {"output": event.output, **self._named()}, event.token)

    def succeeded(self, turn: Turn, frame: Frame, event: TaskSucceeded) -> None:
        frame.task = None
        output = event.output
        if turn.limits.payload_bytes is not None and too_large(output, turn.limits.payload_bytes):
            self._too_large(turn, frame, event.token)
            return
        if turn.history is None:
            home = turn.frames[frame.home]
            frame.last_id = home.events = home.events + 1
        else:
            self._record(turn, frame, "Succeeded", {"output": output}, event.token)
        self.succeed(turn, frame, output)

    def failed(self, turn: Turn, frame: Frame, event: TaskFailed) -> None:
        frame.task = None
        failure = Failure(event.error, event.cause, event.classes)
        self._record(turn, frame, "Failed", _failure(event.error, event.cause), event.token)
        turn.fail(self, frame, failure)

    def timed_out(self, turn: Turn, frame: Frame, event: TaskTimedOut) -> None:
        frame.task = None
        error = turn.limits.missed_heartbeat if event.heartbeat else TIMEOUT
        self._record(turn, frame, "TimedOut", {"error": error}, event.token)
        turn.fail(self, frame, Failure(error, None, (HEARTBEAT_TIMEOUT,) if event.heartbeat else ()))

    def redelivered(self, turn: Turn, frame: Frame, event: TaskRedelivered) -> None:
        before = frame.deliveries or NO_DELIVERIES
        usage = event.usage or _NO_USAGE
        frame.deliveries = Deliveries(
            lost=before.lost + (event.reason == "lost"),
            preempted=before.preempted + (event.reason == "preempted"),
            moved=before.moved + (event.reason == "moved"),
            out_of_memory=before.out_of_memory + (event.reason == "out-of-memory"),
            memory_mib=event.memory_mib,
            backend=event.backend,
            market=event.market,
            saved_ms=max(before.saved_ms, usage.saved_ms or 0.0),
            startup_ms=max(before.startup_ms, usage.startup_ms or 0.0),
            repeated_ms=max(before.repeated_ms, _repeated_ms(before, usage)),
        )

    def _too_large(self, turn: Turn, frame: Frame, token: str) -> None:
        cause = too_large_cause(self._resource.arn)
        self._record(turn, frame, "Failed", _failure(DATA_LIMIT, cause), token)
        turn.fail(self, frame, Failure(DATA_LIMIT, cause))

    # History

    def _record_scheduled(self, turn: Turn, frame: Frame, task: StartTask) -> None:
        resource = self._resource
        if turn.history is None:
            steps = 1 if resource.family == "Activity" else 2
            home = turn.frames[frame.home]
            frame.last_id = home.events = home.events + steps
            return
        details: dict[str, Any] = {}
        if task.timeout_ms is not None:
            details["timeoutInSeconds"] = task.timeout_ms // 1000
        if task.heartbeat_ms is not None:
            details["heartbeatInSeconds"] = task.heartbeat_ms // 1000
        if task.credentials is not None:
            details["taskCredentials"] = _role(task.credentials)
        if resource.family == "Task":
            details |= {"parameters": task.arguments, "region": _region(turn), **self._named()}
            turn.emit(frame, "TaskScheduled", details, task.token)
            turn.emit(frame, "TaskStarted", self._named(), task.token)
            return
        details |= {"input": task.arguments, "resource": resource.arn}
        turn.emit(frame, resource.family + "Scheduled", details, task.token)
        if resource.family == "LambdaFunction":
            turn.emit(frame, "LambdaFunctionStarted", None, task.token)

    def _record(self, turn: Turn, frame: Frame, ending: str, details: dict[str, Any], token: str) -> None:
        if self._resource.family == "Task":
            details = {**details, **self._named()}
        turn.emit(frame, self._resource.family + ending, details, token)

    def _named(self) -> dict[str, Any]:
        return {"resource": self._resource.action, "resourceType": self._resource.service}


def _repeated_ms(before: Deliveries, usage: Usage) -> float:
    if not usage.saved_ms:
        return 0.0
    return max(0.0, (usage.duration_ms or 0.0) - max(0.0, usage.saved_ms - before.saved_ms))


def _failure(error: str | None, cause: str | None) -> dict[str, Any]:
    details = {} if error is None else {"error": error}
    return details if cause is None else {"cause": cause, **details}


def _role(credentials: Any) -> dict[str, Any]:
    return {"roleArn": credentials.get("RoleArn")} if isinstance(credentials, dict) else {}


def _region(turn: Turn) -> str:
    execution = turn.state.context.get("Execution")
    parts = str(execution.get("Id", "")).split(":") if isinstance(execution, dict) else []
    return parts[3] if len(parts) > 3 and parts[3] else "us-east-1"
