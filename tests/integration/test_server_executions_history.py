"""Histories page by page, redrives, Distributed Maps with their child executions, through boto3."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from server_harness import RunningServer, create, ended, history, refusal, until

from skylift.server.stepfunctions import replays

HEAD = "arn:aws:states:us-east-1:123456789012"
LOOP = {
    "StartAt": "More",
    "QueryLanguage": "JSONata",
    "States": {
        "More": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.left > 0 %}", "Next": "Less"}],
            "Default": "Done",
        },
        "Less": {"Type": "Pass", "Output": {"left": "{% $states.input.left - 1 %}"}, "Next": "More"},
        "Done": {"Type": "Succeed"},
    },
}
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Bad"}}}
GATE = {
    "StartAt": "First",
    "States": {
        "First": {"Type": "Pass", "Result": {"kept": True}, "Next": "Ask"},
        "Ask": {"Type": "Task", "Resource": "ACTIVITY", "TimeoutSeconds": 60, "End": True},
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Any:
    return server.client()


# -- pages -------------------------------------------------------------------------------------------------------------


def test_a_history_is_the_same_in_pages_of_any_size_and_both_directions(client: Any) -> None:
    execution = client.start_execution(stateMachineArn=create(client, "loop", LOOP), input='{"left": 60}')
    arn = execution["executionArn"]
    assert ended(client, arn)["status"] == "SUCCEEDED"
    whole = history(client, arn, maxResults=1000)
    assert [event["id"] for event in whole] == list(range(1, len(whole) + 1))
    assert len(whole) == 1 + 2 * (2 * 60 + 1) + 2 + 1
    assert history(client, arn, maxResults=7) == whole
    assert history(client, arn) == whole
    assert history(client, arn, maxResults=7, reverseOrder=True) == whole[::-1]
    assert len(client.get_execution_history(executionArn=arn)["events"]) == 100


def test_a_token_of_a_page_is_of_one_history_and_direction(client: Any) -> None:
    machine = create(client, "loop-tokens", LOOP)
    one, other = (client.start_execution(stateMachineArn=machine, input='{"left": 3}')["executionArn"] for _ in "ab")
    ended(client, one)
    token = client.get_execution_history(executionArn=one, maxResults=2)["nextToken"]
    wrong = ("InvalidToken", "Invalid Token: 'Invalid token'")
    assert refusal(client.get_execution_history, executionArn=other, nextToken=token) == wrong
    assert refusal(client.get_execution_history, executionArn=one, nextToken=token, reverseOrder=True) == wrong
    assert refusal(client.get_execution_history, executionArn=one, nextToken="AAAA") == wrong


def test_a_history_without_data(client: Any) -> None:
    execution = client.start_execution(stateMachineArn=create(client, "dataless", LOOP), input='{"left": 1}')
    arn = execution["executionArn"]
    ended(client, arn)
    text = json.dumps(history(client, arn, includeExecutionData=False), default=str)
    assert "left" not in text
    assert '"name": "Less"' in text


def test_a_history_grows_while_it_is_read(client: Any) -> None:
    activity = client.create_activity(name="growing")["activityArn"]
    definition = json.loads(json.dumps(GATE).replace("ACTIVITY", activity))
    arn = client.start_execution(stateMachineArn=create(client, "growing", definition))["executionArn"]
    page = client.get_execution_history(executionArn=arn, maxResults=3)
    task = client.get_activity_task(activityArn=activity)
    client.send_task_success(taskToken=task["taskToken"], output="1")
    ended(client, arn)
    rest = client.get_execution_history(executionArn=arn, maxResults=100, nextToken=page["nextToken"])
    assert page["events"] + rest["events"] == history(client, arn)
    assert rest["events"][-1]["type"] == "ExecutionSucceeded"


def test_pages_of_a_long_history_do_not_replay_it(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = client.start_execution(stateMachineArn=create(client, "long", LOOP), input='{"left": 5000}')["executionArn"]
    assert ended(client, arn)["status"] == "SUCCEEDED"
    whole = history(client, arn, maxResults=1000)
    assert len(whole) == 20_006
    taken: list[int] = []
    take = replays.Replay.take
    monkeypatch.setattr(replays.Replay, "take", lambda *given: (taken.append(1), take(*given)))
    for _ in range(20):
        client.get_execution_history(executionArn=arn, maxResults=10, reverseOrder=True)
    assert taken == [], "the replay of the first page is kept"


def test_a_history_that_is_not_kept_is_replayed_again(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST_BYTES", 1)
    arn = client.start_execution(stateMachineArn=create(client, "unkept", LOOP), input='{"left": 20}')["executionArn"]
    ended(client, arn)
    assert history(client, arn, maxResults=5) == history(client, arn, maxResults=5, reverseOrder=True)[::-1]


# -- redrive -----------------------------------------------------------------------------------------------------------


def _failed_gate(client: Any, name: str) -> tuple[str, str]:
    """An execution that failed at its activity, and the activity."""
    activity = client.create_activity(name=name)["activityArn"]
    definition = json.loads(json.dumps(GATE).replace("ACTIVITY", activity))
    arn = client.start_execution(stateMachineArn=create(client, name, definition))["executionArn"]
    task = client.get_activity_task(activityArn=activity)
    client.send_task_failure(taskToken=task["taskToken"], error="Busy", cause="today")
    assert ended(client, arn)["redriveStatus"] == "REDRIVABLE"
    return arn, activity


def test_a_redrive_goes_on_from_what_failed(client: Any) -> None:
    arn, activity = _failed_gate(client, "redriven")
    redriven = client.redrive_execution(executionArn=arn)
    found = client.describe_execution(executionArn=arn)
    assert (found["status"], found["redriveCount"]) == ("RUNNING", 1)
    assert found["redriveDate"] == redriven["redriveDate"]
    assert "stopDate" not in found
    task = client.get_activity_task(activityArn=activity)
    assert json.loads(task["input"]) == {"kept": True}
    client.send_task_success(taskToken=task["taskToken"], output='"done"')
    found = ended(client, arn)
    assert (found["status"], found["output"], found["redriveCount"]) == ("SUCCEEDED", '"done"', 1)
    kinds = [event["type"] for event in history(client, arn)]
    assert kinds.count("ExecutionRedriven") == 1
    assert kinds.count("PassStateEntered") == 1
    machine = found["stateMachineArn"]
    (item,) = client.list_executions(stateMachineArn=machine, redriveFilter="REDRIVEN")["executions"]
    assert (item["redriveCount"], item["redriveDate"]) == (1, redriven["redriveDate"])
    assert client.list_executions(stateMachineArn=machine, redriveFilter="NOT_REDRIVEN")["executions"] == []


def test_a_client_token_redrives_once(client: Any) -> None:
    arn, activity = _failed_gate(client, "redriven-once")
    first = client.redrive_execution(executionArn=arn, clientToken="t1")
    again = client.redrive_execution(executionArn=arn, clientToken="t1")
    assert again["redriveDate"] == first["redriveDate"]
    code, message = refusal(client.redrive_execution, executionArn=arn, clientToken="t2")
    assert code == "ExecutionNotRedrivable"
    assert "Execution is RUNNING and cannot be redriven" in message
    task = client.get_activity_task(activityArn=activity)
    client.send_task_failure(taskToken=task["taskToken"])
    assert ended(client, arn)["redriveCount"] == 1
    client.redrive_execution(executionArn=arn, clientToken="t2")
    assert client.describe_execution(executionArn=arn)["redriveCount"] == 2


def test_what_succeeded_cannot_be_redriven(client: Any) -> None:
    arn = client.start_execution(stateMachineArn=create(client, "fine", LOOP), input='{"left": 0}')["executionArn"]
    ended(client, arn)
    code, message = refusal(client.redrive_execution, executionArn=arn)
    assert code == "ExecutionNotRedrivable"
    assert "Execution is SUCCEEDED and cannot be redriven" in message


# -- Distributed Maps --------------------------------------------------------------------------------------------------


def _map(processor: dict[str, Any], **members: Any) -> dict[str, Any]:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    each = {"Type": "Map", "ItemProcessor": {"ProcessorConfig": config, **processor}, "End": True, **members}
    return {"StartAt": "Each", "States": {"Each": each}}


ECHO = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}


def test_a_map_run_and_its_children(client: Any) -> None:
    machine = create(client, "mapped", _map(ECHO, Label="each", MaxConcurrency=2))
    arn = client.start_execution(stateMachineArn=machine, input="[1, 2, 3]")["executionArn"]
    assert json.loads(ended(client, arn)["output"]) == [1, 2, 3]
    (listed,) = client.list_map_runs(executionArn=arn)["mapRuns"]
    map_run = listed["mapRunArn"]
    assert map_run.startswith(f"{HEAD}:mapRun:mapped/each:")
    assert (listed["executionArn"], listed["stateMachineArn"]) == (arn, machine)
    found = client.describe_map_run(mapRunArn=map_run)
    assert (found["status"], found["executionArn"], found["maxConcurrency"]) == ("SUCCEEDED", arn, 2)
    assert (found["toleratedFailureCount"], found["toleratedFailurePercentage"]) == (0, 0.0)
    for counts in (found["itemCounts"], found["executionCounts"]):
        assert (counts["succeeded"], counts["total"], counts["failed"], counts["pending"]) == (3, 3, 0, 0)
    children = client.list_executions(mapRunArn=map_run)["executions"]
    assert [child["itemCount"] for child in children] == [1, 1, 1]
    assert {child["mapRunArn"] for child in children} == {map_run}
    child = client.describe_execution(executionArn=children[-1]["executionArn"])
    assert (child["input"], child["output"], child["status"], child["mapRunArn"]) == ("1", "1", "SUCCEEDED", map_run)
    assert child["stateMachineArn"] == f"{machine}/each"
    kinds = [event["type"] for event in history(client, child["executionArn"])]
    assert kinds == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
    used = client.describe_state_machine_for_execution(executionArn=child["executionArn"])
    assert (used["mapRunArn"], used["label"]) == (map_run, "each")


def test_children_are_listed_page_by_page_and_by_status(client: Any) -> None:
    odd = {
        "StartAt": "C",
        "States": {
            "C": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input % 2 = 1 %}", "Next": "F"}],
                "Default": "S",
            },
            "F": {"Type": "Fail", "Error": "Odd"},
            "S": {"Type": "Succeed"},
        },
    }
    definition = _map(odd, ToleratedFailurePercentage=100) | {"QueryLanguage": "JSONata"}
    arn = client.start_execution(stateMachineArn=create(client, "odd", definition), input=json.dumps(list(range(9))))
    arn = arn["executionArn"]
    assert ended(client, arn)["status"] == "SUCCEEDED"
    (listed,) = client.list_map_runs(executionArn=arn)["mapRuns"]
    found = client.describe_map_run(mapRunArn=listed["mapRunArn"])
    assert (found["itemCounts"]["failed"], found["itemCounts"]["succeeded"]) == (4, 5)
    assert found["toleratedFailurePercentage"] == 100.0
    pages = client.get_paginator("list_executions").paginate(
        mapRunArn=listed["mapRunArn"], statusFilter="FAILED", PaginationConfig={"PageSize": 3}
    )
    failed = [item for page in pages for item in page["executions"]]
    assert len(failed) == 4
    child = client.describe_execution(executionArn=failed[0]["executionArn"])
    assert (child["error"], child["redriveStatus"]) == ("Odd", "REDRIVABLE_BY_MAP_RUN")
    assert "not" in refusal(client.redrive_execution, executionArn=child["executionArn"])[0].lower()


def test_a_map_run_under_way_is_updated_and_aborted_with_its_execution(client: Any) -> None:
    waiting = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}
    machine = create(client, "mapping", _map(waiting, MaxConcurrency=1))
    arn = client.start_execution(stateMachineArn=machine, input="[1, 2, 3, 4]")["executionArn"]
    map_run = until(lambda: client.list_map_runs(executionArn=arn)["mapRuns"])[0]["mapRunArn"]
    until(lambda: client.describe_map_run(mapRunArn=map_run)["itemCounts"]["running"])
    counts = client.describe_map_run(mapRunArn=map_run)["itemCounts"]
    assert (counts["running"], counts["pending"], counts["total"]) == (1, 3, 4)
    client.update_map_run(mapRunArn=map_run, maxConcurrency=3, toleratedFailureCount=2)
    found = until(lambda: _if(client.describe_map_run(mapRunArn=map_run), lambda one: one["maxConcurrency"] == 3))
    assert found["toleratedFailureCount"] == 2
    assert (found["itemCounts"]["running"], found["executionCounts"]["running"]) == (3, 3)
    child = client.list_executions(mapRunArn=map_run)["executions"][0]
    assert refusal(client.stop_execution, executionArn=child["executionArn"])[0] == "ValidationException"
    client.stop_execution(executionArn=arn)
    found = client.describe_map_run(mapRunArn=map_run)
    assert (found["status"], found["executionCounts"]["aborted"]) == ("ABORTED", 3)
    assert "stopDate" in found
    assert refusal(client.update_map_run, mapRunArn=map_run, maxConcurrency=1)[0] == "ValidationException"


def test_a_failed_map_run_is_redriven_with_its_execution(client: Any) -> None:
    machine = create(client, "refailing", _map(FAIL))
    arn = client.start_execution(stateMachineArn=machine, input="[1, 2]")["executionArn"]
    assert ended(client, arn)["error"] == "States.ExceedToleratedFailureThreshold"
    (listed,) = client.list_map_runs(executionArn=arn)["mapRuns"]
    assert client.describe_map_run(mapRunArn=listed["mapRunArn"])["status"] == "FAILED"
    client.redrive_execution(executionArn=arn)
    assert ended(client, arn)["status"] == "FAILED"
    found = client.describe_map_run(mapRunArn=listed["mapRunArn"])
    assert (found["status"], found["redriveCount"]) == ("FAILED", 1)
    assert "redriveDate" in found
    children = client.list_executions(mapRunArn=listed["mapRunArn"], redriveFilter="REDRIVEN")["executions"]
    assert {child["redriveCount"] for child in children} == {1}


def test_map_runs_that_there_are_not(client: Any) -> None:
    for arn in (f"{HEAD}:mapRun:m/l:nothing", f"{HEAD}:mapRun:m/l:00000000-0000-0000-0000-000000000000"):
        assert refusal(client.describe_map_run, mapRunArn=arn)[0] == "ResourceNotFound"
        assert refusal(client.list_executions, mapRunArn=arn)[0] == "ResourceNotFound"
    assert refusal(client.describe_map_run, mapRunArn=f"{HEAD}:execution:m:n")[0] == "InvalidArn"
    missing = f"{HEAD}:execution:m/l:00000000-0000-0000-0000-000000000000-1"
    assert refusal(client.describe_execution, executionArn=missing)[0] == "ExecutionDoesNotExist"


def test_many_readers_of_one_history_at_once(client: Any) -> None:
    arn = client.start_execution(stateMachineArn=create(client, "read", LOOP), input='{"left": 300}')["executionArn"]
    ended(client, arn)
    found: list[list[dict[str, Any]]] = []
    threads = [threading.Thread(target=lambda: found.append(history(client, arn, maxResults=1000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(one == found[0] for one in found)


def _if(value: Any, condition: Any) -> Any:
    return value if condition(value) else None
