"""What a run may ask of a job that is bound here, whose account may run no code of its own: nothing that would be code.

The administrator has said which program stands for the job. It is started with the parameters of the account, and with
nothing that would make another program of it, or have it read and write what the administrator did not allow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from skylift.engine.buckets import Access, BucketError, open_bucket
from skylift.engine.jobs import BoundJob
from skylift.engine.places import Places

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_STEERING = (
    *("LD_", "DYLD_", "GCONV", "GLIBC_", "MALLOC_", "PYTHON", "BASH", "PERL", "RUBY", "NODE_", "NPM_", "JAVA", "JDK_"),
    *("_JAVA", "LUA", "PHP", "R_", "GIT_", "SSH_", "SSL_", "OPENSSL_", "CURL_", "REQUESTS_", "UV_", "PIP_", "AWS_"),
    *("GOOGLE_", "GCLOUD_", "GCS_", "AZURE_", "FSSPEC_", "S3_", "SKYLIFT", "SM_", "RAY_", "CUDA_", "NCCL_"),
)
_STEERING_ENDS = ("PATH", "_PROXY", "_PRELOAD", "OPTIONS", "OPTS", "_HOME", "_ENDPOINT", "_URL")
_STEERING_NAMES = frozenset(
    (
        *("ENV", "IFS", "HOME", "SHELL", "PS4", "PROMPT_COMMAND", "TMPDIR", "TMP", "TEMP", "EDITOR", "VISUAL"),
        *("PAGER", "BROWSER", "USER", "LOGNAME", "LANG"),
    )
)


def refusal(job: BoundJob, arguments: dict[str, Any], account: str, places: Places) -> str | None:
    """Why it may not run so; None where it may. `arguments` that are not what the service takes may raise TypeError,
    ValueError or AttributeError."""
    return next(_refusals(job, arguments, account, places), None)


def _refusals(job: BoundJob, arguments: dict[str, Any], account: str, places: Places) -> Iterator[str]:
    code = f"account {account} may run no code on this server: see allow_code in its settings"
    if _NAME.fullmatch(job.name) is None:
        yield f"its name {job.name[:80]!r} is not letters, digits, - and _"
    for override in _overrides(job, arguments):
        if override.get("Command") and job.binding.handler is None:
            yield f"it overrides the command, and {code}"
    held = {*job.binding.env, *job.binding.secrets}
    for name in _variables(job, arguments):
        if name in held:
            yield f"the variable {name} is set by the binding of the job, and {code}"
        if _steers(name):
            yield f"the variable {name[:80]!r} can change what a program is and does, and {code}"
    for url, action in _urls(job, arguments):
        try:
            open_bucket(url, Access(account=account, places=places, action=action))
        except BucketError as problem:
            yield str(problem)


def _overrides(job: BoundJob, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Of containers."""
    if job.kind.service == "batch":
        return [dict(arguments.get("ContainerOverrides") or {})]
    if job.kind.service == "ecs":
        return [dict(one) for one in (arguments.get("Overrides") or {}).get("ContainerOverrides") or ()]
    specified = arguments.get("AlgorithmSpecification") or {}
    words = [*(specified.get("ContainerEntrypoint") or ()), *(specified.get("ContainerArguments") or ())]
    return [{"Command": words}]


def _variables(job: BoundJob, arguments: dict[str, Any]) -> Iterator[str]:
    if job.kind.service == "sagemaker":
        yield from map(str, arguments.get("Environment") or {})
        return
    for override in _overrides(job, arguments):
        for one in override.get("Environment") or ():
            yield str(one.get("Name"))


def _steers(name: str) -> bool:
    """Loaders, interpreters, shells and clients look at it, or it is there already."""
    upper = name.upper()
    return (
        _VARIABLE.fullmatch(name) is None
        or name in os.environ
        or upper in _STEERING_NAMES
        or upper.startswith(_STEERING)
        or upper.endswith(_STEERING_ENDS)
    )


def _urls(job: BoundJob, arguments: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Places that a training job names, and what is done with them."""
    if job.kind.service != "sagemaker":
        return
    for channel in arguments.get("InputDataConfig") or ():
        source = ((channel.get("DataSource") or {}).get("S3DataSource") or {}).get("S3Uri")
        if source is not None:
            yield _url(source), "s3:getObject"
    output = (arguments.get("OutputDataConfig") or {}).get("S3OutputPath")
    if output is not None:
        yield _url(output), "s3:putObject"
    checkpoints = (arguments.get("CheckpointConfig") or {}).get("S3Uri")
    if checkpoints is not None:
        yield _url(checkpoints), "s3:getObject"
        yield _url(checkpoints), "s3:putObject"


def _url(given: Any) -> str:
    """Refused as a plain name: what reads it here would take that for a folder."""
    if not isinstance(given, str) or "://" not in given or ".." in given.split("/"):
        raise ValueError(f"{str(given)[:200]!r} is not an S3 URI")
    return given
