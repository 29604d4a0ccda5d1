"""Servers under load while they are killed, cut off and left without their database. For minutes of it there is
`python -m tests.faults`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("uvloop")

from fault_campaign import Plan, run
from fault_checks import history_problems, last_event_problems
from postgres import missing

SEED = int(os.environ.get("SKYLIFT_FAULTS_SEED", "1"))

BUSY_S = 30.0
"""Tests share their machine; `python -m tests.faults` has it alone, and asks for less."""


@pytest.mark.slow
def test_a_server_on_sqlite_that_is_killed_under_load(tmp_path: Path) -> None:
    report = run(Plan(store="sqlite", seconds=8, seed=SEED, pace_s=1.5, takeover_s=BUSY_S, folder=tmp_path / "faults"))
    assert not report.problems, report.text()


@pytest.mark.slow
def test_servers_on_postgresql_that_are_killed_and_cut_off_under_load(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    report = run(
        Plan(store="postgresql", seconds=10, seed=SEED, pace_s=1.0, takeover_s=BUSY_S, folder=tmp_path / "faults")
    )
    assert not report.problems, report.text()


def history(*types: str) -> list[dict[str, Any]]:
    return [
        {"id": number, "previousEventId": number - 1, "timestamp": 1.0, "type": type_}
        for number, type_ in enumerate(types, 1)
    ]


def test_what_is_found_wrong_with_a_history() -> None:
    whole = history("ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded")
    redriven = history("ExecutionStarted", "ExecutionFailed", "ExecutionRedriven", "ExecutionSucceeded")
    assert [*history_problems(whole), *history_problems(redriven)] == []
    broken = {
        "ids are [1, 3, 4]": [whole[0], *whole[2:]],
        "does not begin once": whole[1:],
        "ends are at [1, 2]": history("ExecutionStarted", "ExecutionFailed", "ExecutionSucceeded"),
        "ends are at [1], its redrives at []": history("ExecutionStarted", "ExecutionFailed", "PassStateEntered"),
        "ends are at [], its": history("ExecutionStarted"),
        "event 2 follows 2": [whole[0], {**whole[1], "previousEventId": 2}, *whole[2:]],
        "times go back": [whole[0], {**whole[1], "timestamp": 0.5}, *whole[2:]],
        "1 TaskSubmitted": history("ExecutionStarted", "TaskSubmitted", "ExecutionSucceeded"),
    }
    for said, events in broken.items():
        assert any(said in problem for problem in history_problems(events)), said


def test_what_is_found_wrong_with_an_end() -> None:
    last = {"id": 2, "timestamp": 2.0, "type": "ExecutionFailed", "executionFailedEventDetails": {"error": "E"}}
    described = {"status": "FAILED", "error": "E", "stopDate": 2.0}
    assert list(last_event_problems(described, [last])) == []
    for other in ({"status": "SUCCEEDED"}, {"error": "F"}, {"cause": "c"}, {"stopDate": 2.5}):
        assert list(last_event_problems({**described, **other}, [last])) != []
