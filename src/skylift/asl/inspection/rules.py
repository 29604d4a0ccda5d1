"""Which requests TestState accepts: what a mock may be, for which states, and what needs one."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from skylift.asl.document import Map, Parallel, State, Task
from skylift.asl.inspection.request import InspectionRequest, Mock, Refused, ResultModels
from skylift.asl.inspection.source import SourceTexts
from skylift.asl.inspection.subject import INVALID_DEFINITION, flows_of, states_within
from skylift.asl.resources import read_resource

_UNMOCKED = (
    "TestState API does not support {what}. Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]"
)


def check_request(request: InspectionRequest, state: State) -> None:
    """Raises Refused."""
    mock = request.mock
    if mock is None:
        _check_without_mock(request, state)
    else:
        _check_mock(request, mock, state)
    caused_by = request.configuration.error_caused_by_state if request.configuration is not None else None
    if caused_by is not None:
        _check_caused_by(caused_by, mock, state)


def mocked_result(mock: Mock, state: State, texts: SourceTexts, models: ResultModels | None) -> Any:
    """The result that the mock gives. Raises Refused for one that the state could not have."""
    assert mock.result is not None
    try:
        result = texts.read(mock.result)
    except ValueError:
        raise _refused("Mocked result must be valid JSON") from None
    if isinstance(state, Map | Parallel):
        _check_collected(result, state)
    elif isinstance(state, Task) and models is not None and mock.field_validation_mode != "NONE":
        required = mock.field_validation_mode == "STRICT"
        problem = models.problem(read_resource(state.resource), result, required=required)
        if problem is not None:
            raise _refused(f"Mock result schema validation error: {problem}")
    return result


def _check_without_mock(request: InspectionRequest, state: State) -> None:
    if isinstance(state, Map | Parallel):
        raise Refused(INVALID_DEFINITION, _UNMOCKED.format(what="Map or Parallel states"))
    if isinstance(state, Task):
        resource = read_resource(state.resource)
        if resource.family == "Activity":
            raise Refused(INVALID_DEFINITION, _UNMOCKED.format(what="Activity tasks"))
        if resource.submits:
            what = "the .sync and .waitForTaskToken service integration patterns"
            raise Refused(INVALID_DEFINITION, _UNMOCKED.format(what=what))
    if request.context is not None:
        raise _refused("Context can only be specified when a mock is specified")
    configuration = request.configuration
    if configuration is not None and configuration.map_iteration_failure_count is not None:
        raise _refused("MapIterationFailureCount can only be specified when a mock is specified")


def _check_mock(request: InspectionRequest, mock: Mock, state: State) -> None:
    if not isinstance(state, Task | Map | Parallel):
        raise _refused(f"State type '{type(state).__name__}' is not supported when a mock is specified")
    if mock.result is not None and mock.error_output is not None:
        raise _refused("A test mock should have only one of the following fields: [result, errorOutput].")
    if mock.result is None and mock.error_output is None:
        raise _refused("A test mock should have one of the following fields: [result, errorOutput].")
    if request.reveal_secrets:
        raise _refused("TestState does not support RevealSecrets when a mock is specified.")


def _check_caused_by(name: str, mock: Mock | None, state: State) -> None:
    if mock is None or mock.error_output is None:
        raise _refused("ErrorCausedByState can only be specified when an errorOutput is mocked")
    if not isinstance(state, Map | Parallel):
        raise _refused("ErrorCausedByState can only be specified for a Map or Parallel state")
    if all(inner.name != name for inner in states_within(flows_of(state))):
        raise _refused(f"State '{name}' not found in the Map or Parallel state under test")


def _check_collected(result: Any, state: Map | Parallel) -> None:
    """A list of what the iterations or branches gave; an object where a ResultWriter keeps that elsewhere."""
    if isinstance(state, Map) and state.result_writer is not UNSET and state.result_writer.resource is not UNSET:
        if not isinstance(result, dict):
            raise _refused("Mocked result must be a JSON object.")
    elif not isinstance(result, list):
        raise _refused("Mocked result must be an array.")


def _refused(message: str) -> Refused:
    return Refused("ValidationException", message)
