"""Jobs bound to an image: its own program runs in a container, as Batch, ECS and SageMaker would run it."""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from podman import containers, podman, podman_variables  # noqa: F401  # a fixture

from skylift.cli.main import cli
from skylift.compute.container.engine import find_engine
from skylift.compute.container.images import Images
from skylift.config import load_config
from skylift.ports.journal import RunRecord
from skylift.runtime import Runtime
from skylift.sdk.submission import document_submission

STATES = "arn:aws:states:::"
IMAGE = "localhost/job:1"
WAIT_S = 120.0

PROGRAM = """
import json, os, pathlib, sys, time

if sys.argv[1:] != ["train"]:
    print("given", *sys.argv[1:], os.environ.get("WHO"), flush=True)
    sys.exit(0 if sys.argv[1] == "well" else 7)
root = pathlib.Path("/opt/ml")
hyper = json.loads((root / "input/config/hyperparameters.json").read_text())
points = [float(word) for word in (root / "input/data/train/points.txt").read_text().split()]
saved = sorted(file.name for file in (root / "checkpoints").iterdir())
if not saved:
    (root / "checkpoints/step-1").write_text("half of the work")
    time.sleep(600)
model = {"mean": sum(points) / len(points), "rate": hyper["rate"], "resumed": saved}
(root / "model/model.json").write_text(json.dumps(model))
"""


