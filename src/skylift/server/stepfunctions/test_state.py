"""TestState: one state, tried out without a state machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

from skylift.asl.commands import StartTask
from skylift.asl.inspection.inspect import Helpers, Inspected, inspect_state
from skylift.asl.inspection.request import (
    HttpRequest,
    HttpResponse,
    InspectionRequest,
    Mock,
    MockError,
    Refused,
    StateConfiguration,
    Surroundings,
    TaskAnswer,
)
from skylift.compute.services.exchanges import EXCHANGES, Exchange
from skylift.compute.services.result import text_of
from skylift.engine.inputs import StartRun
from skylift.engine.item_reader import read_items
from skylift.errors import SkyliftError
from skylift.ports.journal import RunRecord
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.errors import ApiError
from skylift.server.names import check_role, make_arn, own_machine_arn
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.test_state_models import service_models

actions = Actions()

LONGEST_S = 300
"""A test may take so long; then the state has failed with States.Timeout."""

STOPPED_S = 10
"""A run that is stopped has ended after so long at most."""

_log = logging.getLogger(__name__)


@actions.add("TestState", Role.ADMIN)
async def test_state(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    if "roleArn" in request:
        check_role(request["roleArn"])
    wanted = read_inspection(request)
    surroundings = _surroundings(caller, context.now_ms())
    try:
        try:
            inspected = await context.blocking(inspect_state, wanted, surroundings, _helpers(_NotYet()))
        except _TaskNeeded as needed:
            if "roleArn" not in request:
                raise ApiError(
                    "ValidationException", "A roleArn is required to test a Task state without a mock"
                ) from None
            answer = await _run_task(context, caller, surroundings, wanted, needed.task)
            inspected = await context.blocking(inspect_state, wanted, surroundings, _helpers(_Known(answer)))
    except Refused as problem:
        raise ApiError(problem.code, problem.message) from None
    return told(inspected)


def read_inspection(request: dict[str, Any]) -> InspectionRequest:
    """The request, whose members have the types and sizes of the protocol."""
    mock, configuration = request.get("mock"), request.get("stateConfiguration")
    return InspectionRequest(
        definition=request["definition"],
        state_name=request.get("stateName"),
        input=request.get("input", "{}"),
        variables=request.get("variables"),
        context=request.get("context"),
        role_arn=request.get("roleArn"),
        level=request.get("inspectionLevel", "INFO"),
        mock=None if mock is None else _mock(mock),
        configuration=None if configuration is None else _configuration(configuration),
        reveal_secrets=request.get("revealSecrets", False),
    )


def _mock(mock: dict[str, Any]) -> Mock:
    error = mock.get("errorOutput")
    return Mock(
        result=mock.get("result"),
        error_output=None if error is None else MockError(error=error.get("error"), cause=error.get("cause")),
        field_validation_mode=mock.get("fieldValidationMode", "STRICT"),
    )


def _configuration(configuration: dict[str, Any]) -> StateConfiguration:
    return StateConfiguration(
        retrier_retry_count=configuration.get("retrierRetryCount", 0),
        error_caused_by_state=configuration.get("errorCausedByState"),
        map_iteration_failure_count=configuration.get("mapIterationFailureCount"),
        map_item_reader_data=configuration.get("mapItemReaderData"),
    )


def told(inspected: Inspected) -> dict[str, Any]:
    """The answer of the protocol."""
    answer = {
        "output": inspected.output,
        "error": inspected.error,
        "cause": inspected.cause,
        "inspectionData": inspected.data,
        "nextState": inspected.next_state,
        "status": inspected.status,
    }
    return {name: value for name, value in answer.items() if value is not None}


def _surroundings(caller: Caller, now_ms: int) -> Surroundings:
    """The machine and the execution that the context object tells of: there are none."""
    machine, name, run = (f"{secrets.token_hex(4)}-{secrets.token_hex(6)}" for _ in range(3))
    machine_arn = own_machine_arn(caller, machine)
    return Surroundings(
        execution_arn=f"{make_arn('express', caller.region, caller.account, machine)}:{name}:{run}",
        execution_name=name,
        machine_arn=machine_arn,
        machine_name=machine,
        now_ms=now_ms,
        seed=secrets.randbits(63),
    )


# A Task without a mock. The inspection is pure and quick: it is begun, and where it comes upon the task it is left; the
# task runs on the engine while no thread waits; then the inspection is done over with the answer.


class _TaskNeeded(Exception):
    def __init__(self, task: StartTask) -> None:
        super().__init__(task.resource)
        self.task = task


class _NotYet:
    def __call__(self, task: StartTask) -> TaskAnswer:
        raise _TaskNeeded(task)


class _Known:
    def __init__(self, answer: TaskAnswer) -> None:
        self._answer = answer

    def __call__(self, task: StartTask) -> TaskAnswer:
        return self._answer


def _helpers(run_task: _NotYet | _Known) -> Helpers:
    return Helpers(run_task=run_task, read_data=read_items, models=service_models())


async def _run_task(
    context: ServerContext, caller: Caller, surroundings: Surroundings, wanted: InspectionRequest, task: StartTask
) -> TaskAnswer:
    """Have the engine run a machine of this one task; nothing is kept of it."""
    definition = await context.blocking(context.journal.put_document, msgspec.json.encode(_machine_of(task)))
    run_id = uuid.uuid4().hex
    start = StartRun(
        run_id=run_id,
        definition=definition,
        pipeline=surroundings.machine_arn,
        input=task.arguments,
        name=surroundings.execution_name,
        context={"Execution": {"RoleArn": wanted.role_arn}},
        account=caller.account,
        type="EXPRESS",
        limits="service",
    )
    with EXCHANGES.watch(run_id, revealing=wanted.reveal_secrets) as exchange:
        record = await _ended(context, start)
    if record is None:
        return TaskAnswer(failed=True, error="States.Timeout")
    await context.blocking(_forget, context, run_id)
    return _answer_of(record, exchange)


async def _ended(context: ServerContext, start: StartRun) -> RunRecord | None:
    """The run's record once it has ended; None for one that took too long, which is stopped."""
    started, finished = context.engine.begin(start)
    run_id = await context.reply(started)
    try:
        return await context.reply(finished, LONGEST_S)
    except (TimeoutError, asyncio.CancelledError) as end:
        await asyncio.shield(context.blocking(_drop, context, run_id))
        if isinstance(end, asyncio.CancelledError):
            raise
        return None


