"""Two servers of one database: whatever one has started, the other shows, stops, answers and redrives."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_harness import RunningServer, create, ended, history, until

WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}
PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def clients(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    folder: Path = tmp_path_factory.mktemp("several")
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            store = f"sqlite:///{folder / 'shared' / 'journal.db'}"
        else:
            database = request.getfixturevalue("_postgres")
            database.start()
            store = database.create_database()
            stack.callback(database.drop_database, store)
        servers = [stack.enter_context(RunningServer(folder / name, store=store)) for name in ("one", "two")]
        yield servers[0].client(read_timeout=70), servers[1].client(read_timeout=70)


def test_an_execution_is_everywhere(clients: tuple[Any, Any]) -> None:
    one, two = clients
    machine = create(one, "everywhere", PASS)
    execution = two.start_execution(stateMachineArn=machine, name="e", input="[1]")["executionArn"]
    assert ended(one, execution)["output"] == "[1]"
    assert history(one, execution) == history(two, execution)


def test_a_name_is_taken_everywhere(clients: tuple[Any, Any]) -> None:
    one, two = clients
    machine = create(one, "taken", WAIT)
    first = one.start_execution(stateMachineArn=machine, name="e", input="1")
    again = two.start_execution(stateMachineArn=machine, name="e", input="1")
    assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
    with pytest.raises(two.exceptions.ExecutionAlreadyExists):
        two.start_execution(stateMachineArn=machine, name="e", input="2")


def test_the_other_server_stops_and_redrives(clients: tuple[Any, Any]) -> None:
    one, two = clients
    execution = one.start_execution(stateMachineArn=create(one, "stopped", WAIT))["executionArn"]
    stopped = two.stop_execution(executionArn=execution, error="Enough")
    found = one.describe_execution(executionArn=execution)
    assert (found["status"], found["error"], found["stopDate"]) == ("ABORTED", "Enough", stopped["stopDate"])
    redriven = two.redrive_execution(executionArn=execution)
    found = one.describe_execution(executionArn=execution)
    assert (found["status"], found["redriveDate"]) == ("RUNNING", redriven["redriveDate"])


def test_the_other_server_s_workers_do_the_tasks(clients: tuple[Any, Any]) -> None:
    one, two = clients
    activity = one.create_activity(name="shared")["activityArn"]
    ask = {"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "Resource": activity, "End": True}}}
    machine = create(one, "asking", ask)
    started = [one.start_execution(stateMachineArn=machine, input=str(number))["executionArn"] for number in range(5)]
    for _ in started:
        task = two.get_activity_task(activityArn=activity, workerName="far")
        two.send_task_heartbeat(taskToken=task["taskToken"])
        two.send_task_success(taskToken=task["taskToken"], output=task["input"])
    for number, execution in enumerate(started):
        assert json.loads(ended(one, execution)["output"]) == number
    kinds = until(lambda: [event["type"] for event in history(one, started[0])])
    assert kinds.count("ActivityStarted") == kinds.count("ActivitySucceeded") == 1


def test_an_update_is_seen_by_the_other_server_s_next_start(clients: tuple[Any, Any]) -> None:
    one, two = clients
    machine = create(one, "updated", PASS)
    for number in range(5):
        definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": number, "End": True}}}
        one.update_state_machine(stateMachineArn=machine, definition=json.dumps(definition))
        execution = two.start_execution(stateMachineArn=machine)["executionArn"]
        assert ended(two, execution)["output"] == str(number)


def test_texts_with_control_characters_are_kept(clients: tuple[Any, Any]) -> None:
    one, two = clients
    machine = create(one, "controlled", WAIT)
    start = {"stateMachineArn": machine, "input": '{"\\u0000": "\\u0001"}', "traceHeader": "a\0b"}
    execution = one.start_execution(**start)["executionArn"]
    two.stop_execution(executionArn=execution, error="a\0b", cause="\0")
    found = one.describe_execution(executionArn=execution)
    assert (found["error"], found["cause"], found["traceHeader"]) == ("a\0b", "\0", "a\0b")
    assert json.loads(found["input"]) == {"\0": "\1"}
    assert history(two, execution)[-1]["executionAbortedEventDetails"] == {"error": "a\0b", "cause": "\0"}
