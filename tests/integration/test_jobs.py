"""Batch jobs, ECS tasks and SageMaker training jobs of a definition run here, bound to programs of this machine."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from skylift.asl.events import StopRequested
from skylift.config import load_config
from skylift.ports.journal import RunRecord
from skylift.runtime import Runtime
from skylift.sdk.submission import document_submission
from skylift.testing.backend_harness import until

STATES = "arn:aws:states:::"
PYTHON = sys.executable

PROGRAMS = """
import json, os, pathlib, sys

def double(parameters):
    pathlib.Path(os.environ["OUT"]).write_text(json.dumps(parameters["Parameters"]))

def mark(event, context):
    pathlib.Path(event["path"]).touch()

def broken(parameters):
    raise ValueError("it does not work")
"""

TRAIN = """
import json, os, pathlib, sys, time
root = pathlib.Path(sys.argv[1])
hyper = json.loads((root / "input/config/hyperparameters.json").read_text())
channels = json.loads((root / "input/config/inputdataconfig.json").read_text())
assert json.loads((root / "input/config/resourceconfig.json").read_text())["hosts"] == ["algo-1"]
if hyper.get("fail"):
    (root / "output/failure").write_text("the data is bad")
    sys.exit(3)
points = [float(line) for name in sorted(channels) for file in sorted((root / "input/data" / name).iterdir())
          for line in file.read_text().split()]
