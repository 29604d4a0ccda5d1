"""`skylift replay` of Batch jobs and SageMaker training jobs: what they are bound to, with the job's own parameters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skylift.config import load_config
from skylift.errors import SetupError
from skylift.ports.journal import RunRecord
from skylift.runtime import Runtime
from skylift.sdk.submission import document_submission

PYTHON = sys.executable
Go = Callable[..., RunRecord]


@pytest.fixture
def go(tmp_path: Path) -> Go:
    """Run one state with a binding; its record."""

    def run(resource: str, arguments: dict[str, Any], name: str, command: list[str]) -> RunRecord:
        (tmp_path / "skylift.toml").write_text(f"[jobs.{name}]\ncommand = {json.dumps(command)}\n")
        state = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments, "End": True}
        document = {"QueryLanguage": "JSONata", "StartAt": "Job", "States": {"Job": state}}
        with Runtime(load_config(tmp_path)) as runtime:
            record = runtime.submit(document_submission("jobs", json.dumps(document).encode()), {})
            return runtime.wait(record.run_id, timeout_s=180)

    return run


def batch(**more: Any) -> dict[str, Any]:
    return {"JobName": "j", "JobQueue": "arn:aws:batch:us-east-1:1:job-queue/q", "JobDefinition": "prepare:3", **more}


def replay(project: Path, record: RunRecord, *options: str) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-m", "skylift.cli", "replay", record.run_id, "Job", *options]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120)


def logged(project: Path, record: RunRecord) -> list[str]:
    with Runtime(load_config(project)) as runtime:
        return [line.text for line in runtime.reader.log_lines(record)]


def test_replay_runs_what_a_job_is_bound_to_again(go: Go, tmp_path: Path) -> None:
    """It was refused: NOT-REPLAYABLE."""
    script = "import os, sys; print(sys.argv[1:], os.environ['AWS_BATCH_JOB_ID'], os.environ['STAGE']); sys.exit(4)"
    arguments = batch(
        Parameters={"mode": "fast"},
        ContainerOverrides={
            "Command": [PYTHON, "-c", script, "Ref::mode"],
            "Environment": [{"Name": "STAGE", "Value": "x"}],
        },
    )
    record = go("batch:submitJob.sync", arguments, "prepare", ["true"])
    assert record.status == "FAILED"
    printed = logged(tmp_path, record)[0]
    done = replay(tmp_path, record)
    assert (done.returncode, done.stdout.splitlines()) == (1, [printed])
    assert "['fast']" in printed and '"ExitCode":4' in done.stderr and "Traceback" not in done.stderr


def test_replay_of_a_training_job_leaves_the_runs_model_and_checkpoints(go: Go, tmp_path: Path) -> None:
    for name in ("models", "saved"):
        (tmp_path / name).mkdir()
    arguments = {
        "TrainingJobName": "t",
        "AlgorithmSpecification": {"TrainingImage": "trainer:1", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"file://{tmp_path / 'models'}"},
        "CheckpointConfig": {"S3Uri": f"file://{tmp_path / 'saved'}"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "RoleArn": "arn:aws:iam::123456789012:role/r",
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    script = "import os, pathlib, sys; at = pathlib.Path(sys.argv[1]); saved = sorted(os.listdir(at / 'checkpoints'))"
    script += "; print('found', saved); (at / f'checkpoints/step-{len(saved)}').write_text('x')"
    command = [PYTHON, "-c", script, "{ml}"]
    record = go("sagemaker:createTrainingJob.sync", arguments, "trainer", command)
    assert record.status == "SUCCEEDED", record
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("[ms]*/**/*") if file.is_file()}
    assert {file.name for file in before} == {"model.tar.gz", "step-0"}
    for options, found in (((), "found []"), (("--from-checkpoint",), "found ['step-0']")):
        done = replay(tmp_path, record, *options)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == found
        assert ("--from-checkpoint goes on" in done.stderr) == (not options)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("[ms]*/**/*") if file.is_file()} == before


def test_a_job_that_nothing_is_bound_to_any_more_cannot_be_replayed(go: Go, tmp_path: Path) -> None:
    record = go("batch:submitJob.sync", batch(), "prepare", ["true"])
    (tmp_path / "skylift.toml").write_text("")
    with (
        pytest.raises(SetupError, match="nothing here is bound to") as caught,
        Runtime(load_config(tmp_path)) as runtime,
    ):
        runtime.recorded_attempt(runtime.reader.record(record.run_id), "Job")
    assert "JobDefinition" in (caught.value.hint or "")
