"""Child executions of a Distributed Map: parts of their parent's run, shown as executions."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.engine.names import machine_arn
from skylift.ports.journal import RunRecord
from skylift.server.stepfunctions.history import thread_of
from skylift.server.stepfunctions.lookup import Execution
from skylift.server.stepfunctions.replays import MapRunFacts, Replay, Replays, Thread
from skylift.server.stepfunctions.wire import seconds

_INCLUDED = {"included": True}
_FAILED = ("FAILED", "TIMED_OUT", "ABORTED")


def describe_child(kept: Replays, execution: Execution) -> dict[str, Any]:
    """Blocks. Raises ExecutionDoesNotExist."""
    return kept.look(execution.record, lambda replay: _described(replay, execution))


def child_arn(record: RunRecord, map_run: str, name: str) -> str:
    """Of the child of this name that the Map Run started."""
    return f"{_head(record, ':execution:')}/{label_of(map_run)}:{name}"


def child_machine(record: RunRecord, map_run: str) -> str:
    """The ARN of what a child executes: the Map state, by its label."""
    return f"{machine_arn(record.pipeline)}/{label_of(map_run)}"


def label_of(map_run: str) -> str:
    return map_run.split(":")[6].partition("/")[2]


def listed_child(record: RunRecord, facts: MapRunFacts, child: Thread) -> dict[str, Any]:
    """As ListExecutions shows it."""
    assert child.name is not None
    item: dict[str, Any] = {
        "executionArn": child_arn(record, facts.arn, child.name),
        "stateMachineArn": child_machine(record, facts.arn),
        "name": child.name,
        "status": shown_status(record, child),
        "startDate": seconds(child.started_ms),
        "mapRunArn": facts.arn,
        "itemCount": child.items,
        "redriveCount": child.redrives,
    }
    stopped_ms = stopped(record, child)
    if stopped_ms is not None:
        item["stopDate"] = seconds(stopped_ms)
    if child.redriven_ms is not None:
        item["redriveDate"] = seconds(child.redriven_ms)
    return item


def shown_status(record: RunRecord, child: Thread) -> str:
    """A child that was under way when its run ended was aborted with it."""
    return "ABORTED" if child.status == "RUNNING" and record.status in (*_FAILED, "SUCCEEDED") else child.status


def stopped(record: RunRecord, child: Thread) -> int | None:
    if child.stopped_ms is None and shown_status(record, child) != "RUNNING":
        return record.stopped_ms
    return child.stopped_ms


def _described(replay: Replay, execution: Execution) -> dict[str, Any]:
    child, record = thread_of(replay, execution), execution.record
    facts = replay.map_runs.get(child.map_run or "")
    answer = listed_child(record, facts, child) if facts is not None else {}
    answer.pop("itemCount", None)
    started = msgspec.json.decode(child.events[0])["executionStartedEventDetails"]
    answer |= {"executionArn": execution.arn, "input": started["input"], "inputDetails": _INCLUDED}
    answer |= _outcome(child)
    return answer | _redrivable(answer["status"])


def _outcome(child: Thread) -> dict[str, Any]:
    if child.status == "RUNNING":
        return {}
    last = msgspec.json.decode(child.events[-1])
    details: dict[str, Any] = next((value for key, value in last.items() if key.endswith("EventDetails")), {})
    if child.status == "SUCCEEDED":
        return {"output": details["output"], "outputDetails": _INCLUDED}
    return {name: details[name] for name in ("error", "cause") if name in details}


def _redrivable(status: str) -> dict[str, str]:
    if status in _FAILED:
        return {"redriveStatus": "REDRIVABLE_BY_MAP_RUN"}
    return {
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": f"Execution is {status} and cannot be redriven",
    }


def _head(record: RunRecord, kind: str) -> str:
    return machine_arn(record.pipeline).replace(":stateMachine:", kind)
