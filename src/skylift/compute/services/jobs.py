"""Jobs that `.sync` integrations start: how each service tells where a job is, and how it is stopped. Data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["running", "succeeded", "failed"]
Request = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
"""Of the state's arguments (names in lower case) and what the service answered when it took the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    describe: str
    asks: Request
    found_at: str | None
    """The member of the answer that holds the job, or the list with it; None for the answer itself."""
    state: Callable[[dict[str, Any]], State]
    stop: str | None
    stops: Request
    shows: str | None = None
    """The member that the description stands under in the result."""

    def job(self, answer: dict[str, Any]) -> dict[str, Any] | None:
        """The job's description; None where the service does not know it (yet)."""
        found: Any = answer if self.found_at is None else answer.get(self.found_at)
        if isinstance(found, list):
            found = found[0] if found else None
        return found if isinstance(found, dict) else None

    def result(self, job: dict[str, Any]) -> dict[str, Any]:
        return job if self.shows is None else {self.shows: job}


def by_status(path: str, succeeded: str, failed: str) -> Callable[[dict[str, Any]], State]:
    """A job whose status is one word, at a path with dots."""
    good, bad = frozenset(succeeded.split()), frozenset(failed.split())

    def state(job: dict[str, Any]) -> State:
        value: Any = job
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        return "succeeded" if value in good else "failed" if value in bad else "running"

    return state


def ecs_state(task: dict[str, Any]) -> State:
    """A task is done when it is stopped; it has succeeded when it started and no container ended with an error."""
    if task.get("LastStatus") != "STOPPED":
        return "running"
    codes = [container.get("ExitCode") for container in task.get("Containers", ())]
    wrong = any(code not in (0, None) for code in codes)
    started = any(code is not None for code in codes) or task.get("StopCode") == "EssentialContainerExited"
    return "succeeded" if started and not wrong else "failed"


def _sagemaker(noun: str, status: str, stop: str | None) -> JobKind:
    name = f"{noun}Name"

    def asks(arguments: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
        return {name: arguments.get(name.lower())}

    return JobKind(
        describe=f"describe{noun}",
        asks=asks,
        found_at=None,
        state=by_status(status, "Completed", "Failed Stopped"),
        stop=stop,
        stops=asks,
    )


_REASON = "The Step Functions execution was stopped or timed out."


def _ecs(arguments: dict[str, Any], submitted: dict[str, Any]) -> dict[str, Any]:
    return {"Cluster": arguments.get("cluster"), "Tasks": [_task_arn(submitted)]}


def _task_arn(submitted: dict[str, Any]) -> Any:
    return next((task.get("TaskArn") for task in submitted.get("Tasks", ())), None)


def _build_id(submitted: dict[str, Any]) -> Any:
    return submitted.get("Build", {}).get("Id")


JOBS: dict[tuple[str, str], JobKind] = {
    ("athena", "startQueryExecution"): JobKind(
        describe="getQueryExecution",
        asks=lambda _, submitted: {"QueryExecutionId": submitted.get("QueryExecutionId")},
        found_at="QueryExecution",
        state=by_status("Status.State", "SUCCEEDED", "FAILED CANCELLED"),
        stop="stopQueryExecution",
        stops=lambda _, submitted: {"QueryExecutionId": submitted.get("QueryExecutionId")},
        shows="QueryExecution",
    ),
    ("batch", "submitJob"): JobKind(
        describe="describeJobs",
        asks=lambda _, submitted: {"Jobs": [submitted.get("JobId")]},
        found_at="Jobs",
        state=by_status("Status", "SUCCEEDED", "FAILED"),
        stop="terminateJob",
        stops=lambda _, submitted: {"JobId": submitted.get("JobId"), "Reason": _REASON},
    ),
    ("codebuild", "startBuild"): JobKind(
        describe="batchGetBuilds",
        asks=lambda _, submitted: {"Ids": [_build_id(submitted)]},
        found_at="Builds",
        state=by_status("BuildStatus", "SUCCEEDED", "FAILED FAULT TIMED_OUT STOPPED"),
        stop="stopBuild",
        stops=lambda _, submitted: {"Id": _build_id(submitted)},
        shows="Build",
    ),
    ("ecs", "runTask"): JobKind(
        describe="describeTasks",
        asks=_ecs,
        found_at="Tasks",
        state=ecs_state,
        stop="stopTask",
        stops=lambda arguments, submitted: {
            "Cluster": arguments.get("cluster"),
            "Task": _task_arn(submitted),
            "Reason": _REASON,
        },
    ),
    ("glue", "startJobRun"): JobKind(
        describe="getJobRun",
        asks=lambda arguments, submitted: {"JobName": arguments.get("jobname"), "RunId": submitted.get("JobRunId")},
        found_at="JobRun",
        state=by_status("JobRunState", "SUCCEEDED", "FAILED STOPPED TIMEOUT ERROR EXPIRED"),
        stop="batchStopJobRun",
        stops=lambda arguments, submitted: {
            "JobName": arguments.get("jobname"),
            "JobRunIds": [submitted.get("JobRunId")],
        },
    ),
    ("sagemaker", "createHyperParameterTuningJob"): _sagemaker(
        "HyperParameterTuningJob", "HyperParameterTuningJobStatus", "stopHyperParameterTuningJob"
    ),
    ("sagemaker", "createLabelingJob"): _sagemaker("LabelingJob", "LabelingJobStatus", "stopLabelingJob"),
    ("sagemaker", "createProcessingJob"): _sagemaker("ProcessingJob", "ProcessingJobStatus", "stopProcessingJob"),
    ("sagemaker", "createTrainingJob"): _sagemaker("TrainingJob", "TrainingJobStatus", "stopTrainingJob"),
    ("sagemaker", "createTransformJob"): _sagemaker("TransformJob", "TransformJobStatus", "stopTransformJob"),
}
