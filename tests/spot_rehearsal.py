"""A project of one spot step in the simulated cloud, run once in virtual time on a market that the test makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from skylift.cli.target import load_module
from skylift.config import load_config
from skylift.ports.journal import Entry
from skylift.runtime import Runtime
from skylift.sdk.parameters import bind_input
from skylift.sdk.submission import pipeline_submission

PIPELINE = """
from skylift import pipeline, task


@task(work="{work}", deadline="{deadline}", spot=True, gpu="V100")
def train(n: int) -> int:
    return n


@pipeline
def flow(n: int = {width}) -> list:
    return [train(i) for i in range(n)]
"""
SETTINGS = """
[backends.simulated]
traces = "traces.json"
checkpoint = "{checkpoint}"
services = ["batch"]
results = "results.json"
seed = {seed}
"""


def rehearse(
    folder: Path, trace: dict[str, Any], *, work: str, deadline: str, checkpoint: str, seed: int = 0, width: int = 1
) -> list[Entry]:
    """The journal of the run, which ended well. `width` steps are beside each other."""
    folder.mkdir()
    (folder / "traces.json").write_text(json.dumps({"traces": {"t": trace}}))
    (folder / "results.json").write_text(json.dumps({"train": 1}))
    (folder / "skylift.toml").write_text(SETTINGS.format(checkpoint=checkpoint, seed=seed))
    source = folder / "spot_rehearsal_flow.py"
    source.write_text(PIPELINE.format(work=work, deadline=deadline, width=width))
    module = load_module(source)
    with Runtime(load_config(folder)) as runtime:
        runtime.speed = "max"
        submission = pipeline_submission(module.flow, runtime.blobs)
        value = bind_input(module.flow, {}, runtime.codec)
        record = runtime.submit(submission, value, name="step", attributes={"on": "simulated"})
        record = runtime.wait(record.run_id)
        assert record.status == "SUCCEEDED", record.cause
        return list(runtime.journal.entries(record.run_id))
