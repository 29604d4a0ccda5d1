"""The parameters of AWS Batch's SubmitJob as a job request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skylift.compute.batch.jobs import Dependency, ExitRule, JobRequest, Retry
from skylift.errors import AuthorError
from skylift.ports.compute import Requirements, TaskCall

MOST_CHILDREN = 10_000
"""Of an array job, as at the service."""
_MOST_TRIES = 10


class _Array(msgspec.Struct, frozen=True, rename="pascal"):
    size: int | None = None


class _Depends(msgspec.Struct, frozen=True, rename="pascal"):
    job_id: str | None = None
    type: str = ""


class _Rule(msgspec.Struct, frozen=True, rename="pascal"):
    action: str
    on_status_reason: str | None = None
    on_reason: str | None = None
    on_exit_code: str | None = None


class _Strategy(msgspec.Struct, frozen=True, rename="pascal"):
    attempts: int = 1
    evaluate_on_exit: tuple[_Rule, ...] = ()


class _Timeout(msgspec.Struct, frozen=True, rename="pascal"):
    attempt_duration_seconds: int | None = None


class _Resource(msgspec.Struct, frozen=True, rename="pascal"):
    type: str
    value: str


class _Pair(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    value: str = ""


class _Overrides(msgspec.Struct, frozen=True, rename="pascal"):
    resource_requirements: tuple[_Resource, ...] = ()
    environment: tuple[_Pair, ...] = ()


class _SubmitJob(msgspec.Struct, frozen=True, rename="pascal"):
    job_name: str
    array_properties: _Array = _Array()
    depends_on: tuple[_Depends, ...] = ()
    retry_strategy: _Strategy = _Strategy()
    timeout: _Timeout = _Timeout()
    container_overrides: _Overrides = _Overrides()


def request_of(parameters: Mapping[str, Any], call: TaskCall) -> JobRequest:
    """`call` says what runs; what the parameters say of machines, time and tries goes over it. The job's id is the
    call's token. Raises AuthorError, which names the place."""
    try:
        given = msgspec.convert(parameters, _SubmitJob)
    except msgspec.ValidationError as problem:
        raise AuthorError(f"submitJob: {problem}", code="JOB") from problem
    size = given.array_properties.size
    if size is not None and not 2 <= size <= MOST_CHILDREN:
        raise AuthorError(f"submitJob: ArrayProperties.Size is {size}; it is from 2 to {MOST_CHILDREN}", code="JOB")
    return JobRequest(
        id=call.token,
        call=msgspec.structs.replace(call, label=given.job_name, requirements=_needs(given, call.requirements)),
        size=size,
        after=tuple(_dependency(each) for each in given.depends_on),
        retry=_retry(given.retry_strategy),
    )


def retry_of(strategy: Mapping[str, Any]) -> Retry:
    """Of its RetryStrategy alone. Raises AuthorError, which names the place."""
    try:
        return _retry(msgspec.convert(strategy, _Strategy))
    except msgspec.ValidationError as problem:
        raise AuthorError(f"submitJob: RetryStrategy: {problem}", code="JOB") from problem


def _retry(strategy: _Strategy) -> Retry:
    attempts = strategy.attempts
    if not 1 <= attempts <= _MOST_TRIES:
        raise AuthorError(f"submitJob: RetryStrategy.Attempts is {attempts}; it is from 1 to {_MOST_TRIES}", code="JOB")
    return Retry(attempts=attempts, rules=tuple(_rule(each) for each in strategy.evaluate_on_exit))


def _dependency(each: _Depends) -> Dependency:
    if each.type not in ("", "SEQUENTIAL", "N_TO_N"):
        raise AuthorError(f"submitJob: DependsOn.Type is {each.type!r}; it is N_TO_N or SEQUENTIAL", code="JOB")
    return Dependency(job=each.job_id, kind=each.type)  # type: ignore[arg-type]


def _rule(each: _Rule) -> ExitRule:
    action = each.action.upper()
    if action not in ("RETRY", "EXIT"):
        raise AuthorError(f"submitJob: EvaluateOnExit.Action is {each.action!r}; it is RETRY or EXIT", code="JOB")
    return ExitRule(
        action=action,  # type: ignore[arg-type]
        on_status_reason=each.on_status_reason,
        on_reason=each.on_reason,
        on_exit_code=each.on_exit_code,
    )


def _needs(given: _SubmitJob, needs: Requirements) -> Requirements:
    asked = {each.type.upper(): each.value for each in given.container_overrides.resource_requirements}
    unknown = sorted(set(asked) - {"VCPU", "MEMORY", "GPU"})
    if unknown:
        raise AuthorError(
            f"submitJob: ResourceRequirements.Type is {unknown[0]!r}; it is VCPU, MEMORY or GPU", code="JOB"
        )
    try:
        cpus = float(asked["VCPU"]) if "VCPU" in asked else needs.cpus
        memory = int(asked["MEMORY"]) if "MEMORY" in asked else needs.memory_mib
    except ValueError as problem:
        raise AuthorError(f"submitJob: ResourceRequirements.Value: {problem}", code="JOB") from problem
    limit_s = given.timeout.attempt_duration_seconds
    return msgspec.structs.replace(
        needs,
        cpus=cpus,
        memory_mib=memory,
        gpu=asked.get("GPU", needs.gpu),
        timeout_ms=needs.timeout_ms if limit_s is None else limit_s * 1000,
        env={**needs.env, **{pair.name: pair.value for pair in given.container_overrides.environment}},
    )
