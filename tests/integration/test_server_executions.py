"""Executions through boto3: start, stop, describe, list, and what belongs to another account."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from server_harness import ROLE, RunningServer, create, ended, history, refusal

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Bad", "Cause": "it was"}}}
HEAD = "arn:aws:states:us-east-1:123456789012"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Any:
    return server.client()


def members(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


# -- start -------------------------------------------------------------------------------------------------------------


def test_a_start_gives_arn_and_date_and_a_description_of_the_end(client: Any) -> None:
    machine = create(client, "first", PASS)
    started = client.start_execution(stateMachineArn=machine, name="one", input='{ "a" : 1 }')
    arn = f"{HEAD}:execution:first:one"
    assert started["executionArn"] == arn
    found = members(ended(client, arn))
    assert found["stopDate"] >= found["startDate"] == started["startDate"]
    del found["startDate"], found["stopDate"]
    assert found == {
        "executionArn": arn,
        "stateMachineArn": machine,
        "name": "one",
        "status": "SUCCEEDED",
        "input": '{ "a" : 1 }',
        "inputDetails": {"included": True},
        "output": '{"a":1}',
        "outputDetails": {"included": True},
        "redriveCount": 0,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
    }
    assert history(client, arn)[0]["executionStartedEventDetails"]["input"] == '{ "a" : 1 }'


def test_a_name_is_made_up_and_an_input_is_an_empty_object_where_none_is_given(client: Any) -> None:
    machine = create(client, "unnamed", PASS)
    one, other = (client.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(2))
    assert one != other
    assert len(one.rpartition(":")[2]) == 36
    assert ended(client, one)["input"] == "{}"


def test_the_same_start_again_is_the_same_while_it_runs(client: Any) -> None:
    machine = create(client, "again", WAIT)
    start = {"stateMachineArn": machine, "name": "n", "input": '{"a":1,"b":2}'}
    first = client.start_execution(**start)
    again = client.start_execution(**{**start, "input": '{"b": 2, "a": 1}'})
    assert members(again) == members(first)
    taken = ("ExecutionAlreadyExists", f"Execution Already Exists: '{HEAD}:execution:again:n'")
    assert refusal(client.start_execution, **{**start, "input": "{}"}) == taken
    client.stop_execution(executionArn=first["executionArn"])
    assert refusal(client.start_execution, **start) == taken


def test_names_that_are_none(client: Any) -> None:
    machine = create(client, "names", PASS)
    for name in ("a b", "a/b", "a:b", "a*", "tab\t", "x" * 81):
        code, message = refusal(client.start_execution, stateMachineArn=machine, name=name)
        assert code in ("InvalidName", "ValidationException"), name
        assert name in message
    assert client.start_execution(stateMachineArn=machine, name="größe.-_" + "x" * 72)["executionArn"]


def test_inputs_that_are_no_json_or_too_large(client: Any) -> None:
    machine = create(client, "inputs", PASS)
    code, message = refusal(client.start_execution, stateMachineArn=machine, input="hello")
    assert code == "InvalidExecutionInput"
    assert message.startswith("Invalid State Machine Execution Input: 'Unrecognized token 'hello': was expecting")
    for text in ("", "{", '{"a":1,}', "NaN", "[" * 5_000, '{"a": 1} 2'):
        assert refusal(client.start_execution, stateMachineArn=machine, input=text)[0] == "InvalidExecutionInput"
    for text in ('"' + "x" * 262_143 + '"', '"' + "é" * 131_072 + '"'):
        code, message = refusal(client.start_execution, stateMachineArn=machine, input=text)
        assert code == "ValidationException"
        assert message == (
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            "Member must have length less than or equal to 262144"
        )
    largest = '"' + "x" * 262_142 + '"'
    execution = client.start_execution(stateMachineArn=machine, input=largest)["executionArn"]
    assert ended(client, execution)["output"] == largest


@pytest.mark.parametrize("value", ["null", "true", '"text"', "1.5", "[1,2]", '{"a":{"b":[]}}'])
def test_any_json_is_an_input(client: Any, value: str) -> None:
    machine = create(client, "values", PASS)
    execution = client.start_execution(stateMachineArn=machine, input=value)["executionArn"]
    assert ended(client, execution)["output"] == value


def test_machines_that_there_are_not(client: Any) -> None:
    for arn in (f"{HEAD}:stateMachine:missing", f"{HEAD}:stateMachine:missing:3", f"{HEAD}:stateMachine:missing:LIVE"):
        expected = ("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        assert refusal(client.start_execution, stateMachineArn=arn) == expected
    assert refusal(client.start_execution, stateMachineArn="nonsense")[0] == "InvalidArn"
    assert refusal(client.start_execution, stateMachineArn=f"{HEAD}:execution:m:n")[0] == "InvalidArn"
    labelled = refusal(client.start_execution, stateMachineArn=f"{HEAD}:stateMachine:m/label")
    assert labelled == ("ValidationException", "This API does not support labeled ARNs")


def test_a_start_sees_an_update_that_was_answered_before(client: Any) -> None:
    machine = create(client, "updated", PASS)
    for number in range(20):
        definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": number, "End": True}}}
        client.update_state_machine(stateMachineArn=machine, definition=json.dumps(definition))
        execution = client.start_execution(stateMachineArn=machine)["executionArn"]
        assert ended(client, execution)["output"] == str(number)


def test_versions_and_aliases_start_what_they_name_and_stay_on_the_execution(client: Any) -> None:
    machine = create(client, "versioned", FAIL)
    version = client.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
    client.update_state_machine(stateMachineArn=machine, definition=json.dumps(PASS))
    alias = client.create_state_machine_alias(
        name="LIVE", routingConfiguration=[{"stateMachineVersionArn": version, "weight": 100}]
    )["stateMachineAliasArn"]
    by_machine, by_version, by_alias = (
        ended(client, client.start_execution(stateMachineArn=arn)["executionArn"]) for arn in (machine, version, alias)
    )
    assert by_machine["status"] == "SUCCEEDED"
    assert "stateMachineVersionArn" not in by_machine
    assert (by_version["status"], by_version["stateMachineVersionArn"]) == ("FAILED", version)
    assert "stateMachineAliasArn" not in by_version
    assert (by_alias["stateMachineVersionArn"], by_alias["stateMachineAliasArn"]) == (version, alias)
    assert by_alias["stateMachineArn"] == machine
    started = history(client, by_alias["executionArn"])[0]["executionStartedEventDetails"]
    assert (started["stateMachineVersionArn"], started["stateMachineAliasArn"]) == (version, alias)
    names = [item["name"] for item in client.list_executions(stateMachineArn=machine)["executions"]]
    assert names == [by_alias["name"], by_version["name"], by_machine["name"]]
    listed = client.list_executions(stateMachineArn=version)["executions"]
    assert [item["name"] for item in listed] == [by_alias["name"], by_version["name"]]
    listed = client.list_executions(stateMachineArn=alias)["executions"]
    assert [item["name"] for item in listed] == [by_alias["name"]]
    assert (listed[0]["stateMachineVersionArn"], listed[0]["stateMachineAliasArn"]) == (version, alias)


def test_a_trace_header_is_kept(client: Any) -> None:
    machine = create(client, "traced", PASS)
    header = "Root=1-5759e988-bd862e3fe1be46a994272793"
    execution = client.start_execution(stateMachineArn=machine, traceHeader=header)["executionArn"]
    assert client.describe_execution(executionArn=execution)["traceHeader"] == header


# -- stop and describe -------------------------------------------------------------------------------------------------


def test_a_stop_ends_an_execution_with_what_it_says(client: Any) -> None:
    machine = create(client, "stopped", WAIT)
    execution = client.start_execution(stateMachineArn=machine)["executionArn"]
    assert client.describe_execution(executionArn=execution)["status"] == "RUNNING"
    stopped = client.stop_execution(executionArn=execution, error="Enough", cause="of it")
    found = client.describe_execution(executionArn=execution)
    assert (found["status"], found["error"], found["cause"]) == ("ABORTED", "Enough", "of it")
    assert stopped["stopDate"] == found["stopDate"]
    assert found["redriveStatus"] == "REDRIVABLE"
    assert history(client, execution)[-1]["executionAbortedEventDetails"] == {"error": "Enough", "cause": "of it"}
    assert members(client.stop_execution(executionArn=execution)) == members(stopped)


def test_a_failure_has_error_and_cause_and_no_output(client: Any) -> None:
    machine = create(client, "failed", FAIL)
    found = ended(client, client.start_execution(stateMachineArn=machine)["executionArn"])
    assert (found["status"], found["error"], found["cause"]) == ("FAILED", "Bad", "it was")
    assert not {"output", "outputDetails", "redriveStatusReason"} & found.keys()


def test_metadata_only_leaves_the_data_out(client: Any) -> None:
    machine = create(client, "metadata", PASS)
    execution = client.start_execution(stateMachineArn=machine, input='{"secret": 1}')["executionArn"]
    ended(client, execution)
    found = members(client.describe_execution(executionArn=execution, includedData="METADATA_ONLY"))
    assert found["status"] == "SUCCEEDED"
    assert not {"input", "inputDetails", "output", "outputDetails"} & found.keys()


def test_executions_that_there_are_not(client: Any) -> None:
    create(client, "known", PASS)
    missing = f"{HEAD}:execution:known:nothing"
    for call in (client.describe_execution, client.stop_execution, client.get_execution_history, client.list_map_runs):
        expected = ("ExecutionDoesNotExist", f"Execution Does Not Exist: '{missing}'")
        assert refusal(call, executionArn=missing) == expected
        assert refusal(call, executionArn="x")[0] == "InvalidArn"
        other = refusal(call, executionArn=f"{HEAD}:express:known:n:1")
        assert other == ("InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'")


# -- list --------------------------------------------------------------------------------------------------------------


def test_lists_by_status_page_by_page(client: Any) -> None:
    machine = create(client, "listed", WAIT)
    names = [f"n{number}" for number in range(7)]
    for name in names:
        client.start_execution(stateMachineArn=machine, name=name)
        time.sleep(0.002)
    client.stop_execution(executionArn=f"{HEAD}:execution:listed:n3")
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine, PaginationConfig={"PageSize": 3})
    assert [item["name"] for page in pages for item in page["executions"]] == names[::-1]
    running = client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    assert [item["name"] for item in running] == [name for name in names[::-1] if name != "n3"]
    (aborted,) = client.list_executions(stateMachineArn=machine, statusFilter="ABORTED")["executions"]
    stopped = client.describe_execution(executionArn=aborted["executionArn"])
    shown = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate", "redriveCount")
    assert aborted == {name: stopped[name] for name in shown}


def test_a_page_token_is_of_one_listing(client: Any) -> None:
    machine, other = create(client, "tokens", PASS), create(client, "tokens-other", PASS)
    for _ in range(3):
        client.start_execution(stateMachineArn=machine)
    token = client.list_executions(stateMachineArn=machine, maxResults=1)["nextToken"]
    wrong = ("InvalidToken", "Invalid Token: 'Invalid token'")
    assert refusal(client.list_executions, stateMachineArn=other, nextToken=token) == wrong
    assert refusal(client.list_executions, stateMachineArn=machine, statusFilter="FAILED", nextToken=token) == wrong
    assert refusal(client.list_executions, stateMachineArn=machine, nextToken="x") == wrong
    assert len(client.list_executions(stateMachineArn=machine, nextToken=token)["executions"]) == 2


def test_listings_that_cannot_be(client: Any) -> None:
    machine = create(client, "unlistable", PASS, type="EXPRESS")
    unsupported = ("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine")
    assert refusal(client.list_executions, stateMachineArn=machine) == unsupported
    assert refusal(client.list_executions)[0] == "ValidationException"
    standard = create(client, "listable", PASS)
    asked = {"stateMachineArn": standard, "statusFilter": "PENDING_REDRIVE"}
    assert refusal(client.list_executions, **asked)[0] == "ValidationException"
    assert refusal(client.list_executions, stateMachineArn=f"{standard}:7")[0] == "StateMachineDoesNotExist"
    asked = {"stateMachineArn": standard, "maxResults": 1001}
    assert refusal(client.list_executions, **asked)[0] == "ValidationException"


# -- express -----------------------------------------------------------------------------------------------------------


def test_a_sync_start_is_answered_with_the_end(client: Any) -> None:
    machine = create(client, "sync", PASS, type="EXPRESS")
    answer = members(client.start_sync_execution(stateMachineArn=machine, name="s", input='{"a": 1}'))
    assert answer.pop("stopDate") >= answer.pop("startDate")
    arn = answer.pop("executionArn")
    assert arn.startswith(f"{HEAD}:express:sync:s:")
    assert answer == {
        "stateMachineArn": machine,
        "name": "s",
        "status": "SUCCEEDED",
        "input": '{"a": 1}',
        "inputDetails": {"included": True},
        "output": '{"a":1}',
        "outputDetails": {"included": True},
        "billingDetails": {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": 100},
    }
    again = client.start_sync_execution(stateMachineArn=machine, name="s", input="{}")
    assert (again["status"], again["executionArn"] == arn) == ("SUCCEEDED", False)


def test_a_sync_failure_is_an_answer_too(client: Any) -> None:
    answer = client.start_sync_execution(stateMachineArn=create(client, "sync-failed", FAIL, type="EXPRESS"))
    assert (answer["status"], answer["error"], answer["cause"]) == ("FAILED", "Bad", "it was")
    assert "output" not in answer
    machine = create(client, "sync-metadata", PASS, type="EXPRESS")
    answer = client.start_sync_execution(stateMachineArn=machine, includedData="METADATA_ONLY")
    assert not {"input", "output"} & answer.keys()


def test_boto3_leaves_its_host_prefix_away_when_told_so_by_the_environment(
    server: RunningServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    plain = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1").client(
        "stepfunctions", endpoint_url=server.url
    )
    machine = create(client, "sync-plain", PASS, type="EXPRESS")
    assert plain.start_sync_execution(stateMachineArn=machine)["status"] == "SUCCEEDED"


def test_a_standard_machine_cannot_be_started_sync(client: Any) -> None:
    unsupported = ("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine")
    assert refusal(client.start_sync_execution, stateMachineArn=create(client, "standard", PASS)) == unsupported


def test_an_express_execution_is_started_and_forgotten(client: Any) -> None:
    machine = create(client, "express", PASS, type="EXPRESS")
    one, other = (client.start_execution(stateMachineArn=machine, name="e")["executionArn"] for _ in range(2))
    assert one != other
    assert one.startswith(f"{HEAD}:express:express:e:")
    assert refusal(client.describe_execution, executionArn=one)[0] == "InvalidArn"


# -- accounts ----------------------------------------------------------------------------------------------------------


def test_accounts_see_nothing_of_each_other(tmp_path: Any) -> None:
    with RunningServer(tmp_path) as running:
        mine, theirs = running.client(key=running.key("111111111111")), running.client(key=running.key("222222222222"))
        machine = create(mine, "m", WAIT)
        execution = mine.start_execution(stateMachineArn=machine, name="e")["executionArn"]
        assert execution == "arn:aws:states:us-east-1:111111111111:execution:m:e"
        assert refusal(theirs.describe_execution, executionArn=execution)[0] == "ExecutionDoesNotExist"
        assert refusal(theirs.get_execution_history, executionArn=execution)[0] == "ExecutionDoesNotExist"
        assert refusal(theirs.stop_execution, executionArn=execution)[0] == "ExecutionDoesNotExist"
        assert refusal(theirs.redrive_execution, executionArn=execution)[0] == "ExecutionDoesNotExist"
        assert refusal(theirs.start_execution, stateMachineArn=machine)[0] == "StateMachineDoesNotExist"
        assert refusal(theirs.list_executions, stateMachineArn=machine)[0] == "StateMachineDoesNotExist"
        viewer = running.client(key=running.key("111111111111", role="viewer"))
        assert viewer.describe_execution(executionArn=execution)["status"] == "RUNNING"
        assert refusal(viewer.start_execution, stateMachineArn=machine)[0] == "AccessDeniedException"
        operator = running.client(key=running.key("111111111111", role="operator"))
        assert operator.start_execution(stateMachineArn=machine)["executionArn"]
        made = {"name": "x", "definition": json.dumps(PASS), "roleArn": ROLE}
        assert refusal(operator.create_state_machine, **made)[0] == "AccessDeniedException"