seen = sorted(path.name for path in (root / "checkpoints").iterdir())
(root / "checkpoints" / f"step-{len(seen)}").write_text("x")
model = {"mean": sum(points) / len(points), "rate": hyper["rate"], "seen": seen, "env": os.environ["STAGE"]}
(root / "model/model.json").write_text(json.dumps(model))
(root / "output/data/notes.txt").write_text("fine")
"""


@pytest.fixture
def go(tmp_path: Path) -> Any:
    """Run one state with bindings; its record."""
    opened: list[Runtime] = []

    def run(resource: str, arguments: dict[str, Any], jobs: str, timeout_s: float = 180) -> RunRecord:
        (tmp_path / "skylift.toml").write_text(jobs)
        (tmp_path / "programs.py").write_text(PROGRAMS)
        (tmp_path / "train.py").write_text(TRAIN)
        state = {"Type": "Task", "Resource": f"{STATES}{resource}", "Arguments": arguments, "End": True}
        document = {"QueryLanguage": "JSONata", "StartAt": "Job", "States": {"Job": state}}
        runtime = Runtime(load_config(tmp_path))
        opened.append(runtime)
        record = runtime.submit(document_submission("jobs", json.dumps(document).encode()), {})
        return runtime.wait(record.run_id, timeout_s=timeout_s)

    run.history = lambda record: [event.type for event in opened[-1].reader.history(record)]  # type: ignore[attr-defined]
    run.logs = lambda record: [line.text for line in opened[-1].reader.log_lines(record)]  # type: ignore[attr-defined]
    run.runtime = lambda: opened[-1]  # type: ignore[attr-defined]
    yield run
    for runtime in opened:
        runtime.close()


def batch(**more: Any) -> dict[str, Any]:
    return {"JobName": "j", "JobQueue": "arn:aws:batch:us-east-1:1:job-queue/q", "JobDefinition": "prepare:3", **more}


def bound(name: str, **keys: Any) -> str:
    lines = [f'[jobs."{name}"]', *(f"{key} = {_toml(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {json.dumps(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


def test_a_batch_job_runs_its_command_with_overrides_and_is_described(go: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    script = (
        "import json, os, sys; print('working'); "
        "told = [os.environ[name] for name in ('A', 'B', 'AWS_BATCH_JOB_ATTEMPT')]; "
        "json.dump([sys.argv[1:], *told], open(sys.argv[1], 'w'))"
    )
    arguments = batch(
        Parameters={"out": str(out)},
        ContainerOverrides={
            "Command": [PYTHON, "-c", script, "Ref::out"],
            "Environment": [{"Name": "B", "Value": "two"}],
            "ResourceRequirements": [{"Type": "VCPU", "Value": "0.5"}, {"Type": "MEMORY", "Value": "256"}],
        },
    )
    record = go("batch:submitJob.sync", arguments, bound("prepare", command=["false"], env={"A": "one"}))
    assert record.status == "SUCCEEDED", record.cause
    assert json.loads(out.read_text()) == [[str(out)], "one", "two", "1"]
    shown = record.output
    assert shown["Status"] == "SUCCEEDED" and shown["Container"]["ExitCode"] == 0 and shown["JobName"] == "j"
    assert shown["JobDefinition"] == "prepare:3" and shown["StartedAt"] <= shown["StoppedAt"]
    assert go.history(record) == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    assert "working" in go.logs(record)


def test_a_failed_job_fails_the_state_with_its_description(go: Any) -> None:
    record = go("batch:submitJob.sync", batch(), bound("prepare", command=[PYTHON, "-c", "raise SystemExit(7)"]))
    assert (record.status, record.error) == ("FAILED", "States.TaskFailed")
    shown = json.loads(record.cause)
    assert shown["Status"] == "FAILED" and shown["Container"]["ExitCode"] == 7


def test_tries_follow_the_retry_strategy(go: Any, tmp_path: Path) -> None:
    count = (
        f"import pathlib; p = pathlib.Path({str(tmp_path / 'n')!r}); n = int(p.read_text()) if p.exists() else 0; "
        "p.write_text(str(n + 1)); raise SystemExit([9, 9, 0][n])"
    )
    rules = [{"OnExitCode": "9*", "Action": "RETRY"}, {"OnReason": "*", "Action": "EXIT"}]
    arguments = batch(RetryStrategy={"Attempts": 5, "EvaluateOnExit": rules})
    record = go("batch:submitJob.sync", arguments, bound("prepare", command=[PYTHON, "-c", count]))
    assert record.status == "SUCCEEDED"
    assert [one["Container"]["ExitCode"] for one in record.output["Attempts"]] == [9, 9, 0]


def test_a_rule_that_says_exit_ends_the_tries(go: Any, tmp_path: Path) -> None:
    rules = [{"OnExitCode": "5", "Action": "EXIT"}]
    arguments = batch(RetryStrategy={"Attempts": 5, "EvaluateOnExit": rules})
    record = go("batch:submitJob.sync", arguments, bound("prepare", command=[PYTHON, "-c", "raise SystemExit(5)"]))
    assert len(json.loads(record.cause)["Attempts"]) == 1


def test_an_array_job_runs_its_children(go: Any, tmp_path: Path) -> None:
    touch = (
        f"(pathlib.Path({str(tmp_path)!r}) / ('c' + os.environ['AWS_BATCH_JOB_ARRAY_INDEX'])).touch(); "
        "assert os.environ['AWS_BATCH_JOB_ARRAY_SIZE'] == '3' and os.environ['AWS_BATCH_CE_NAME']"
    )
    script = f"import os, pathlib; {touch}"
    record = go(
        "batch:submitJob.sync", batch(ArrayProperties={"Size": 3}), bound("prepare", command=[PYTHON, "-c", script])
    )
    assert record.output["ArrayProperties"] == {"Size": 3, "StatusSummary": {"FAILED": 0, "SUCCEEDED": 3}}
    assert all((tmp_path / f"c{index}").exists() for index in range(3))


def test_a_time_limit_ends_the_program(go: Any) -> None:
    arguments = batch(Timeout={"AttemptDurationSeconds": 1})
    record = go("batch:submitJob.sync", arguments, bound("prepare", command=["sleep", "60"]))
    assert json.loads(record.cause)["StatusReason"] == "Job attempt duration exceeded timeout"


def test_what_ends_well_after_its_time_limit_has_failed_and_is_not_tried_again(go: Any, tmp_path: Path) -> None:
    """A program may save what it has and leave with status 0 when it is stopped: its job met its limit all the same."""
    polite = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up', flush=True); "
        "time.sleep(60)"
    )
    arguments = batch(Timeout={"AttemptDurationSeconds": 8}, RetryStrategy={"Attempts": 3})
    record = go("batch:submitJob.sync", arguments, bound("prepare", command=[PYTHON, "-c", polite]))
    assert record.status == "FAILED", record.output
    shown = json.loads(record.cause)
    assert (shown["Status"], shown["Container"]["ExitCode"], len(shown["Attempts"])) == ("FAILED", 0, 1)


def test_a_handler_is_given_the_parameters(go: Any, tmp_path: Path) -> None:
    env = {"OUT": str(tmp_path / "o")}
    record = go(
        "batch:submitJob.sync", batch(Parameters={"n": "2"}), bound("prepare", handler="programs:double", env=env)
    )
    assert record.status == "SUCCEEDED", record.cause
    assert json.loads((tmp_path / "o").read_text()) == {"n": "2"}
    record = go("batch:submitJob.sync", batch(), bound("prepare", handler="programs:broken"))
    assert json.loads(record.cause)["Container"]["ExitCode"] == 1
    assert any("it does not work" in line for line in go.logs(record))


def test_an_ecs_task_runs_and_fails_by_its_containers_exit_code(go: Any) -> None:
    def task(code: int) -> dict[str, Any]:
        command = [PYTHON, "-c", f"raise SystemExit({code})"]
        overrides = {"ContainerOverrides": [{"Name": "main", "Command": command}]}
        return {
            "Cluster": "c",
            "TaskDefinition": "arn:aws:ecs:us-east-1:1:task-definition/crunch:4",
            "Overrides": overrides,
        }

    record = go("ecs:runTask.sync", task(0), bound("crunch", command=["false"]))
    assert record.status == "SUCCEEDED", record.cause
    assert record.output["LastStatus"] == "STOPPED" and record.output["Containers"][0]["ExitCode"] == 0
    record = go("ecs:runTask.sync", task(4), bound("crunch", command=["false"]))
    assert record.error == "States.TaskFailed"
    assert json.loads(record.cause)["Containers"][0]["ExitCode"] == 4


def training(tmp_path: Path, **more: Any) -> dict[str, Any]:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    (data / "points.txt").write_text("1 2 3 4")
    channel = {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"file://{data}"}}}
    return {
        "TrainingJobName": "job-1",
        "AlgorithmSpecification": {
            "TrainingImage": "1.dkr.ecr.us-east-1.amazonaws.com/trainer:2",
            "TrainingInputMode": "File",
        },
        "HyperParameters": {"rate": "0.5"},
        "InputDataConfig": [{"ChannelName": "train", **channel}],
        "OutputDataConfig": {"S3OutputPath": f"file://{tmp_path / 'models'}"},
        "CheckpointConfig": {"S3Uri": f"file://{tmp_path / 'saved'}"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Environment": {"STAGE": "test"},
        "RoleArn": "arn:aws:iam::1:role/r",
        **more,
    }


def test_a_training_job_finds_and_leaves_what_sagemakers_contract_says(go: Any, tmp_path: Path) -> None:
    jobs = bound("trainer", command=[PYTHON, "train.py", "{ml}"])
    for number in range(2):
        record = go("sagemaker:createTrainingJob.sync", training(tmp_path), jobs)
        assert record.status == "SUCCEEDED", record.cause
        shown = record.output
        assert shown["TrainingJobStatus"] == "Completed" and shown["TrainingJobName"] == "job-1"
        model = shown["ModelArtifacts"]["S3ModelArtifacts"]
        assert model == f"file://{tmp_path / 'models'}/job-1/output/model.tar.gz"
        with tarfile.open(model.removeprefix("file://")) as archive:
            told = json.load(archive.extractfile("model.json"))  # type: ignore[arg-type]
        before = [f"step-{index}" for index in range(number)]
        assert told == {"mean": 2.5, "rate": "0.5", "seen": before, "env": "test"}
    assert (tmp_path / "models/job-1/output/output.tar.gz").exists()


def test_a_training_job_that_fails_says_why(go: Any, tmp_path: Path) -> None:
    arguments = training(tmp_path, HyperParameters={"fail": "1"})
    record = go("sagemaker:createTrainingJob.sync", arguments, bound("trainer", command=[PYTHON, "train.py", "{ml}"]))
    assert record.error == "States.TaskFailed"
    shown = json.loads(record.cause)
    assert shown["TrainingJobStatus"] == "Failed"
    assert shown["FailureReason"] == "AlgorithmError: the data is bad, exit code: 3"


def test_a_training_job_that_is_stopped_saves_its_model_and_has_not_completed(go: Any, tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys, time\n"
        "def leave(*_):\n"
        "    time.sleep(6)  # longer than other programs get\n"
        "    (pathlib.Path(os.environ['SM_MODEL_DIR']) / 'half').write_text('so far'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave); time.sleep(60)"
    )
    arguments = training(tmp_path, StoppingCondition={"MaxRuntimeInSeconds": 8})
    record = go("sagemaker:createTrainingJob.sync", arguments, bound("trainer", command=[PYTHON, "-c", script]))
    assert record.error == "States.TaskFailed", record.output
    shown = json.loads(record.cause)
    assert (shown["TrainingJobStatus"], shown["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    with tarfile.open(shown["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("file://")) as archive:
        assert archive.getnames() == ["half"]


def test_a_model_that_cannot_be_stored_fails_the_job_with_its_description(go: Any, tmp_path: Path) -> None:
    models = tmp_path / "models"
    script = f"import pathlib; pathlib.Path({str(models / 'job-1')!r}).write_text('no folder')"
    record = go(
        "sagemaker:createTrainingJob.sync", training(tmp_path), bound("trainer", command=[PYTHON, "-c", script])
    )
    assert record.error == "States.TaskFailed"
    shown = json.loads(record.cause)
    assert shown["TrainingJobStatus"] == "Failed"
    assert shown["FailureReason"].startswith("ClientError: Artifact upload failed:")


def test_a_model_is_stored_as_it_is_where_it_is_not_to_be_compressed(go: Any, tmp_path: Path) -> None:
    output = {"S3OutputPath": f"file://{tmp_path / 'models'}", "CompressionType": "NONE"}
    jobs = bound("trainer", command=[PYTHON, "train.py", "{ml}"])
    record = go("sagemaker:createTrainingJob.sync", training(tmp_path, OutputDataConfig=output), jobs)
    assert record.status == "SUCCEEDED", record.cause
    place = record.output["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("file://")
    assert json.loads((Path(place) / "model.json").read_text())["mean"] == 2.5


def test_a_job_asks_for_what_its_overrides_say_in_every_way_that_the_services_have(go: Any) -> None:
    def refused(resource: str, arguments: dict[str, Any]) -> str:
        record = go(resource, arguments, bound("prepare", command=["true"]))
        assert record.error == "Skylift.NoOffer", (record.status, record.cause)
        return str(record.cause)

    assert "3000 processors" in refused("batch:submitJob.sync", batch(ContainerOverrides={"Vcpus": 3000}))
    assert "976,562 GiB" in refused("batch:submitJob.sync", batch(ContainerOverrides={"Memory": 999_999_999}))
    task = {"TaskDefinition": "prepare"}
    assert "3000 proc" in refused("ecs:runTask.sync", {**task, "Overrides": {"Cpu": "3000 vCPU"}})
    assert "9,000 GiB" in refused("ecs:runTask.sync", {**task, "Overrides": {"Memory": "9000 GB"}})
    inside = {"ContainerOverrides": [{"Name": "main", "Cpu": 4_096_000}]}
    assert "4000 proc" in refused("ecs:runTask.sync", {**task, "Overrides": inside})


@pytest.mark.parametrize(
    ("resource", "arguments", "place"),
    [
        ("batch:submitJob.sync", {"ContainerOverrides": {"Command": "ls -l"}}, "$.ContainerOverrides.Command"),
        ("batch:submitJob.sync", {"Timeout": {"AttemptDurationSeconds": "60"}}, "$.Timeout.AttemptDurationSeconds"),
        (
            "batch:submitJob.sync",
            {"ContainerOverrides": {"Environment": {"A": "1"}}},
            "$.ContainerOverrides.Environment",
        ),
        ("batch:submitJob.sync", {"NodeOverrides": {"NumNodes": 4}}, "NodeOverrides"),
        ("ecs:runTask.sync", {"Overrides": {"ContainerOverrides": [3]}}, "$.Overrides.ContainerOverrides[0]"),
        ("ecs:runTask.sync", {"Overrides": {"Cpu": "much"}}, "Cpu is 'much'"),
        ("batch:submitJob.sync", {"ContainerOverrides": {"Memory": 0.5}}, "MEMORY is '0.5'"),
    ],
)
def test_parameters_that_a_service_would_not_take_are_named_before_anything_runs(
    go: Any, resource: str, arguments: dict[str, Any], place: str
) -> None:
    named = {"TaskDefinition": "prepare"} if resource.startswith("ecs") else batch()
    record = go(resource, {**named, **arguments}, bound("prepare", command=["true"]))
    assert (record.status, record.error) == ("FAILED", "States.Runtime")
    assert place in record.cause and "attribute" not in record.cause


def test_whole_numbers_may_be_written_with_a_point(go: Any) -> None:
    overrides = {"Vcpus": 1.0, "Memory": 128.0}
    arguments = batch(ContainerOverrides=overrides, Timeout={"AttemptDurationSeconds": 30.0})
    assert go("batch:submitJob.sync", arguments, bound("prepare", command=["true"])).status == "SUCCEEDED"


def test_a_variable_that_cannot_be_set_is_named(go: Any) -> None:
    environment = [{"Name": "A=B", "Value": "1"}]
    record = go(
        "batch:submitJob.sync",
        batch(ContainerOverrides={"Environment": environment}),
        bound("prepare", command=["true"]),
    )
    assert "the variable 'A=B' of the job j" in record.cause


def test_a_function_is_not_run_by_a_dry_run(go: Any, tmp_path: Path) -> None:
    functions = '[functions]\nmark = "programs:mark"\n'
    arguments = {"FunctionName": "mark", "Payload": {"path": str(tmp_path / "mark")}}
    record = go("lambda:invoke", {**arguments, "InvocationType": "DryRun"}, functions)
    assert record.error == "States.Runtime" and "'DryRun'" in record.cause
    for kind in ({"a": 1}, ["Event"], 5):
        record = go("lambda:invoke", {**arguments, "InvocationType": kind}, functions)
        assert record.error == "States.Runtime" and "InvocationType" in record.cause
    assert not (tmp_path / "mark").exists()
    record = go("lambda:invoke", {**arguments, "InvocationType": "Event"}, functions)
    assert record.status == "SUCCEEDED" and (tmp_path / "mark").exists()


def test_a_program_that_is_not_there_is_named(go: Any) -> None:
    record = go("batch:submitJob.sync", batch(), bound("prepare", command=["/no/such/program"]))
    assert record.status == "FAILED"
    assert "/no/such/program" in record.cause and "[jobs]" in record.cause


def test_a_job_that_nothing_is_bound_to_goes_to_the_service(go: Any) -> None:
    settings = (
        bound("other", command=["true"]) + '\n[services]\nendpoint_url = "http://127.0.0.1:9"\nregion = "us-east-1"\n'
    )
    record = go("batch:submitJob.sync", batch(), settings)
    assert record.status == "FAILED" and record.error != "States.TaskFailed"


def test_stopping_the_run_ends_the_program(go: Any, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = f"import os, pathlib, time; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(600)"
    with pytest.raises(TimeoutError):
        go("batch:submitJob.sync", batch(), bound("prepare", command=[PYTHON, "-c", script]), timeout_s=0.1)
    until(lambda: mark.exists() and mark.read_text() != "")
    pid = int(mark.read_text())
    runtime = go.runtime()
    record = runtime.journal.runs(limit=1)[0]
    runtime.ask(record, StopRequested())
    until(lambda: not psutil.pid_exists(pid))
