"""Takes one state through the real transition function and tells how it went."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET

from skylift.asl.compiler import compile_document
from skylift.asl.document import Choice, Document, Fail, Flow, State
from skylift.asl.events import TaskFailed, TaskSucceeded
from skylift.asl.inspection.notes import NUMBERS, Notes, shown
from skylift.asl.inspection.request import (
    InspectionRequest,
    Mock,
    ReadData,
    Refused,
    ResultModels,
    RunTask,
    StateConfiguration,
    Surroundings,
    TaskAnswer,
)
from skylift.asl.inspection.rules import check_request, mocked_result
from skylift.asl.inspection.source import SourceTexts
from skylift.asl.inspection.subject import find_subject
from skylift.asl.inspection.traced import TracedDistributedMap, traced
from skylift.asl.inspection.turn import InspectedTurn
from skylift.asl.json_text import json_text
from skylift.asl.state import ROOT, Failure, Frame, RunState, Variables
from skylift.asl.states.base import CompiledFlow, Step
from skylift.asl.states.task import TaskStep

Status = Literal["SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR"]


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `output` and the texts of `data` are JSON text; `data` is as inspectionData of the service."""

    status: Status
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    next_state: str | None = None
    data: dict[str, Any] | None = None


class Helpers(msgspec.Struct, frozen=True, kw_only=True):
    """What a test may need from outside. Without `models` mocked results are not compared with what services answer."""

    run_task: RunTask | None = None
    read_data: ReadData | None = None
    models: ResultModels | None = None


def inspect_state(request: InspectionRequest, surroundings: Surroundings, helpers: Helpers) -> Inspected:
    """Raises Refused for a request that cannot be carried out; whatever happens in the state is an answer."""
    state = find_subject(request.definition, request.state_name)
    check_request(request, state)
    return _Inspection(request, surroundings, helpers, state).run()


class _Inspection:
    """One test of one state."""

    def __init__(self, request: InspectionRequest, surroundings: Surroundings, helpers: Helpers, state: State) -> None:
        self._request = request
        self._helpers = helpers
        self._state = state
        self._texts = SourceTexts()
        self._notes = Notes()
        self._configuration = request.configuration or StateConfiguration()
        self._input = _read(self._texts, request.input)
        self._variables = _object(self._texts, request.variables, "variables")
        self._context = _object(self._texts, request.context, "context")
        self._result: Any = UNSET
        if request.mock is not None and request.mock.result is not None:
            self._result = mocked_result(request.mock, state, self._texts, helpers.models)
        flows, self._step = _compiled(state, self._notes)
        self._answer = TaskAnswer()
        run = _new_run(surroundings, request.role_arn, self._input)
        self._turn = InspectedTurn(flows, run, self._context)

    def run(self) -> Inspected:
        turn, frame = self._turn, self._frame()
        if isinstance(self._state, Fail):
            self._notes.take("afterInputPath", self._input)
        turn.enter(frame)
        if not turn.decided:
            self._work(turn, frame)
        self._notes.close(self._state)
        return self._told(turn)

    def _frame(self) -> Frame:
        variables = Variables(self._variables or {})
        frame = Frame(ROOT, 0, 0, 0, ROOT, (), self._state.name, self._input, variables)
        frame.last_id = frame.events = 1
        used = self._configuration.retrier_retry_count
        frame.retry_count = used
        if used and self._step.retriers:
            frame.retried = [used] * len(self._step.retriers)
        return frame

    # The state's work

    def _work(self, turn: InspectedTurn, frame: Frame) -> None:
        mock = self._request.mock
        step = self._step
        if isinstance(step, TracedDistributedMap):
            self._distributed(turn, frame, step, mock)
        if turn.decided:
            return
        if isinstance(step, TaskStep):
            self._task(turn, frame, step, mock)
        elif mock is not None and mock.error_output is not None:
            turn.fail(step, frame, Failure(mock.error_output.error, mock.error_output.cause))
        else:
            step.succeed(turn, frame, self._result)

    def _distributed(self, turn: InspectedTurn, frame: Frame, step: TracedDistributedMap, mock: Mock | None) -> None:
        """Items that a reader would read, iterations that are said to have failed."""
        config = step.reader_config(frame)
        data = self._configuration.map_item_reader_data
        if config is not None and data is not None:
            step.items_read(turn, frame, self._items(data, config))
        failed = self._configuration.map_iteration_failure_count
        if failed is not None and not turn.decided and (mock is None or mock.error_output is None):
            if step.reader_config(frame) is None and failed > step.items(frame):
                raise Refused("ValidationException", "MapIterationFailureCount cannot exceed the number of items")
            step.count_failures(turn, frame, failed)

    def _items(self, data: str, config: dict[str, Any]) -> list[Any]:
        if self._helpers.read_data is None:
            items = _read(self._texts, data)
            if not isinstance(items, list):
                raise Refused("ValidationException", "MapItemReaderData must be an array")
            return items
        try:
            return self._helpers.read_data(data.encode(), config)
        except ValueError as problem:
            raise Refused("ValidationException", f"MapItemReaderData cannot be read: {problem}") from None

    def _task(self, turn: InspectedTurn, frame: Frame, step: TaskStep, mock: Mock | None) -> None:
        task = turn.task
        assert task is not None
        if mock is None:
            if self._helpers.run_task is None:
                raise Refused("ValidationException", "Without a mock no Task can be tested here")
            answer = self._answer = self._helpers.run_task(task)
        elif mock.error_output is not None:
            answer = TaskAnswer(failed=True, error=mock.error_output.error, cause=mock.error_output.cause)
        else:
            answer = TaskAnswer(output=self._result)
        if answer.failed:
            event = TaskFailed(token=task.token, error=answer.error, cause=answer.cause, classes=answer.classes)
            step.failed(turn, frame, event)
        else:
            step.succeeded(turn, frame, TaskSucceeded(token=task.token, output=answer.output))

    # The answer

    def _told(self, turn: InspectedTurn) -> Inspected:
        left = turn.output is not UNSET
        failure = turn.failure
        return Inspected(
            status=_status(turn),
            output=self._output(turn) if left else None,
            error=None if failure is None else failure.error,
            cause=None if failure is None else failure.cause,
            next_state=turn.following if left else None,
            data=None if self._request.level == "INFO" else self._data(turn),
        )

    def _output(self, turn: InspectedTurn) -> str:
        """What a JSONata expression gives is never the text it came from."""
        state = self._state
        written = isinstance(state, Choice) or state.output is not UNSET or turn.caught
        if state.query_language == "JSONata" and written:
            return json_text(turn.output)
        return self._texts.show(turn.output)

    def _data(self, turn: InspectedTurn) -> dict[str, Any]:
        show = self._texts.show
        values = self._notes.values
        data: dict[str, Any] = {"input": show(self._input)}
        for name in shown(self._state):
            if name in values:
                data[name] = values[name] if name in NUMBERS else show(values[name])
        variables = {**(self._variables or {}), **turn.assigned}
        if variables or self._variables is not None:
            data["variables"] = show(variables)
        details = _error_details(turn)
        if details:
            data["errorDetails"] = details
        if self._request.level == "TRACE":
            data |= _exchange(self._answer)
        return data


