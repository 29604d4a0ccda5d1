"""What TestState says of a state is what the state does in a run."""

import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.asl.events import TimerFired
from skylift.asl.inspection.inspect import Helpers, Inspected, inspect_state
from skylift.asl.inspection.request import (
    InspectionRequest,
    Mock,
    MockError,
    StateConfiguration,
    Surroundings,
)
from skylift.asl.limits import SERVICE
from skylift.asl.parse import load
from skylift.testing.virtual import START_MS, TaskError, VirtualRun

ARN = "arn:aws:states:us-east-1:123456789012"
SURROUNDINGS = Surroundings(
    execution_arn=f"{ARN}:express:machine:run:1",
    execution_name="run",
    machine_arn=f"{ARN}:stateMachine:machine",
    machine_name="machine",
    now_ms=START_MS,
    seed=7,
)
CONTEXT = {
    "Execution": {"Id": SURROUNDINGS.execution_arn, "Name": "run"},
    "StateMachine": {"Id": SURROUNDINGS.machine_arn, "Name": "machine"},
}
LIMITS = msgspec.structs.replace(SERVICE, express_run_ms=None)  # the only timers are the retries' and waits'
NAME = "StateName"  # what TestState calls a state that stands alone

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "2026-01-01T00:00:05Z"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
paths = st.sampled_from(["$", "$.a", "$.b.a", "$.a[0]", "$.c", "$$.State.Name", "$$.State.RetryCount"])
places = st.sampled_from(["$", "$.a", "$.new.inner", None])
templates = st.dictionaries(
    st.sampled_from(["p.$", "q.$", "r.$"]), paths | st.just("States.Array($.a, 1)"), min_size=1, max_size=2
) | st.dictionaries(st.sampled_from("pq"), values, max_size=2)
expressions = st.sampled_from(
    [
        "{% $states.input %}",
        "{% $states.input.a %}",
        "{% $states.input.a + 1 %}",
        "{% $states.context.State.Name %}",
        "{% {'x': [1, $states.input.b]} %}",
        "{% $nothing %}",
        "text",
    ]
)
errors = st.sampled_from(["Boom", "States.Timeout", "States.TaskFailed", "Custom.Error"])
NEXT = st.sampled_from([{"End": True}, {"Next": "After"}])


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def merged(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda made: {name: value for part in made for name, value in part.items()})


inputs_and_outputs = optional(
    InputPath=paths.filter(lambda path: path != "$") | st.none(), OutputPath=paths | st.none()
)
assign = optional(Assign=templates)
jsonata = merged(st.just({"QueryLanguage": "JSONata"}), optional(Output=expressions, Assign=st.just({"v": "{% 1 %}"})))

passes = merged(
    st.just({"Type": "Pass"}),
    NEXT,
    inputs_and_outputs,
    assign,
    optional(Parameters=templates, Result=values, ResultPath=places),
) | merged(st.just({"Type": "Pass"}), NEXT, jsonata)
waits = merged(
    st.sampled_from([{"Seconds": 3}, {"SecondsPath": "$.a"}, {"TimestampPath": "$.b"}]),
    st.just({"Type": "Wait"}),
    NEXT,
    inputs_and_outputs,
    assign,
) | merged(st.just({"Type": "Wait", "Seconds": "{% $states.input.a %}"}), NEXT, jsonata)
ends = (
    merged(st.just({"Type": "Succeed"}), inputs_and_outputs)
    | st.just({"Type": "Fail", "ErrorPath": "$.a", "Cause": "why"})
    | st.just({"Type": "Fail", "QueryLanguage": "JSONata", "Error": "{% $states.input.a %}"})
)
choices = merged(
    st.fixed_dictionaries(
        {
            "Type": st.just("Choice"),
            "Choices": st.lists(
                st.sampled_from(
                    [
                        {"Variable": "$.a", "NumericGreaterThan": 2, "Next": "After"},
                        {"Variable": "$.a", "IsPresent": True, "Next": "Other"},
                        {"Not": {"Variable": "$.b", "IsNull": True}, "Next": "Other", "Assign": {"w.$": "$.b"}},
                    ]
                ),
                min_size=1,
                max_size=2,
            ),
        }
    ),
    inputs_and_outputs,
    optional(Default=st.just("After")),
)
retriers = st.lists(
    st.fixed_dictionaries(
        {"ErrorEquals": st.lists(errors, min_size=1, max_size=2, unique=True)},
        optional={
            "MaxAttempts": st.integers(0, 3),
            "IntervalSeconds": st.integers(1, 5),
            "BackoffRate": st.sampled_from([1.0, 1.5, 2.0]),
            "MaxDelaySeconds": st.integers(6, 9),
        },
    ),
    max_size=2,
)
catchers = st.lists(
    st.fixed_dictionaries(
        {
            "ErrorEquals": st.lists(errors, min_size=1, max_size=2, unique=True),
            "Next": st.sampled_from(["After", "Other"]),
        },
        optional={"ResultPath": places},
    ),
    max_size=2,
)
tasks = merged(
    st.just({"Type": "Task", "Resource": "arn:aws:states:::skylift:work"}),
    NEXT,
    inputs_and_outputs,
    assign,
    optional(Parameters=templates, ResultSelector=templates, ResultPath=places),
    optional(Retry=retriers, Catch=catchers),
)


