"""One account's endless loops: others go on, and the loops can be stopped."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the server is an extra")

from tenants import MINE, THEIRS, Tenant, issue

from skylift.engine.timers import Timers
from skylift.testing.server import running_server

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
AGAIN = {"Type": "Choice", "Choices": [{"Variable": "$.stop", "IsPresent": True, "Next": "End"}], "Default": "A"}
LOOP = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": AGAIN, "End": {"Type": "Succeed"}}}
PATIENCE_S = 30.0
"""Far more than it takes, far less than for ever."""


def test_loops_of_one_account_do_not_hold_up_others(tmp_path: Path) -> None:
    """Runs of the own API have no limit on their histories: they may go on for ever."""
    mine, theirs = issue(tmp_path, MINE), issue(tmp_path, THEIRS)
    with running_server(tmp_path, auth="required") as server:
        noisy, quiet = Tenant(server.url, mine), Tenant(server.url, theirs)
        machine = quiet.machine("m", PASS)
        loops = []
        for _ in range(4):
            started = noisy.api("POST", "/v1/runs", {"pipeline": "loop", "document": LOOP, "input": {}})
            assert started.status == 201, started.body
            loops.append(started.json["run_id"])
        for _ in range(3):
            began = time.monotonic()
            assert quiet.executed(machine)["status"] == "SUCCEEDED"
            assert time.monotonic() - began < PATIENCE_S
        for run_id in loops:
            assert noisy.api("POST", f"/v1/runs/{run_id}/signals", {"type": "stop"}).status == 200
        for run_id in loops:
            assert noisy.api("GET", f"/v1/runs/{run_id}/wait?timeout=60").json["status"] == "ABORTED"


def test_what_is_due_again_at_once_waits_for_the_next_turn() -> None:
    timers: Timers[str] = Timers()
    timers.add(5, "again")
    timers.add(5, "other")
    most, seen = timers.added, []
    while (thing := timers.pop_due(5, most)) is not None:
        seen.append(thing)
        if thing == "again":
            timers.add(5, "again")
    assert seen == ["again", "other"]
    assert timers.pop_due(5, timers.added) == "again"
