"""`sagemaker:createTrainingJob.sync`: the container contract of SageMaker training, for whatever the image is bound to.

Programs find hyperparameters, channels and folders where SageMaker puts them, below `/opt/ml` in a container; a program
of this machine is told the folder in SM_ROOT (and may write `{ml}` in its command). The model is packed and stored, the
reason of a failure is read from `output/failure`, checkpoints are fetched before the start and stored while it runs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skylift.compute.jobs.containers import command_of, environment_of, folder_of
from skylift.compute.jobs.order import JobFailed, JobOrder, read_order
from skylift.compute.jobs.program import Exit, run
from skylift.compute.jobs.training_folders import CheckpointSync, TrainingFolders, store_packed

IN_CONTAINER = Path("/opt/ml")
GIVEN = ("input", "model", "output", "checkpoints")
"""Folders there that are the job's; what else stands there (`code`) is the image's."""
RUNS = f"{__name__}:run_job"
_LONGEST_REASON = 1_024


def run_job(event: Any, context: Any) -> dict[str, Any]:
    """Run the training job; its description, as DescribeTrainingJob gives it. Raises JobFailed with the same."""
    order = read_order(event)
    created = time.time()
    with _root(order) as root:
        folders = TrainingFolders(root, order.parameters)
        folders.prepare()
        with CheckpointSync(folders, order.parameters.get("CheckpointConfig") or {}):
            ended = _run(order, folders)
        model = _store(order, folders) if ended.code == 0 else None
        description = _description(order, created, ended, folders.failure(), model)
    if ended.code != 0:
        raise JobFailed(description)
    return description


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
    words = command_of(order, ["train"] if order.binding.image and not order.binding.command else None, {})
    limit = (parameters.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
    return run(
        [word.replace("{ml}", str(folders.root)) for word in words],
        environment_of(order, folders.variables(), _told(order), parameters.get("Environment") or {}),
        timeout_s=None if limit is None else float(limit),
        cwd=folder_of(order),
    )


def _told(order: JobOrder) -> dict[str, str]:
    return {"TRAINING_JOB_NAME": order.name, "TRAINING_JOB_ARN": order.arn}


def _store(order: JobOrder, folders: TrainingFolders) -> str | None:
    """The model as `model.tar.gz`, other output as `output.tar.gz`; the model's URL."""
    where = (order.parameters.get("OutputDataConfig") or {}).get("S3OutputPath")
    if where is None:
        return None
    place = f"{str(where).rstrip('/')}/{order.name}/output"
    if any(folders.output_data.iterdir()):
        store_packed(folders.output_data, f"{place}/output.tar.gz")
    return store_packed(folders.model, f"{place}/model.tar.gz")


def _description(
    order: JobOrder, created: float, ended: Exit, failure: str | None, model: str | None
) -> dict[str, Any]:
    parameters = order.parameters
    kept = {key: value for key, value in parameters.items() if key not in ("Tags", "Environment")}
    stopped = ended.timed_out
    status = "Completed" if ended.code == 0 else "Stopped" if stopped else "Failed"
    description: dict[str, Any] = {
        **kept,
        "CreationTime": int(created * 1000),
        "LastModifiedTime": ended.stopped_ms,
        "SecondaryStatus": "MaxRuntimeExceeded" if stopped else status,
        "TrainingEndTime": ended.stopped_ms,
        "TrainingJobArn": order.arn,
        "TrainingJobName": order.name,
        "TrainingJobStatus": status,
        "TrainingStartTime": ended.started_ms,
        "TrainingTimeInSeconds": max(1, round((ended.stopped_ms - ended.started_ms) / 1000)),
    }
    if model is not None:
        description["ModelArtifacts"] = {"S3ModelArtifacts": model}
    if status == "Failed":
        said = failure or f"the program ended with exit status {ended.code}"
        description["FailureReason"] = f"AlgorithmError: {said}, exit code: {ended.code}"[:_LONGEST_REASON]
    return description
