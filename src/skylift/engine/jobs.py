"""`[jobs]`: which bound program stands for a job that a state gives to Batch, ECS or SageMaker, and what it needs."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from skylift.config.jobs import JobBinding
from skylift.engine.job_shapes import check_parameters
from skylift.ports.compute import Requirements
from skylift.ports.tasks import TaskSpec
from skylift.units import parse_duration_ms, parse_memory_mib

_STATES = "arn:aws:states:::"
_GPU = re.compile(r"[0-9]{1,4}", re.ASCII)
_MEMORY = re.compile(r"[0-9]{1,9}", re.ASCII)
_VCPUS = re.compile(r"([0-9]{0,6}\.?[0-9]{1,6}) *vcpu", re.ASCII | re.IGNORECASE)
_GB = re.compile(r"([0-9]{0,6}\.?[0-9]{1,6}) *gb", re.ASCII | re.IGNORECASE)


class JobKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of job."""

    service: str
    name: tuple[str, ...]
    """Where the name of the job's definition stands in the parameters."""
    runs: str
    """The function that runs it in a worker."""


KINDS = {
    f"{_STATES}batch:submitJob.sync": JobKind(
        service="batch", name=("JobDefinition",), runs="skylift.compute.jobs.batch:run_job"
    ),
    f"{_STATES}ecs:runTask.sync": JobKind(
        service="ecs", name=("TaskDefinition",), runs="skylift.compute.jobs.ecs:run_job"
    ),
    f"{_STATES}sagemaker:createTrainingJob.sync": JobKind(
        service="sagemaker",
        name=("AlgorithmSpecification", "TrainingImage"),
        runs="skylift.compute.jobs.sagemaker:run_job",
    ),
}


class BoundJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a binding answers for."""

    kind: JobKind
    binding: JobBinding
    name: str
    """Of the job, or of what defines it."""


def bound_job(resource: str, arguments: Any, jobs: Mapping[str, JobBinding]) -> BoundJob | None:
    """None for what is no job, or for one that nothing is bound to: the service itself is asked then."""
    kind = KINDS.get(resource)
    if kind is None or not jobs or not isinstance(arguments, dict):
        return None
    named: Any = arguments
    for key in kind.name:
        named = named.get(key) if isinstance(named, dict) else None
    if not isinstance(named, str):
        return None
    found = next((jobs[name] for name in _names(named) if name in jobs), None)
    return None if found is None else BoundJob(kind=kind, binding=found, name=_job_name(kind, arguments, named))


def _names(named: str) -> list[str]:
    """From the most to the least exact: as written, without the revision or tag, without what stands before a slash."""
    plain = named.rpartition("/")[2]
    return [named, plain, named.rpartition(":")[0] or named, plain.partition(":")[0]]


def _job_name(kind: JobKind, arguments: dict[str, Any], named: str) -> str:
    given = arguments.get("JobName") or arguments.get("TrainingJobName")
    return str(given) if given else named.rpartition("/")[2].partition(":")[0]


def spec_of(job: BoundJob, arguments: dict[str, Any]) -> TaskSpec:
    """The job as a task: a function of ours runs what it is bound to. Raises ValueError for parameters that the service
    would not take, and for what cannot be had here."""
    check_parameters(job.kind.service, arguments)
    binding = job.binding
    return TaskSpec(
        name=job.name,
        target=job.kind.runs,
        convention="handler",
        on=binding.on or ("container" if binding.image is not None else None),
        requirements=_requirements(job, arguments),
    )


def _requirements(job: BoundJob, arguments: dict[str, Any]) -> Requirements:
    binding = job.binding
    asked = _asked(job.kind.service, arguments)
    memory, gpu = asked.get("MEMORY"), asked.get("GPU")
    cpus = _number(asked.get("VCPU")) or binding.cpus or 1.0
    if memory is not None and _MEMORY.fullmatch(memory) is None:
        raise ValueError(f"MEMORY is {memory[:40]!r}, which is no number of MiB")
    if gpu is not None and _GPU.fullmatch(gpu) is None:
        raise ValueError(f"GPU is {gpu[:40]!r}, which is no number of GPUs")
    spot = job.kind.service == "sagemaker" and bool(arguments.get("EnableManagedSpotTraining"))
    stopping = arguments.get("StoppingCondition") or {}
    return Requirements(
        cpus=cpus,
        memory_mib=int(memory) if memory else parse_memory_mib(binding.memory) if binding.memory else None,
        gpu=gpu,
        spot=spot,
        timeout_ms=parse_duration_ms(binding.timeout) if binding.timeout else None,
        deadline_ms=int(stopping["MaxWaitTimeInSeconds"]) * 1000
        if spot and "MaxWaitTimeInSeconds" in stopping
        else None,
        env=binding.env,
        secrets=binding.secrets,
        image=binding.image,
    )


def _number(given: str | None) -> float | None:
    """Of processors."""
    if given is None:
        return None
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"VCPU is {given[:40]!r}, which is no number of processors")
    return number


def _asked(service: str, arguments: dict[str, Any]) -> dict[str, str]:
    """Processors, memory (MiB) and GPUs by the names of Batch, as the state overrides them."""
    if service == "batch":
        overrides = arguments.get("ContainerOverrides") or {}
        old = {"VCPU": overrides.get("Vcpus"), "MEMORY": overrides.get("Memory")}
        return {**_given(old), **_listed(overrides)}
    if service == "ecs":
        overrides = arguments.get("Overrides") or {}
        inside: dict[str, Any] = next(iter(overrides.get("ContainerOverrides") or ()), {})
        container = {"VCPU": _vcpus(inside.get("Cpu")), "MEMORY": inside.get("Memory"), **_listed(inside)}
        task = {"VCPU": _vcpus(overrides.get("Cpu")), "MEMORY": _mib(overrides.get("Memory"))}
        return {**_given(container), **_given(task)}
    return {}


def _listed(overrides: dict[str, Any]) -> dict[str, str]:
    listed = overrides.get("ResourceRequirements") or ()
    return {str(one["Type"]).upper(): str(one["Value"]) for one in listed}


def _given(asked: dict[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in asked.items() if value is not None}


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _vcpus(units: Any) -> str | None:
    """ECS counts 1,024 units a processor, or says `0.5 vCPU`."""
    if units is None:
        return None
    words = _VCPUS.fullmatch(str(units))
    if words is not None:
        return words[1]
    if _MEMORY.fullmatch(_text(units)) is None:
        raise ValueError(f"Cpu is {str(units)[:40]!r}, which is no number of CPU units")
    return str(int(units) / 1024)


def _mib(memory: Any) -> Any:
    """ECS says `2048`, in MiB, or `2 GB`."""
    words = _GB.fullmatch(str(memory))
    return memory if words is None else int(float(words[1]) * 1024)


def job_event(job: BoundJob, arguments: dict[str, Any], token: str, account: str, region: str) -> dict[str, Any]:
    """What the function is called with, see `skylift.compute.jobs.order`."""
    number = job_id(token)
    return {
        "service": job.kind.service,
        "binding": msgspec.to_builtins(job.binding),
        "parameters": arguments,
        "id": number,
        "name": job.name,
        "arn": _arn(job, number, account, region),
    }


def submitted(job: BoundJob, token: str, account: str, region: str) -> dict[str, Any]:
    """What the service would have answered when it took the job."""
    number = job_id(token)
    arn = _arn(job, number, account, region)
    if job.kind.service == "batch":
        return {"JobArn": arn, "JobId": number, "JobName": job.name}
    if job.kind.service == "ecs":
        return {"Failures": [], "Tasks": [{"LastStatus": "PROVISIONING", "TaskArn": arn}]}
    return {"TrainingJobArn": arn}


def job_id(token: str) -> str:
    """The same for every delivery of an attempt."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"skylift:{token}"))


def _arn(job: BoundJob, number: str, account: str, region: str) -> str:
    what = {"batch": f"job/{number}", "ecs": f"task/default/{number.replace('-', '')}"}
    rest = what.get(job.kind.service, f"training-job/{job.name}")
    return f"arn:aws:{job.kind.service}:{region or 'us-east-1'}:{account or '000000000000'}:{rest}"
