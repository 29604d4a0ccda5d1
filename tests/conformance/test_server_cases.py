"""The recorded cases through real HTTP and boto3: the shipped runner, and every history event as the wire has it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from recorded import FOLDER, PLACEHOLDER, input_of, read_cases, same, same_text
from server_harness import RunningServer, create, ended, history, until

CASES = read_cases("cases.jsonl")
HISTORIES = [
    case
    for case in CASES
    if case.get("expected_history") and not case["events_normalised"] and not case["concurrent"]
    if case["machine_type"] == "STANDARD"
]
ACTIVITIES = [case for case in read_cases("cases_services.jsonl") if case["folder"] == "activities"]
JOBS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_every_case_is_exact_for_the_shipped_runner(server: RunningServer, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    runner, cases = str(FOLDER / "run_cases.py"), str(FOLDER / "cases.jsonl")
    command = [sys.executable, runner, "--endpoint", server.url, "--cases", cases, "--out", str(out)]
    subprocess.run([*command, "--jobs", str(JOBS)], check=True, capture_output=True, timeout=300)
    results = [json.loads(line) for line in out.read_text().splitlines()]
    wrong = [result for result in results if not result["ok"]]
    assert (len(results), wrong) == (469, [])


def test_every_recorded_history_is_the_same_on_the_wire(server: RunningServer) -> None:
    client = server.client()

    def problems(job: tuple[int, dict]) -> list[str]:
        number, case = job
        machine = create(client, f"h-{number}", case["definition"])
        started = client.start_execution(stateMachineArn=machine, input=json.dumps(input_of(case)))
        ended(client, started["executionArn"], 60)
        found = history(client, started["executionArn"], maxResults=1000)
        return [f"{case['name']}: {problem}" for problem in wire_problems(case, found)]

    with ThreadPoolExecutor(JOBS) as pool:
        wrong = [problem for some in pool.map(problems, enumerate(HISTORIES)) for problem in some]
    assert len(HISTORIES) > 100
    assert wrong == []


@pytest.mark.parametrize("case", ACTIVITIES, ids=[case["name"] for case in ACTIVITIES])
def test_recorded_activities_with_a_worker(case: dict, server: RunningServer) -> None:
    client = server.client()
    name = case["definition"]["States"]["ActivityTask"]["Resource"].rpartition(":")[2]
    activity = client.create_activity(name=name)["activityArn"]
    machine = create(client, f"m-{name}", case["definition"])
    execution = client.start_execution(stateMachineArn=machine, input=json.dumps(input_of(case)))["executionArn"]
    play_worker(client, activity, case)
    found = ended(client, execution, 30)
    assert found["status"] == case["expected"]["status"]
    events = until(lambda: _whole(history(client, execution), case))
    assert wire_problems(case, events) == []


def play_worker(client: Any, activity: str, case: dict) -> None:
    """Do what the recorded worker did."""
    by_type = {event["type"]: event for event in case["expected_history"]}
    worker = by_type["ActivityStarted"].get("activityStartedEventDetails", {}).get("workerName")
    task = client.get_activity_task(activityArn=activity, **({"workerName": worker} if worker else {}))
    assert json.loads(task["input"]) == input_of(case)
    if "ActivitySucceeded" in by_type:
        client.send_task_heartbeat(taskToken=task["taskToken"])
        details = by_type["ActivitySucceeded"]["activitySucceededEventDetails"]
        client.send_task_success(taskToken=task["taskToken"], output=_text(details["output"]))
    elif "ActivityFailed" in by_type:
        details = by_type["ActivityFailed"]["activityFailedEventDetails"]
        members = {name: _text(value) for name, value in details.items()}
        client.send_task_failure(taskToken=task["taskToken"], **members)
    else:
        time.sleep(5.1)  # the definition's TimeoutSeconds


def _text(recorded: Any) -> str:
    """JSON text was recorded parsed."""
    return recorded if isinstance(recorded, str) else json.dumps(recorded)


def _whole(events: list[dict], case: dict) -> list[dict] | None:
    return events if len(events) >= len(case["expected_history"]) else None


def wire_problems(case: dict, events: list[dict]) -> list[str]:
    """Differences of members, values and order between a recorded history and one that was asked for."""
    expected = case["expected_history"]
    kinds = [event["type"] for event in events]
    if kinds != [event["type"] for event in expected]:
        return [f"types {kinds}"]
    found = []
    for wanted, event in zip(expected, events, strict=True):
        if wanted.keys() != event.keys():
            found.append(f"event {event['id']} {event['type']} has {sorted(event)}, expected {sorted(wanted)}")
            continue
        found += [
            f"event {event['id']} {event['type']}.{key}: {event[key]!r}, expected {wanted[key]!r}"
            for key in wanted
            if key != "timestamp" and not _same_member(key, wanted[key], event[key], events)
        ]
    return found


def _same_member(key: str, wanted: Any, got: Any, events: list[dict]) -> bool:
    if isinstance(wanted, dict):
        return wanted.keys() == got.keys() and all(_same_detail(wanted[name], got[name]) for name in wanted)
    if key == "previousEventId" and wanted != got:  # older recordings of Distributed Maps
        return events[wanted - 1]["type"] == "MapRunSucceeded"
    return wanted == got


def _same_detail(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(got, dict):
        return wanted.keys() == got.keys() and all(_same_detail(wanted[name], got[name]) for name in wanted)
    if isinstance(wanted, str) and isinstance(got, str) and PLACEHOLDER.search(wanted):
        return same(wanted, got) or same_text(wanted, got)
    return same(wanted, got) or (isinstance(got, str) and same_text(wanted, _parsed(got)))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
