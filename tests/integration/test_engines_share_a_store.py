"""Two engines on one SQLite store: the runs of one that is gone move to the other, and either takes an answer."""

from __future__ import annotations

import json
import time
from pathlib import Path

from skylift.config import Config
from skylift.engine.inputs import StartRun
from skylift.ports.compute import Succeeded
from skylift.runtime import Runtime

ACCOUNT = "123456789012"
HEAD = f"arn:aws:states:us-east-1:{ACCOUNT}"
ACTIVITY = f"{HEAD}:activity:paint"


def start(runtime: Runtime, name: str) -> str:
    task = {"Type": "Task", "Resource": ACTIVITY, "End": True}
    definition = runtime.journal.put_document(json.dumps({"StartAt": "A", "States": {"A": task}}).encode())
    pipeline = f"{HEAD}:stateMachine:m"
    return runtime.engine.start(
        StartRun(
            definition=definition, pipeline=pipeline, name=name, account=ACCOUNT, limits="service", input={"n": name}
        )
    )


def test_runs_move_and_answers_find_them(tmp_path: Path) -> None:
    config = Config(project=tmp_path, home=tmp_path / "home")
    with Runtime(config, adopting=True) as one, Runtime(config, adopting=True) as other:
        one.resources.put("activity", ACTIVITY, b"{}")
        kept, moved = start(one, "kept"), start(one, "moved")
        assert other.engine.engine.live_runs() == []
        offer = other.journal.take(ACTIVITY, "w")
        assert offer is not None
        assert offer.run_id == kept
        other.engine.callback(offer.token, Succeeded(output=1))
        assert other.engine.wait(kept, 60).output == 1

        assert one._ownership is not None
        one._ownership.release()  # as if the process were gone: its engine does not know yet
        deadline = time.monotonic() + 60
        while (record := other.journal.run(moved)) is not None and record.owner == one._ownership.owner:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        offer = other.journal.take(ACTIVITY, "w")
        assert offer is not None
        one.engine.callback(offer.token, Succeeded(output=2))
        assert other.engine.wait(moved, 60).output == 2
        assert [e.sequence for e in other.journal.entries(moved)] == [1, 2, 3]
