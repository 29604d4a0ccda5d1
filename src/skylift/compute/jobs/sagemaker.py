"""`sagemaker:createTrainingJob.sync`: the container contract of SageMaker training, for whatever the image is bound to.

Programs find hyperparameters, channels and folders where SageMaker puts them, below `/opt/ml` in a container; a program
of this machine is told the folder in SM_ROOT (and may write `{ml}` in its command). The model is packed and stored, the
reason of a failure is read from `output/failure`, checkpoints are fetched before the start and stored while it runs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skylift.compute.jobs.containers import built_in_command, command_of, environment_of, folder_of
from skylift.compute.jobs.order import JobFailed, JobOrder, read_order
from skylift.compute.jobs.program import Exit, run
from skylift.compute.jobs.training_checkpoints import CheckpointSync
from skylift.compute.jobs.training_folders import IN_CONTAINER, TrainingFolders, check_place, store_packed, store_plain
from skylift.errors import SetupError

GIVEN = ("input", "model", "output", "checkpoints")
"""Folders of `/opt/ml` that are the job's; what else stands there (`code`) is the image's."""
RUNS = f"{__name__}:run_job"
STOP_GRACE_S = 120.0
"""Between SIGTERM and SIGKILL when its time is over, so that it can save its model (StopTrainingJob)."""
_LONGEST_REASON = 1_024


def run_job(event: Any, context: Any) -> dict[str, Any]:
    """Run the training job; its description, as DescribeTrainingJob gives it. Raises JobFailed with the same."""
    order = read_order(event)
    created = time.time()
    _check_output(order)
    with _root(order) as root:
        folders = TrainingFolders(root, order.parameters)
        folders.prepare()
        _say_hosts(order)
        with CheckpointSync(folders, order.parameters.get("CheckpointConfig") or {}):
            ended = _run(order, folders)
        description = _description(order, created, ended)
        _add_model(description, order, folders, ended)
        if description["TrainingJobStatus"] == "Failed":
            description.setdefault("FailureReason", _reason(ended, folders))
    if description["TrainingJobStatus"] != "Completed":
        raise JobFailed(description)
    return description


def _check_output(order: JobOrder) -> None:
    """Before hours of training: a place that nothing can be written to by its very name."""
    where = (order.parameters.get("OutputDataConfig") or {}).get("S3OutputPath")
    if where is not None:
        try:
            check_place(str(where))
        except (OSError, ValueError, ImportError) as problem:
            raise SetupError(f"OutputDataConfig.S3OutputPath: {where} cannot be written to: {problem}") from problem


def _say_hosts(order: JobOrder) -> None:
    machines = order.parameters.get("ResourceConfig") or {}
    if machines.get("InstanceCount", 1) not in (0, 1) or machines.get("InstanceGroups"):
        said = "this job asks for several instances: here one machine stands for them, and is told that it is alone"
        print(said, file=sys.stderr, flush=True)  # noqa: T201 - the job's log


@contextmanager
def _root(order: JobOrder) -> Iterator[Path]:
    """`/opt/ml` in a container of its own, else a folder for this job alone."""
    if order.binding.image is not None:
        IN_CONTAINER.mkdir(parents=True, exist_ok=True)
        yield IN_CONTAINER
        return
    with tempfile.TemporaryDirectory(prefix="skylift-training-") as folder:
        yield Path(folder)


def _run(order: JobOrder, folders: TrainingFolders) -> Exit:
    parameters = order.parameters
    limit = (parameters.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
    return run(
        [word.replace("{ml}", str(folders.root)) for word in _words(order)],
        environment_of(order, folders.variables(), _told(order), parameters.get("Environment") or {}),
        timeout_s=None if limit is None else float(limit),
        grace_s=STOP_GRACE_S,
        cwd=folder_of(order),
    )


def _words(order: JobOrder) -> list[str]:
    """What an image runs: its entry point with `train`, unless the state has an entry point or arguments of its own.
    What is bound to a command runs that."""
    if order.binding.image is None:
        return command_of(order, None, {})
    specified = order.parameters.get("AlgorithmSpecification") or {}
    entry, arguments = specified.get("ContainerEntrypoint"), specified.get("ContainerArguments")
    if entry:
        return [*entry, *(arguments or ())]
    return [*built_in_command()[0], *(arguments or ("train",))]


def _told(order: JobOrder) -> dict[str, str]:
    return {"TRAINING_JOB_NAME": order.name, "TRAINING_JOB_ARN": order.arn}


def _add_model(description: dict[str, Any], order: JobOrder, folders: TrainingFolders, ended: Exit) -> None:
    """Also of a job that was stopped, if it saved one in time. Where it cannot be stored the job has failed."""
    wanted = any(folders.model.iterdir()) if ended.timed_out else ended.code == 0
    if not wanted:
        return
    try:
        model = _store(order, folders)
    except (OSError, ValueError, ImportError) as problem:
        description["TrainingJobStatus"] = description["SecondaryStatus"] = "Failed"
        description["FailureReason"] = f"ClientError: Artifact upload failed: {problem}"[:_LONGEST_REASON]
        return
    if model is not None:
        description["ModelArtifacts"] = {"S3ModelArtifacts": model}


def _store(order: JobOrder, folders: TrainingFolders) -> str | None:
    """The model as `model.tar.gz`, other output as `output.tar.gz`, or both as they are; the model's URL."""
    output = order.parameters.get("OutputDataConfig") or {}
    where = output.get("S3OutputPath")
    if where is None:
        return None
    place = f"{str(where).rstrip('/')}/{order.name}/output"
    if output.get("CompressionType") == "NONE":
        store_plain(folders.output_data, f"{place}/data/")
        return store_plain(folders.model, f"{place}/model/")
    if any(folders.output_data.iterdir()):
        store_packed(folders.output_data, f"{place}/output.tar.gz")
    return store_packed(folders.model, f"{place}/model.tar.gz")


def _description(order: JobOrder, created: float, ended: Exit) -> dict[str, Any]:
    kept = {key: value for key, value in order.parameters.items() if key not in ("Tags", "Environment")}
    status = "Stopped" if ended.timed_out else "Completed" if ended.code == 0 else "Failed"
    seconds = max(1, round((ended.stopped_ms - ended.started_ms) / 1000))
    return {
        **kept,
        "BillableTimeInSeconds": seconds,
        "CreationTime": int(created * 1000),
        "LastModifiedTime": ended.stopped_ms,
        "SecondaryStatus": "MaxRuntimeExceeded" if ended.timed_out else status,
        "TrainingEndTime": ended.stopped_ms,
        "TrainingJobArn": order.arn,
        "TrainingJobName": order.name,
        "TrainingJobStatus": status,
        "TrainingStartTime": ended.started_ms,
        "TrainingTimeInSeconds": seconds,
    }


def _reason(ended: Exit, folders: TrainingFolders) -> str:
    said = folders.failure() or f"the program ended with exit status {ended.code}"
    return f"AlgorithmError: {said}, exit code: {ended.code}"[:_LONGEST_REASON]
