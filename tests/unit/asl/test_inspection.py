"""One state, inspected: what is shown of it, and which requests are refused."""

import json
from typing import Any

import pytest

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
from skylift.engine.item_reader import read_items

SURROUNDINGS = Surroundings(
    execution_arn="arn:aws:states:us-east-1:123456789012:express:machine:run:1",
    execution_name="run",
    machine_arn="arn:aws:states:us-east-1:123456789012:stateMachine:machine",
    machine_name="machine",
    now_ms=0,
    seed=0,
)
PASS = {"Type": "Pass", "End": True}
BRANCH = {"StartAt": "Inner", "States": {"Inner": PASS}}
TASK = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "End": True}
MAP = {"Type": "Map", "ItemProcessor": BRANCH, "End": True}
DISTRIBUTED = {
    **MAP,
    "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **BRANCH},
}
READER = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "k"}}
JSONATA = {"QueryLanguage": "JSONata"}


def inspect(definition: dict[str, Any], value: Any = None, helpers: Helpers | None = None, **more: Any) -> Inspected:
    text = value if isinstance(value, str) else json.dumps({} if value is None else value)
    request = InspectionRequest(definition=json.dumps(definition), input=text, **{"level": "DEBUG", **more})
    return inspect_state(request, SURROUNDINGS, helpers or Helpers())