def _machine_of(task: StartTask) -> dict[str, Any]:
    """The state's work alone: its arguments, evaluated already, are the input."""
    state: dict[str, Any] = {"Type": "Task", "Resource": task.resource, "End": True}
    if task.timeout_ms is not None:
        state["TimeoutSeconds"] = task.timeout_ms // 1000
    if task.heartbeat_ms is not None:
        state["HeartbeatSeconds"] = task.heartbeat_ms // 1000
    if isinstance(task.credentials, dict) and "RoleArn" in task.credentials:
        state["Credentials"] = {"RoleArn": task.credentials["RoleArn"]}
    return {"StartAt": task.state, "States": {task.state: state}}


def _answer_of(record: RunRecord, exchange: Exchange) -> TaskAnswer:
    request, response = _request_of(exchange), _response_of(exchange)
    if record.status == "SUCCEEDED":
        return TaskAnswer(output=record.output, request=request, response=response)
    error = "States.Timeout" if record.status == "TIMED_OUT" else record.error
    return TaskAnswer(failed=True, error=error, cause=record.cause, request=request, response=response)


def _request_of(exchange: Exchange) -> HttpRequest | None:
    sent = exchange.sent
    if sent is None:
        return None
    return HttpRequest(
        protocol=_protocol(sent.url),
        method=sent.method,
        url=sent.url,
        headers=_headers(sent.headers.items()),
        body=None if sent.body is None else text_of(sent.body),
    )


def _response_of(exchange: Exchange) -> HttpResponse | None:
    sent, answer = exchange.sent, exchange.answer
    if sent is None or answer is None:
        return None
    return HttpResponse(
        protocol=_protocol(sent.url),
        status_code=str(answer.status),
        status_message=answer.reason,
        headers=_headers((name, ", ".join(values)) for name, values in answer.headers.items()),
        body=text_of(answer.body),
    )


def _headers(pairs: Iterable[tuple[str, str]]) -> str:
    """As the service writes them."""
    return f"[{', '.join(f'{name}: {value}' for name, value in pairs)}]"


def _protocol(url: str) -> str:
    return url.partition(":")[0]


def _drop(context: ServerContext, run_id: str) -> None:
    with contextlib.suppress(SkyliftError, TimeoutError):
        context.engine.stop(run_id)
        context.engine.wait(run_id, STOPPED_S)
    _forget(context, run_id)


def _forget(context: ServerContext, run_id: str) -> None:
    try:
        context.journal.delete_runs([run_id])
    except SkyliftError as problem:
        _log.warning("the run %s of a tested task stays: %s", run_id, problem)
