"""A recorded attempt of a Batch, ECS or SageMaker job: what it is bound to, and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.config.jobs import JobBinding
    from skylift.engine.views import Attempt
    from skylift.ports.journal import RunRecord
    from skylift.ports.tasks import TaskSpec
    from skylift.recorded import RecordedAttempt

_PREFIX = "skylift.compute.jobs."


class RecordedJob(NamedTuple):
    """The task that stands for a job, and what it is called with."""

    spec: TaskSpec
    event: dict[str, Any]


def recorded_job(attempt: Attempt, record: RunRecord, jobs: Mapping[str, JobBinding]) -> RecordedJob | None:
    """None for what is no job. Raises SetupError for one that nothing is bound to now."""
    from skylift.engine.calls import region_of
    from skylift.engine.jobs import KINDS, bound_job, job_event, spec_of
    from skylift.engine.names import global_token

    if attempt.resource not in KINDS:
        return None
    job = bound_job(attempt.resource, attempt.arguments, jobs)
    if job is None:
        names = " ".join(KINDS[attempt.resource].name)
        raise SetupError(
            f"{attempt.label} is a job that nothing here is bound to: {attempt.resource}",
            hint=f"bind what its {names} says to a command, handler or image under [jobs] in skylift.toml",
            code="NOT-REPLAYABLE",
        )
    try:
        spec = spec_of(job, attempt.arguments)
    except (ValueError, TypeError, AttributeError, ArithmeticError) as problem:
        raise SetupError(f"the job {job.name} cannot be read: {problem}", code="NOT-REPLAYABLE") from None
    token = global_token(record.run_id, attempt.token)
    return RecordedJob(spec, job_event(job, attempt.arguments, token, record.account, region_of(record)))


def is_job(given: RecordedAttempt) -> bool:
    return given.code.target.startswith(_PREFIX)


def checkpoints_of(given: RecordedAttempt) -> str | None:
    """Where a training job keeps its checkpoints."""
    place = (given.arguments["parameters"].get("CheckpointConfig") or {}).get("S3Uri")
    return None if place is None else str(place)


def apart(given: RecordedAttempt, folder: Path) -> RecordedAttempt:
    """The job with places of its own for what a training job stores: those of the run stay as they are."""
    parameters = dict(given.arguments["parameters"])
    for member, key, name in (("OutputDataConfig", "S3OutputPath", "output"), ("CheckpointConfig", "S3Uri", "saved")):
        if isinstance(parameters.get(member), dict) and key in parameters[member]:
            (folder / name).mkdir(exist_ok=True)
            parameters[member] = {**parameters[member], key: f"file://{folder / name}"}
    return msgspec.structs.replace(given, arguments={**given.arguments, "parameters": parameters})