class Jobs:
    """One state at a time, with the image bound to whatever it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("data", "saved", "models"):
            (folder / name).mkdir()
        (folder / "data/points.txt").write_text("1 2 3 4")
        mounts = [str(folder / name) for name in ("data", "saved", "models")]
        bound = "".join(f"[jobs.{name}]\nimage = '{IMAGE}'\n" for name in ("prepare", "crunch", "trainer"))
        settings = f"{bound}[backends.container]\nnetwork = 'none'\nmounts = {json.dumps(mounts)}\n"
        (folder / "skylift.toml").write_text(settings)
        self.runtime = Runtime(load_config(folder))

    def start(self, resource: str, arguments: dict[str, Any]) -> RunRecord:
        state = {"Type": "Task", "Resource": f"{STATES}{resource}", "Arguments": arguments, "End": True}
        document = {"QueryLanguage": "JSONata", "StartAt": "Job", "States": {"Job": state}}
        return self.runtime.submit(document_submission("jobs", json.dumps(document).encode()), {})

    def run(self, resource: str, arguments: dict[str, Any]) -> RunRecord:
        return self.runtime.wait(self.start(resource, arguments).run_id, timeout_s=WAIT_S)

    def said(self, record: RunRecord) -> list[str]:
        return [line.text for line in self.runtime.reader.log_lines(record)]


@pytest.fixture(scope="module")
def image(podman_variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:  # noqa: F811
    """With an entry point and a command of its own."""
    folder = tmp_path_factory.mktemp("image")
    base = Images(find_engine("podman"), folder).find(None)
    (folder / "program.py").write_text(PROGRAM)
    words = json.dumps([base.python, "/program.py"])
    lines = [f"FROM {base.name}", "COPY program.py /program.py", f"ENTRYPOINT {words}", 'CMD ["well", "by itself"]']
    (folder / "Containerfile").write_text("\n".join(lines))
    podman(podman_variables, "build", "--tag", IMAGE, str(folder))


@pytest.fixture
def jobs(tmp_path: Path, image: None) -> Iterator[Jobs]:
    made = Jobs(tmp_path)
    yield made
    made.runtime.close()


def test_a_batch_job_runs_the_images_own_command_unless_the_state_says_another(jobs: Jobs) -> None:
    job = {"JobName": "j", "JobQueue": "q", "JobDefinition": "prepare:3"}
    record = jobs.run("batch:submitJob.sync", job)
    assert record.status == "SUCCEEDED", record.cause
    assert "given well by itself None" in jobs.said(record)
    assert record.output["Container"]["Image"] == IMAGE and record.output["Container"]["ExitCode"] == 0
    environment = [{"Name": "WHO", "Value": "me"}]
    overrides = {"Command": ["ill", "Ref::n"], "Environment": environment}
    record = jobs.run("batch:submitJob.sync", {**job, "Parameters": {"n": "5"}, "ContainerOverrides": overrides})
    assert record.error == "States.TaskFailed"
    assert json.loads(record.cause)["Container"]["ExitCode"] == 7
    assert "given ill 5 me" in jobs.said(record)


def test_an_ecs_task_runs_in_its_image(jobs: Jobs) -> None:
    overrides = {"ContainerOverrides": [{"Name": "main", "Command": ["well", "told"]}], "Cpu": "512", "Memory": "256"}
    record = jobs.run("ecs:runTask.sync", {"Cluster": "c", "TaskDefinition": "crunch:4", "Overrides": overrides})
    assert record.status == "SUCCEEDED", record.cause
    assert record.output["Containers"][0]["ExitCode"] == 0
    assert "given well told None" in jobs.said(record)


def test_a_training_job_runs_the_entry_point_and_arguments_that_the_state_says(jobs: Jobs) -> None:
    def train(**specified: list[str]) -> RunRecord:
        image = {"TrainingImage": "1.dkr.ecr.us-east-1.amazonaws.com/trainer:2", **specified}
        arguments = {"TrainingJobName": "job-2", "AlgorithmSpecification": image, "RoleArn": "arn:aws:iam::1:role/r"}
        return jobs.run("sagemaker:createTrainingJob.sync", arguments)

    record = train(ContainerArguments=["well", "told"])
    assert record.status == "SUCCEEDED", record.cause
    assert "given well told None" in jobs.said(record)
    record = train(ContainerEntrypoint=["sh", "-c"], ContainerArguments=["echo by $0 && exit 0", "itself"])
    assert record.status == "SUCCEEDED", record.cause
    assert "by itself" in jobs.said(record)


def test_a_training_job_goes_on_from_its_checkpoint_when_its_spot_machine_is_taken_away(
    jobs: Jobs,
    podman_variables: dict[str, str],  # noqa: F811
) -> None:
    folder = jobs.folder
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"file://{folder / 'data'}"}}
    record = jobs.start(
        "sagemaker:createTrainingJob.sync",
        {
            "TrainingJobName": "job-1",
            "AlgorithmSpecification": {"TrainingImage": "1.dkr.ecr.us-east-1.amazonaws.com/trainer:2"},
            "HyperParameters": {"rate": "0.5"},
            "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
            "OutputDataConfig": {"S3OutputPath": f"file://{folder / 'models'}"},
            "CheckpointConfig": {"S3Uri": f"file://{folder / 'saved'}"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 300, "MaxWaitTimeInSeconds": 600},
            "EnableManagedSpotTraining": True,
            "RoleArn": "arn:aws:iam::1:role/r",
        },
    )
    while not (folder / "saved/step-1").exists():
        assert record.status == "RUNNING", record.cause
        with contextlib.suppress(TimeoutError):
            record = jobs.runtime.wait(record.run_id, timeout_s=0.2)
    [name] = containers(podman_variables)
    podman(podman_variables, "kill", "--signal", "KILL", name)
    record = jobs.runtime.wait(record.run_id, timeout_s=WAIT_S)
    assert record.status == "SUCCEEDED", record.cause
    assert record.output["TrainingJobStatus"] == "Completed"
    events = [event.type for event in jobs.runtime.reader.history(record)]
    assert events.count("TaskSubmitted") == 1 and events.count("TaskSucceeded") == 1
    model = record.output["ModelArtifacts"]["S3ModelArtifacts"]
    with tarfile.open(model.removeprefix("file://")) as archive:
        told = json.load(archive.extractfile("model.json"))  # type: ignore[arg-type]
    assert told == {"mean": 2.5, "rate": "0.5", "resumed": ["step-1"]}


def test_replay_starts_the_image_again(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was refused."""
    overrides = {"Command": ["ill", "Ref::n"], "Environment": [{"Name": "WHO", "Value": "me"}]}
    job = {"JobName": "j", "JobQueue": "q", "JobDefinition": "prepare:3", "Parameters": {"n": "5"}}
    record = jobs.run("batch:submitJob.sync", {**job, "ContainerOverrides": overrides})
    assert record.error == "States.TaskFailed"
    before = jobs.runtime.journal.runs(limit=9)
    monkeypatch.chdir(jobs.folder)
    done = CliRunner().invoke(cli, ["replay", record.run_id, "Job"], standalone_mode=False)
    assert done.exception is None, done.exception
    assert (done.return_value, done.stdout) == (1, "given ill 5 me\n")
    assert f"in {IMAGE}" in done.stderr and '"ExitCode":7' in done.stderr
    assert jobs.runtime.journal.runs(limit=9) == before
    assert not jobs.runtime.leased().left, "the container has gone"