def inspect(state: dict[str, Any], value: Any, mock: Mock | None = None, used: int = 0) -> Inspected:
    request = InspectionRequest(
        definition=json.dumps(state),
        input=json.dumps(value),
        level="TRACE",
        mock=mock,
        configuration=StateConfiguration(retrier_retry_count=used) if used else None,
    )
    return inspect_state(request, SURROUNDINGS, Helpers())


def run(state: dict[str, Any], value: Any, work: Any = None) -> VirtualRun:
    others = {"After": {"Type": "Succeed"}, "Other": {"Type": "Succeed"}}
    text = json.dumps(state)  # a document has no states that are not reached
    document = {
        "StartAt": NAME,
        "States": {NAME: state} | {name: others[name] for name in others if f'"{name}"' in text},
    }
    made = VirtualRun(load(document), {"work": work} if work else {}, limits=LIMITS, seed=7, context=CONTEXT)
    return made.run(value)


def agrees(said: Inspected, made: VirtualRun) -> None:
    own = [event for event in made.history if event.details.get("name") != "Inner"]
    left = next((event for event in own if event.type.endswith("StateExited")), None)
    if said.status in ("SUCCEEDED", "CAUGHT_ERROR"):
        assert left is not None, (said, made.error, made.cause)
        assert json.loads(said.output or "") == left.details["output"]
        entered = [event.details["name"] for event in own if event.type.endswith("StateEntered")]
        assert entered[1:] == ([] if said.next_state is None else [said.next_state])
    else:
        assert said.status == "FAILED"
        assert left is None
        assert (said.error, said.cause) == (made.error, made.cause)


@settings(max_examples=150, deadline=None)
@given(state=passes | waits | ends | choices, value=values)
def test_states_that_do_no_work(state: dict[str, Any], value: Any) -> None:
    agrees(inspect(state, value), run(state, value))


@settings(max_examples=100, deadline=None)
@given(state=tasks, value=values, result=values)
def test_a_task_with_a_result(state: dict[str, Any], value: Any, result: Any) -> None:
    made = run(state, value, lambda arguments: result)
    retried_alike(state, value, Mock(result=json.dumps(result)), made)


@settings(max_examples=100, deadline=None)
@given(state=tasks, value=values, error=errors)
def test_a_task_that_fails_every_time(state: dict[str, Any], value: Any, error: str) -> None:
    def work(arguments: Any) -> Any:
        raise TaskError(error, "because")

    mock = Mock(error_output=MockError(error=error, cause="because"))
    retried_alike(state, value, mock, run(state, value, work))


def retried_alike(state: dict[str, Any], value: Any, mock: Mock, made: VirtualRun) -> None:
    """Each retry that TestState tells of, with its delay, is one that the run makes; then it ends as the run does."""
    delays: list[int] = []
    said = inspect(state, value, mock)
    while said.status == "RETRIABLE":
        assert said.data is not None
        delays.append(said.data["errorDetails"]["retryBackoffIntervalSeconds"])
        said = inspect(state, value, mock, used=len(delays))
    fired = [at_ms for at_ms, event in made.journal if isinstance(event, TimerFired)]
    assert delays == [round((at - before) / 1000) for before, at in pairwise([START_MS, *fired])]
    agrees(said, made)


selectors = st.dictionaries(
    st.sampled_from(["v.$", "i.$", "all.$"]),
    st.sampled_from(["$$.Map.Item.Value", "$$.Map.Item.Index", "$"]),
    min_size=1,
)
INNER = {"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "End": True}}}
maps = merged(
    st.sampled_from([{}, {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}]).map(
        lambda config: {"Type": "Map", "ItemProcessor": {**config, **INNER}}
    ),
    NEXT,
    optional(ItemSelector=selectors, ItemsPath=st.sampled_from(["$.a", "$"]), MaxConcurrency=st.integers(0, 2)),
    optional(ResultSelector=st.just({"n.$": "States.ArrayLength($)"}), ResultPath=places, OutputPath=paths),
)


@settings(max_examples=100, deadline=None)
@given(
    state=maps, value=st.lists(values, max_size=4) | st.fixed_dictionaries({"a": st.lists(values, max_size=4)}) | values
)
def test_a_map_whose_mock_is_what_its_iterations_give(state: dict[str, Any], value: Any) -> None:
    """Every iteration's input is seen, and the state makes of their results what it makes in a run."""
    made = run(state, value)
    given_inputs = [event.details["input"] for event in made.history if event.details.get("name") == "Inner"
                    and event.type == "PassStateEntered"]  # fmt: skip
    said = inspect(state, value, Mock(result=json.dumps(given_inputs)))
    agrees(said, made)
    assert said.data is not None
    if made.status == "SUCCEEDED" and "ItemSelector" in state and given_inputs:
        assert json.loads(said.data["afterItemSelector"]) == given_inputs
    if made.status == "SUCCEEDED" and "ItemSelector" not in state:
        assert json.loads(said.data["afterItemsPath"]) == given_inputs
