"""Recorded machines that call services: what the services answered is replayed from the recorded history."""

import json

import pytest
from recorded import context_of, history_problems, outcome_problems, read_cases, type_problems

from skylift.asl import commands, events
from skylift.asl.limits import SERVICE
from skylift.asl.machine import Machine
from skylift.asl.parse import parse
from skylift.testing.virtual import VirtualRun

CASES = [case for case in read_cases("cases_services.jsonl") if case.get("expected_history")]

FAMILIES = ("LambdaFunction", "Activity", "Task")


class Replay(VirtualRun):
    """Answers the n-th task as the n-th scheduled task of the recording was answered."""

    def __init__(self, case: dict, document) -> None:
        super().__init__(document, context=context_of(case), limits=SERVICE, reader=self.read_items, writer=self.refuse)
        self.case = case
        self.given = 0
        history = case["expected_history"]
        self.scheduled = [event["id"] for event in history if event["type"].endswith("Scheduled")]
        self.by_id = {event["id"]: event for event in history}

    def answers(self, task: commands.StartTask) -> list[tuple[int, events.Event]]:
        if self.given >= len(self.scheduled):
            return [(0, events.TaskSucceeded(token=task.token, output=task.arguments))]
        following = self._chain(self.scheduled[self.given])
        self.given += 1
        found = [_answer(task.token, event) for event in following]
        return [(index, event) for index, event in enumerate(found) if event is not None]

    def _chain(self, scheduled: int) -> list[dict]:
        """The events of one attempt, in order."""
        chain, last = [], scheduled
        for event in self.case["expected_history"]:
            if event["previousEventId"] == last and event["type"].startswith(FAMILIES) and "State" not in event["type"]:
                chain.append(event)
                last = event["id"]
        return [event for event in chain if not event["type"].endswith("Scheduled")] if chain else []

    def read_items(self, command: commands.Command) -> events.Event:
        assert isinstance(command, commands.ReadItems)
        for event in self.case["expected_history"]:
            if event["type"] == "MapRunFailed":
                details = event["mapRunFailedEventDetails"]
                return events.ItemsReadFailed(reader=command.reader, error=details["error"], cause=details["cause"])
        items = [*self.case["expected"]["output"]]
        if command.config.get("MaxItems"):
            items.append({"beyond": "MaxItems"})
        return events.ItemsRead(reader=command.reader, items=items)

    def refuse(self, command: commands.Command) -> events.Event:
        raise AssertionError(f"no recording writes results: {command}")


def _recorded_input(case: dict) -> object:
    """The input as recorded: names in it were replaced throughout the recording."""
    return _value(case["expected_history"][0]["executionStartedEventDetails"]["input"])


def _answer(token: str, event: dict) -> events.Event | None:
    details = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    kind = event["type"]
    if kind == "ActivityStarted":
        return events.TaskStarted(token=token, worker=details.get("workerName"))
    if kind.endswith("Submitted"):
        return events.TaskSubmitted(token=token, output=_value(details["output"]))
    if kind.endswith("Succeeded"):
        return events.TaskSucceeded(token=token, output=_value(details["output"]))
    if kind.endswith("Failed"):
        return events.TaskFailed(token=token, error=details.get("error"), cause=_text(details.get("cause")))
    if kind.endswith("TimedOut"):
        return events.TaskTimedOut(token=token, heartbeat=details["error"] == "States.HeartbeatTimeout")
    return None


def _value(recorded: object) -> object:
    if not isinstance(recorded, str):
        return recorded
    try:
        return json.loads(recorded)
    except ValueError:
        return recorded


def _text(cause: object) -> str | None:
    return cause if cause is None or isinstance(cause, str) else json.dumps(cause)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_recorded_services(case: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)
    parsed = parse(case["definition"], machine_type=case["machine_type"])
    assert parsed.document is not None, parsed.diagnostics
    run = Replay(case, parsed.document).run(_recorded_input(case))
    assert outcome_problems(case, run) + type_problems(case, run) + history_problems(case, run) == []