def _status(turn: InspectedTurn) -> Status:
    if turn.failure is None:
        return "SUCCEEDED"
    if turn.caught:
        return "CAUGHT_ERROR"
    return "FAILED" if turn.retry_ms is None else "RETRIABLE"


def _error_details(turn: InspectedTurn) -> dict[str, int]:
    """Which Retrier or Catcher answers the error. A Retrier is named also when it has no attempts left."""
    details: dict[str, int] = {}
    if turn.retry_index is not None:
        details["retryIndex"] = turn.retry_index
    if turn.retry_ms is not None:
        details["retryBackoffIntervalSeconds"] = round(turn.retry_ms / 1000)
    if turn.catch_index is not None:
        details["catchIndex"] = turn.catch_index
    return details


def _exchange(answer: TaskAnswer) -> dict[str, Any]:
    """What an HTTP Task sent and got."""
    both = {"request": answer.request, "response": answer.response}
    return {name: msgspec.to_builtins(one) for name, one in both.items() if one is not None}


def _compiled(state: State, notes: Notes) -> tuple[list[CompiledFlow], Step]:
    flow = Flow(pointer="", start_at=state.name, states={state.name: state}, query_language=state.query_language)
    flows = compile_document(Document(flow=flow))
    step = traced(flows[0].steps[state.name], state, notes)
    flows[0].steps[state.name] = step
    return flows, step


def _new_run(surroundings: Surroundings, role_arn: str | None, given: Any) -> RunState:
    execution: dict[str, Any] = {"Id": surroundings.execution_arn, "Name": surroundings.execution_name}
    if role_arn is not None:
        execution["RoleArn"] = role_arn
    machine = {"Id": surroundings.machine_arn, "Name": surroundings.machine_name}
    return RunState(
        started=True,
        sequence=1,
        input=given,
        seed=surroundings.seed,
        context={"Execution": execution, "StateMachine": machine},
        started_ms=surroundings.now_ms,
        next_frame=ROOT + 1,
    )


def _read(texts: SourceTexts, text: str) -> Any:
    try:
        return texts.read(text)
    except ValueError as problem:
        message = f"Invalid State Machine Execution Input: '{problem}'"
        raise Refused("InvalidExecutionInput", message) from None


def _object(texts: SourceTexts, text: str | None, what: str) -> dict[str, Any] | None:
    """The JSON object of a member of the request."""
    if text is None:
        return None
    try:
        value = texts.read(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refused("ValidationException", f"The value of '{what}' must be a valid JSON object")
    return value
