"""Reads the recorded cases and compares a run with what the real service did; placeholders match anything."""

import json
import re
from pathlib import Path

import pytest

from skylift.testing.virtual import CONTEXT

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "conformance"

PLACEHOLDER = re.compile(
    r"<<[\w:.-]+>:\d+>|<[A-Za-z][\w:.-]*>|111111111111|snf_role_arn|sfn_role_arn|activity_arn|lambda_function_1_name|map_run_arn"
)
WILD = {
    "timestamp",
    "date",
    "RequestId",
    "start-date",
    "stop-date",
    "start-time",
    "entered-time",
    "RandomNumberGenerated",
    "generated-uuid",
    "task_token",
    "execution-arn",
}


def read_cases(name: str) -> list[dict]:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"the recorded cases are not at {FOLDER}", allow_module_level=True)
    return [_oldest_first(json.loads(line)) for line in path.read_text().splitlines()]


def _oldest_first(case: dict) -> dict:
    """One recording asked for the newest events first."""
    history = case.get("expected_history") or []
    if len(history) > 1 and history[0]["type"].startswith("Execution") and history[0]["type"] != "ExecutionStarted":
        history.reverse()
    return case


def input_of(case: dict) -> object:
    given = case["input"]
    return json.loads(given) if isinstance(given, str) and given.strip()[:1] in ("{", "[") else given


def context_of(case: dict) -> dict:
    if case["machine_type"] != "EXPRESS":
        return CONTEXT
    execution = {**CONTEXT["Execution"], "Id": "arn:aws:states:us-east-1:123456789012:express:machine:run:1"}
    return {**CONTEXT, "Execution": execution}


def same(expected: object, got: object) -> bool:
    """Equal, but for placeholders, and for one level of JSON text that was recorded parsed."""
    if isinstance(expected, str) and expected in WILD and got is not None:
        return True
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, str) and isinstance(got, str):
        return expected == got or _matches(expected, got) or _same_json(expected, got)
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same(expected[key], got[key]) for key in expected)
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same, expected, got))
    if isinstance(expected, dict) and isinstance(got, str):
        return _parses_to(expected, got)
    return expected == got


def same_text(expected: object, got: object) -> bool:
    """A value whose JSON text was recorded, or the value itself where the recording had it parsed."""
    return same(expected, got) or (isinstance(expected, str) and _parses_to(got, expected, swap=True))


def _matches(expected: str, got: str) -> bool:
    if not PLACEHOLDER.search(expected):
        return False
    parts = PLACEHOLDER.split(expected)
    return re.fullmatch(".*".join(re.escape(part) for part in parts), got, re.DOTALL) is not None


def _same_json(expected: str, got: str) -> bool:
    """The spacing of JSON text inside a text is lost where a recording had it parsed."""
    return expected[:1] == got[:1] == "{" and json.loads(expected) == json.loads(got)


def _parses_to(value: object, text: str, swap: bool = False) -> bool:
    try:
        parsed = json.loads(text)
    except ValueError:
        return False
    return same(parsed, value) if swap else same(value, parsed)


def outcome_problems(case: dict, run) -> list[str]:
    expected = case["expected"]
    problems = []
    if run.status != expected["status"]:
        problems.append(f"status {run.status} {run.error} {run.cause}, expected {expected['status']}")
    if (expected["output"] is not None or expected.get("output_recorded")) and not same(expected["output"], run.output):
        problems.append(f"output {run.output!r}, expected {expected['output']!r}")
    for field in ("error", "cause"):
        if not same(expected[field], getattr(run, field)):
            problems.append(f"{field} {getattr(run, field)!r}, expected {expected[field]!r}")
    return problems


def type_problems(case: dict, run) -> list[str]:
    expected, types = case["expected"]["event_types"], run.event_types
    if expected is None:
        return []
    if case["events_normalised"]:
        types = [kind for kind in types if kind != "ParallelStateSucceeded"]
    as_expected = sorted(types) == sorted(expected) if case["concurrent"] else types == expected
    return [] if as_expected else [f"events {types}, expected {expected}"]


def history_problems(case: dict, run) -> list[str]:
    """Ids, previous ids and details against the recorded history, where it kept its order."""
    expected = case.get("expected_history")
    if expected is None or case["events_normalised"]:
        return []
    events = [event for event in run.history if event.child is None]
    if [event.type for event in events] != [event["type"] for event in expected]:
        return [f"history order {[event.type for event in events]}"]
    problems = []
    for wanted, event in zip(expected, events, strict=True):
        where = f"event {event.id} {event.type}"
        if wanted["id"] != event.id:
            problems.append(f"{where}: id, expected {wanted['id']}")
        if wanted["previousEventId"] != event.previous_id and not _known_previous(wanted, events):
            problems.append(f"{where}: previous {event.previous_id}, expected {wanted['previousEventId']}")
        if not same_details(_details(wanted), event.details):
            problems.append(f"{where}: {event.details}, expected {_details(wanted)}")
    return problems


def _known_previous(wanted: dict, events: list) -> bool:
    """Older recordings name MapRunSucceeded as what MapStateExited follows, newer ones MapRunStarted, as we do."""
    previous = events[wanted["previousEventId"] - 1]
    return wanted["type"] == "MapStateExited" and previous.type == "MapRunSucceeded"


def _details(event: dict) -> dict:
    for key, value in event.items():
        if key.endswith("EventDetails"):
            return {name: kept for name, kept in value.items() if kept != {"truncated": False}}
    return {}


def same_details(expected: dict, got: dict) -> bool:
    if expected.keys() != got.keys():
        return False
    return all(_same_detail(name, expected[name], got[name]) for name in expected)


def _same_detail(name: str, expected: object, got: object) -> bool:
    if name == "assignedVariables":
        return expected.keys() == got.keys() and all(same_text(expected[key], got[key]) for key in expected)
    if name in ("input", "output", "parameters"):
        return same_text(expected, got)
    return same(expected, got)