def refused(definition: dict[str, Any], value: Any = None, **more: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        inspect(definition, value, **more)
    return caught.value.code, caught.value.message


def mocked(result: Any, mode: Any = "NONE") -> Mock:
    return Mock(result=json.dumps(result), field_validation_mode=mode)


def failing(error: str = "Boom") -> Mock:
    return Mock(error_output=MockError(error=error, cause="why"))


def test_a_map_shows_items_selected_inputs_and_batches() -> None:
    selector = {"value.$": "$$.Map.Item.Value", "index.$": "$$.Map.Item.Index"}
    state = {**DISTRIBUTED, "ItemsPath": "$.xs", "ItemSelector": selector, "ItemBatcher": {"MaxItemsPerBatch": 2}}
    state |= {"MaxConcurrency": 1, "ToleratedFailurePercentage": 50, "ResultPath": "$.done"}
    said = inspect(state, '{"xs": [7, 8,9]}', mock=mocked([1]))
    selected = [{"value": 7, "index": 0}, {"value": 8, "index": 1}, {"value": 9, "index": 2}]
    assert said.status == "SUCCEEDED"
    assert said.data is not None
    assert said.data["afterItemsPath"] == "[7, 8,9]"  # as it was written
    assert json.loads(said.data["afterItemSelector"]) == selected
    assert json.loads(said.data["afterItemBatcher"]) == [{"Items": selected[:2]}, {"Items": selected[2:]}]
    assert said.data["maxConcurrency"] == 1
    assert said.data["toleratedFailurePercentage"] == 50
    assert json.loads(said.output or "") == {"xs": [7, 8, 9], "done": [1]}
    assert "result" not in said.data


@pytest.mark.parametrize(
    ("config", "data", "items"),
    [
        (
            {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "a,b\n1,2\n3,4\n",
            [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}],
        ),
        ({"InputType": "JSONL"}, "1\n[2]\n", [1, [2]]),
        ({"InputType": "JSON", "ItemsPointer": "/deep/0"}, '{"deep": [[5, 6]]}', [5, 6]),
        ({"InputType": "JSON", "MaxItems": 1}, "[1, 2, 3]", [1]),
    ],
)
def test_item_reader_data_is_read_as_the_reader_reads_it(config: dict[str, Any], data: str, items: list[Any]) -> None:
    state = {
        **DISTRIBUTED,
        "ItemReader": {**READER, "ReaderConfig": config},
        "ItemSelector": {"i.$": "$$.Map.Item.Value"},
    }
    given = StateConfiguration(map_item_reader_data=data)
    said = inspect(state, helpers=Helpers(read_data=read_items), mock=mocked([]), configuration=given)
    assert said.data is not None
    assert json.loads(said.data["afterItemSelector"]) == [{"i": item} for item in items]
    assert ("afterItemsPointer" in said.data) == ("ItemsPointer" in config)
    assert "afterItemsPath" not in said.data


def test_item_reader_data_that_cannot_be_read_is_refused() -> None:
    state = {**DISTRIBUTED, "ItemReader": {**READER, "ReaderConfig": {"InputType": "JSONL"}}}
    given = StateConfiguration(map_item_reader_data="{")
    with pytest.raises(Refused, match="line 1, is not valid JSON"):
        inspect(state, helpers=Helpers(read_data=read_items), mock=mocked([]), configuration=given)


def test_failed_iterations_count_against_a_percentage_of_the_items() -> None:
    state = {**DISTRIBUTED, "ToleratedFailurePercentage": 50}
    some, most = (StateConfiguration(map_iteration_failure_count=count) for count in (2, 3))
    assert inspect(state, [1, 2, 3, 4], mock=mocked([]), configuration=some).status == "SUCCEEDED"
    said = inspect(state, [1, 2, 3, 4], mock=mocked([]), configuration=most)
    assert (said.status, said.error) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    too_many = StateConfiguration(map_iteration_failure_count=5)
    assert refused(state, [1, 2, 3, 4], mock=mocked([]), configuration=too_many)[0] == "ValidationException"


def test_an_inline_map_of_nothing_and_a_failing_selector() -> None:
    assert inspect(MAP, [], mock=mocked([1])).output == "[1]"
    said = inspect({**MAP, "ItemSelector": {"x.$": "$.missing"}}, [1], mock=mocked([1]))
    assert (said.status, said.error) == ("FAILED", "States.Runtime")


def test_variables_are_shown_after_assign_and_seen_by_expressions() -> None:
    state = {**PASS, **JSONATA, "Output": "{% $x + 1 %}", "Assign": {"y": "{% $x %}"}}
    said = inspect(state, variables='{"x": 4}')
    assert said.output == "5"
    assert said.data is not None
    assert json.loads(said.data["variables"]) == {"x": 4, "y": 4}
    assert "variables" not in (inspect(PASS).data or {})


def test_a_jsonata_task_shows_arguments_and_result() -> None:
    state = {**TASK, **JSONATA, "Arguments": {"QueueUrl": "q", "MessageBody": "{% $states.input.m %}"}}
    said = inspect(state, {"m": "hi"}, mock=mocked({"MessageId": "1"}))
    assert said.data == {
        "input": '{"m": "hi"}',
        "afterArguments": '{"QueueUrl":"q","MessageBody":"hi"}',
        "result": '{"MessageId": "1"}',
    }


def test_what_jsonata_makes_is_compact_and_what_passes_is_as_it_came() -> None:
    assert inspect({**PASS, **JSONATA}, '{"a": [1,  2]}').output == '{"a": [1,  2]}'
    assert inspect({**PASS, **JSONATA, "Output": "{% $states.input.a %}"}, '{"a": [1,  2]}').output == "[1,2]"
    assert inspect({**PASS, "InputPath": "$.a"}, '{"a": [1,  2]}').output == "[1,  2]"


def test_a_used_up_retrier_is_named_beside_the_catcher() -> None:
    state = {**TASK, "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]}
    state["Catch"] = [{"ErrorEquals": ["Other"], "Next": "A"}, {"ErrorEquals": ["States.ALL"], "Next": "B"}]
    said = inspect(state, mock=failing(), configuration=StateConfiguration(retrier_retry_count=2))
    assert (said.status, said.next_state) == ("CAUGHT_ERROR", "B")
    assert (said.error, said.cause) == ("Boom", "why")
    assert said.data is not None
    assert said.data["errorDetails"] == {"retryIndex": 0, "catchIndex": 1}
    assert json.loads(said.output or "") == {"Error": "Boom", "Cause": "why"}


def test_a_wait_does_not_wait_and_a_choice_may_match_nothing() -> None:
    said = inspect({"Type": "Wait", "Seconds": 99, "Next": "B"}, {"a": 1})
    assert (said.status, said.next_state, said.output) == ("SUCCEEDED", "B", '{"a": 1}')
    rule = {"Variable": "$.a", "NumericEquals": 2, "Next": "B"}
    said = inspect({"Type": "Choice", "Choices": [rule]}, {"a": 1})
    assert (said.status, said.error) == ("FAILED", "States.NoChoiceMatched")


def test_a_task_that_runs_is_given_its_arguments_and_tells_of_http_in_trace() -> None:
    asked = []

    def run_task(task: Any) -> TaskAnswer:
        asked.append((task.resource, task.arguments, task.timeout_ms))
        sent = HttpRequest(protocol="https", method="GET", url="https://example.com/")
        got = HttpResponse(protocol="https", status_code="200", status_message="OK", body="{}")
        return TaskAnswer(output={"ok": True}, request=sent, response=got)

    state = {**TASK, "Parameters": {"n.$": "$.n"}, "TimeoutSeconds": 9}
    said = inspect(state, {"n": 1}, Helpers(run_task=run_task), level="TRACE")
    assert asked == [("arn:aws:states:::sqs:sendMessage", {"n": 1}, 9000)]
    assert said.output == '{"ok":true}'
    assert said.data is not None
    assert said.data["request"] == {"protocol": "https", "method": "GET", "url": "https://example.com/"}
    assert said.data["response"] == {"protocol": "https", "statusCode": "200", "statusMessage": "OK", "body": "{}"}
    assert "request" not in (inspect(state, {"n": 1}, Helpers(run_task=run_task)).data or {})


def test_a_given_context_is_the_whole_context() -> None:
    state = {**TASK, "ResultSelector": {"all.$": "$$"}}
    said = inspect(state, mock=mocked({}), context='{"State": {"Name": "mine"}}')
    assert json.loads(said.output or "") == {"all": {"State": {"Name": "mine"}}}


def test_a_state_is_found_at_any_depth_of_a_definition() -> None:
    definition = {"StartAt": "Outer", "States": {"Outer": {"Type": "Parallel", "Branches": [BRANCH], "End": True}}}
    assert inspect(definition, {"a": 1}, state_name="Inner").status == "SUCCEEDED"
    assert refused(definition, state_name="Nowhere") == ("ValidationException", "State not found in definition")


@pytest.mark.parametrize("kind", ["Map", "Parallel"])
def test_a_fan_needs_a_mock(kind: str) -> None:
    state = MAP if kind == "Map" else {"Type": "Parallel", "Branches": [BRANCH], "End": True}
    code, message = refused(state, [])
    assert code == "InvalidDefinition"
    assert message.startswith("TestState API does not support Map or Parallel states. Supported state types include: ")
    assert refused(state, [], mock=mocked({})) == ("ValidationException", "Mocked result must be an array.")
    said = inspect(state, [], mock=failing(), configuration=StateConfiguration(error_caused_by_state="Inner"))
    assert (said.status, said.error) == ("FAILED", "Boom")
    caused = StateConfiguration(error_caused_by_state="Nowhere")
    assert "Nowhere" in refused(state, [], mock=failing(), configuration=caused)[1]


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:us-east-1:123456789012:activity:a",
        "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "arn:aws:states:::states:startExecution.sync:2",
    ],
)
def test_what_waits_for_others_needs_a_mock(resource: str) -> None:
    assert refused({**TASK, "Resource": resource})[0] == "InvalidDefinition"
    assert inspect({**TASK, "Resource": resource}, mock=mocked(1)).output == "1"


