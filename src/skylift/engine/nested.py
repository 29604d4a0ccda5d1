"""Nested runs: what `startExecution` in its forms is given and gives back. Pure."""

from __future__ import annotations

import hashlib
import uuid
from email.utils import formatdate
from typing import Any

import msgspec

from skylift.asl.context import timestamp
from skylift.asl.events import TaskFailed, TaskSucceeded
from skylift.engine.names import arn_of, machine_arn, plain_name
from skylift.engine.outcomes import TASK_FAILED
from skylift.engine.routes import NestedMode, NestedRoute
from skylift.engine.run import Attempt
from skylift.ports.journal import RunRecord

DEEPEST = 200
"""Levels of arrays and objects in a nested run's input."""

LONGEST_CAUSE = 32_768
"""Characters of a cause, as at the service: causes of runs nested in each other would double with every level."""

CUT_CAUSE = 4_000


class BadRequest(Exception):
    """The service's error name and message for a request that cannot be taken."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """How the two integrations of the service word their answers, and how a run of this project does, whose errors name
    no request."""

    sdk: bool
    """`aws-sdk:sfn`, not `states`."""
    remote: bool
    """Answers carry what an HTTP request to the service leaves in them."""
    request_id: str

    def refuse(self, code: str, message: str) -> BadRequest:
        """The failure for an error code of the API, which is written without `Exception`."""
        error = f"{'Sfn' if self.sdk else 'StepFunctions'}.{code}Exception"
        if not self.remote:
            return BadRequest(error, message)
        if self.sdk:
            return BadRequest(error, f"{message} (Service: Sfn, Status Code: 400, Request ID: {self.request_id})")
        details = f"Service: AWSStepFunctions; Status Code: 400; Error Code: {code}; Request ID: {self.request_id}"
        return BadRequest(error, f"{message} ({details}; Proxy: null)")

    def no_machine(self, machine: str) -> BadRequest:
        return self.refuse("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{machine}'")

    def name_taken(self, arn: str) -> BadRequest:
        return self.refuse("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")

    def not_supported(self, machine: str) -> BadRequest:
        message = "This operation is not supported by this type of state machine"
        return self.refuse("StateMachineTypeNotSupported", message)


def service_of(attempt: Attempt, route: NestedRoute) -> Service:
    digest = hashlib.sha256(attempt.token.encode()).digest()[:16]
    remote = attempt.run.record.limits == "service"
    return Service(sdk=route.sdk, remote=remote, request_id=str(uuid.UUID(bytes=digest, version=4)))


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of startExecution, checked."""

    machine: str
    """StateMachineArn as given."""
    pipeline: str
    input: Any
    name: str | None


def read_request(arguments: Any, service: Service) -> Request:
    """Raises BadRequest."""
    if not isinstance(arguments, dict) or not isinstance(arguments.get("StateMachineArn"), str):
        raise BadRequest("States.Runtime", "startExecution needs StateMachineArn as text in its arguments.")
    machine: str = arguments["StateMachineArn"]
    name = arguments.get("Name")
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= 80):
        raise service.refuse("InvalidName", f"Invalid Name: '{name}'")
    given = _read_input(arguments.get("Input"), service)
    return Request(machine=machine, pipeline=_pipeline_of(machine), input=given, name=name)


def _pipeline_of(machine: str) -> str:
    """The last part of an ARN: `…:stateMachine:NAME`, also with a version or alias after the name."""
    head, found, tail = machine.partition(":stateMachine:")
    return tail.partition(":")[0] if found else head.rpartition(":")[2]


def _read_input(given: Any, service: Service) -> Any:
    """JSON text is parsed, as the service does; nothing given is an empty object."""
    if given is None:
        return {}
    if not isinstance(given, str):
        _check_depth(given)
        return given
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError as problem:
        raise service.refuse("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{problem}'") from None


def input_of(attempt: Attempt) -> Any:
    """The input of the nested run that this attempt has started: it was checked then."""
    given = attempt.command.arguments.get("Input")
    return {} if given is None else msgspec.json.decode(given) if isinstance(given, str) else given


def _check_depth(given: Any) -> None:
    """A pipeline that wraps its input and calls itself would otherwise grow it until it cannot be written."""
    level, depth = [given], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise BadRequest("States.Runtime", f"The input of a nested run is nested deeper than {DEEPEST} levels.")
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]


def started_output(record: RunRecord, service: Service) -> dict[str, Any]:
    """What the request itself answers."""
    arn = arn_of(record)
    if service.sdk or not service.remote:
        return {"ExecutionArn": arn, "StartDate": timestamp(record.created_ms)}
    answer = {"executionArn": arn, "startDate": record.created_ms / 1000}
    length, date = str(len(msgspec.json.encode(answer))), formatdate(record.created_ms / 1000, usegmt=True)
    headers = {
        "connection": "keep-alive",
        "Content-Length": length,
        "Content-Type": "application/x-amz-json-1.0",
        "Date": date,
        "x-amzn-RequestId": service.request_id,
    }
    return {
        "ExecutionArn": arn,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": service.request_id},
        "StartDate": record.created_ms,
    }


def ended_event(
    token: str, mode: NestedMode, record: RunRecord, input_: Any, *, classes: tuple[str, ...]
) -> TaskSucceeded | TaskFailed:
    """What the parent learns of a nested run that has ended. `classes` are further names for a failure."""
    if mode == "express":
        return TaskSucceeded(token=token, output=_describe_express(record, input_))
    description = describe(record, input_, as_text=mode == "sync")
    if record.status == "SUCCEEDED":
        return TaskSucceeded(token=token, output=description)
    cause = msgspec.json.encode(description, order="sorted").decode()
    if len(cause) > LONGEST_CAUSE:
        cut = (record.cause or "")[:CUT_CAUSE] + " … (cut)"
        short = {**description, "Cause": cut, "Input": None, "InputDetails": {"Included": False}}
        cause = msgspec.json.encode(short, order="sorted").decode()[:LONGEST_CAUSE]
    return TaskFailed(token=token, error=TASK_FAILED, cause=cause, classes=classes)


def describe(record: RunRecord, input_: Any, *, as_text: bool) -> dict[str, Any]:
    """DescribeExecution, as the optimised integration returns it; Input and Output as JSON text or as JSON."""
    details: dict[str, Any] = {
        "ExecutionArn": arn_of(record),
        "Input": _text(input_) if as_text else input_,
        "InputDetails": {"Included": True},
        "Name": plain_name(record),
        "StartDate": record.created_ms,
        "StateMachineArn": machine_arn(record.pipeline),
        "Status": record.status,
        "StopDate": record.stopped_ms,
    }
    if record.status == "SUCCEEDED":
        details["Output"] = _text(record.output) if as_text else record.output
        details["OutputDetails"] = {"Included": True}
    else:
        details |= {
            key: value for key, value in (("Error", record.error), ("Cause", record.cause)) if value is not None
        }
    return details


def _describe_express(record: RunRecord, input_: Any) -> dict[str, Any]:
    """What startSyncExecution answers, also for a run that failed."""
    stopped_ms = record.stopped_ms if record.stopped_ms is not None else record.created_ms
    lasted_ms = stopped_ms - record.created_ms
    return {
        **describe(record, input_, as_text=True),
        "BillingDetails": {
            "BilledDurationInMilliseconds": -(-lasted_ms // 100) * 100,
            "BilledMemoryUsedInMB": 64,
        },
        "StartDate": timestamp(record.created_ms),
        "StopDate": timestamp(stopped_ms),
    }


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
