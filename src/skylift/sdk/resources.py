"""What a task needs, as a user writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skylift.errors import AuthorError
from skylift.ports.compute import Requirements
from skylift.units import parse_duration_ms, parse_memory_mib


class ResourcesInvalid(AuthorError):
    """A requirement that cannot be understood."""

    code = "RESOURCES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Needs shared by several tasks: `@task(resources=Resources(cpus=4, memory="8 GiB"))`. What `@task` says
    itself wins."""

    cpus: float = 1.0
    """Processors, more than 0; attempts start while processors are free."""
    memory: str | int | None = None
    """Most memory of an attempt: `"512 MiB"`, `"2G"`, or a number of MiB. More raises MemoryError in the pipeline."""
    gpu: str | int | None = None
    """`1`, `"V100"` or `"V100:2"`."""
    spot: bool = False
    """May run on machines that can be taken away at any instant. Means nothing to this machine's own processes."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the attempt."""
    secrets: Sequence[str] = ()
    """Names of secrets; the worker finds them and sets them as environment variables."""
    concurrency: int | None = None
    """Most attempts of the task at once, over all runs of this process."""
    environment: str | Sequence[str] | None = None
    """Packages of its own: a requirements or lock file, or requirements in a list: `["scikit-learn==1.5", "numpy"]`."""
    image: str | None = None
    """A container image. Not used by the worker processes of this machine."""
    nodes: int = 1
    """Workers that start together, or not at all, and work on one attempt."""
    work: str | float | None = None
    """How long the task takes on a machine that nobody takes away, as far as you know: what spot is planned by."""
    deadline: str | float | None = None
    """How long after its start the step should have ended, interruptions included: what spot is planned by."""


def requirements_of(
    resources: Resources, *, timeout: str | float | None, heartbeat: str | float | None
) -> Requirements:
    """Checked and in the units of the ports. Raises ResourcesInvalid, or InvalidAmount."""
    if not resources.cpus > 0:
        raise ResourcesInvalid(f"cpus={resources.cpus!r}: must be more than 0")
    if resources.concurrency is not None and resources.concurrency < 1:
        raise ResourcesInvalid(f"concurrency={resources.concurrency!r}: must be 1 or more")
    if resources.nodes < 1:
        raise ResourcesInvalid(f"nodes={resources.nodes!r}: must be 1 or more")
    if isinstance(resources.secrets, str):
        raise ResourcesInvalid(
            f"secrets={resources.secrets!r}: is a text", hint=f"write secrets=[{resources.secrets!r}]"
        )
    timeout_ms = None if timeout is None else parse_duration_ms(timeout, "timeout")
    heartbeat_ms = None if heartbeat is None else parse_duration_ms(heartbeat, "heartbeat")
    if timeout_ms is not None and heartbeat_ms is not None and heartbeat_ms >= timeout_ms:
        raise ResourcesInvalid(
            f"heartbeat={heartbeat!r} is not shorter than timeout={timeout!r}",
            hint="the heartbeat is how long a task may be silent: make it shorter, or leave one of them out",
        )
    return Requirements(
        cpus=float(resources.cpus),
        memory_mib=None if resources.memory is None else parse_memory_mib(resources.memory),
        gpu=str(resources.gpu) if resources.gpu else None,
        spot=resources.spot,
        timeout_ms=timeout_ms,
        heartbeat_ms=heartbeat_ms,
        env=dict(resources.env),
        secrets=tuple(resources.secrets),
        concurrency=resources.concurrency,
        environment=_environment(resources.environment),
        image=resources.image,
        nodes=resources.nodes,
        work_ms=None if resources.work is None else parse_duration_ms(resources.work, "work"),
        deadline_ms=None if resources.deadline is None else parse_duration_ms(resources.deadline, "deadline"),
    )


def _environment(given: str | Sequence[str] | None) -> str | None:
    """As text, which `skylift.sdk.environments` reads again at submission: a file's name, or JSON of the lines."""
    if given is None or isinstance(given, str):
        return f"./{given}" if given is not None and given.startswith("[") else given
    import json  # few tasks have such lines, and all would wait for it

    return json.dumps(list(given))


def merge_resources(base: Resources | None, changes: Mapping[str, Any]) -> Resources:
    """`base` with what was said otherwise."""
    import dataclasses

    return dataclasses.replace(
        base or Resources(), **{name: value for name, value in changes.items() if value is not None}
    )
