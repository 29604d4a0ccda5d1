"""What is read here of the parameters of jobs, as types: what is something else, or would be passed over in silence, is
refused before anything runs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

_Number = int | float
"""Whole or not: JSONata writes 60 and 60.0 alike."""
_Seconds = Annotated[int, msgspec.Meta(ge=1)] | Annotated[float, msgspec.Meta(ge=1)]
_Words = list[str | int | float]


class _Shape(msgspec.Struct, frozen=True, rename="pascal"):
    """What is not named is let through: other members have no meaning here."""


class _Pair(_Shape, frozen=True):
    name: str
    value: str | int | float | None = None


class _Resource(_Shape, frozen=True):
    type: str
    value: str | int | float


class _Container(_Shape, frozen=True):
    command: _Words | None = None
    environment: list[_Pair] | None = None
    resource_requirements: list[_Resource] | None = None
    vcpus: _Number | None = None
    cpu: _Number | None = None
    memory: _Number | None = None


class _Timeout(_Shape, frozen=True):
    attempt_duration_seconds: _Seconds | None = None


class _SubmitJob(_Shape, frozen=True):
    job_name: str | None = None
    array_properties: dict[str, Any] | None = None
    container_overrides: _Container | None = None
    depends_on: list[dict[str, Any]] | None = None
    parameters: dict[str, str | int | float | bool | None] | None = None
    retry_strategy: dict[str, Any] | None = None
    timeout: _Timeout | None = None


class _TaskOverride(_Shape, frozen=True):
    container_overrides: list[_Container] | None = None
    cpu: str | _Number | None = None
    memory: str | _Number | None = None


class _RunTask(_Shape, frozen=True):
    overrides: _TaskOverride | None = None


class _S3Source(_Shape, frozen=True):
    s3_uri: str | None = msgspec.field(default=None, name="S3Uri")
    s3_data_type: str | None = msgspec.field(default=None, name="S3DataType")
    s3_data_distribution_type: str | None = msgspec.field(default=None, name="S3DataDistributionType")


class _Source(_Shape, frozen=True):
    s3_data_source: _S3Source | None = msgspec.field(default=None, name="S3DataSource")


class _Channel(_Shape, frozen=True):
    channel_name: str
    data_source: _Source | None = None
    input_mode: str | None = None
    content_type: str | None = None
    record_wrapper_type: str | None = None


class _Algorithm(_Shape, frozen=True):
    container_entrypoint: list[str] | None = None
    container_arguments: list[str] | None = None
    training_input_mode: str | None = None


class _Output(_Shape, frozen=True):
    s3_output_path: str | None = msgspec.field(default=None, name="S3OutputPath")
    compression_type: str | None = None


class _Checkpoints(_Shape, frozen=True):
    s3_uri: str | None = msgspec.field(default=None, name="S3Uri")
    local_path: str | None = None


class _Machines(_Shape, frozen=True):
    instance_type: str | None = None
    instance_count: _Number | None = None
    instance_groups: list[dict[str, Any]] | None = None


class _Stopping(_Shape, frozen=True):
    max_runtime_in_seconds: _Seconds | None = None
    max_wait_time_in_seconds: _Seconds | None = None


class _CreateTrainingJob(_Shape, frozen=True):
    training_job_name: str | None = None
    algorithm_specification: _Algorithm | None = None
    hyper_parameters: dict[str, Any] | None = None
    input_data_config: list[_Channel] | None = None
    output_data_config: _Output | None = None
    checkpoint_config: _Checkpoints | None = None
    resource_config: _Machines | None = None
    stopping_condition: _Stopping | None = None
    environment: dict[str, str] | None = None
    enable_managed_spot_training: bool | None = None


_SHAPES: dict[str, Any] = {"batch": _SubmitJob, "ecs": _RunTask, "sagemaker": _CreateTrainingJob}
_ELSEWHERE = {
    "batch": {
        "NodeOverrides": "a binding is one container on one machine: a job of several nodes is not run here",
        "EcsPropertiesOverride": "a binding is one container: say what it runs in ContainerOverrides",
        "EksPropertiesOverride": "a binding is one container: say what it runs in ContainerOverrides",
    }
}
"""Members that would change what is run, and that nothing here heeds."""


def check_parameters(service: str, parameters: dict[str, Any]) -> None:
    """Raises ValueError, which names the place."""
    for name, why in _ELSEWHERE.get(service, {}).items():
        if parameters.get(name):
            raise ValueError(f"{name}: {why}")
    try:
        msgspec.convert(parameters, _SHAPES[service])
    except msgspec.ValidationError as problem:
        raise ValueError(str(problem)) from None