@pytest.mark.parametrize(
    "state",
    [
        PASS,
        {"Type": "Succeed"},
        {"Type": "Fail"},
        {"Type": "Wait", "Seconds": 1, "End": True},
        {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "B"}]},
    ],
    ids=lambda state: state["Type"],
)
def test_states_without_work_take_no_mock(state: dict[str, Any]) -> None:
    expected = f"State type '{state['Type']}' is not supported when a mock is specified"
    assert refused(state, mock=mocked(1)) == ("ValidationException", expected)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"mock": Mock()}, "one of the following fields"),
        ({"mock": Mock(result="1", error_output=MockError(error="E"))}, "only one of the following fields"),
        ({"mock": Mock(result="{")}, "valid JSON"),
        ({"mock": Mock(result="1"), "reveal_secrets": True}, "RevealSecrets"),
        ({"context": "{}"}, "mock"),
        ({"configuration": StateConfiguration(map_iteration_failure_count=1)}, "mock"),
        ({"mock": Mock(result="1"), "context": "[]"}, "'context' must be a valid JSON object"),
        ({"mock": Mock(result="1"), "variables": "nope"}, "'variables' must be a valid JSON object"),
        ({"mock": Mock(result="1"), "configuration": StateConfiguration(error_caused_by_state="x")}, "errorOutput"),
        ({"mock": failing(), "configuration": StateConfiguration(error_caused_by_state="x")}, "Map or Parallel"),
        ({}, "no Task"),
    ],
)
def test_requests_that_cannot_be_carried_out(more: dict[str, Any], words: str) -> None:
    code, message = refused(TASK, **more)
    assert code == "ValidationException"
    assert words in message


def test_input_and_definition_that_cannot_be_read() -> None:
    assert refused(PASS, "{not json")[0] == "InvalidExecutionInput"
    code, message = refused({"Type": "Pass", "Nxt": "B"})
    assert code == "InvalidDefinition"
    assert "Field 'Nxt' is not supported at /" in message
    assert refused({"Type": "Sing"})[0] == "InvalidDefinition"


@pytest.mark.parametrize("depth", [100, 5_000])
def test_deep_input_is_an_answer(depth: int) -> None:
    text = "[" * depth + "]" * depth
    if depth > 1_000:
        assert refused(PASS, text)[0] == "InvalidExecutionInput"
    else:
        assert inspect(PASS, text).output == text
