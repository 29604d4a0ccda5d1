"""What a class of compute allows a task's packages, as data, and whether an environment keeps to it.

Figures: AWS Lambda quotas and runtimes, as of November 2026 ("Deployment package size: 250 MB unzipped, including
layers"; an image may have 10 GB). Containers, batch machines and training jobs run images: an environment has no limit
of its own there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from skylift.compute.environments.building import EnvironmentFailed, built_size, read_spec, refuse_python, this_python
from skylift.compute.environments.resolving import refuse_platform
from skylift.ports.compute import ServiceClass

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore

MIB = 2**20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Of the packages of one task."""

    unzipped_mib: int | None = None
    pythons: tuple[str, ...] = ()
    """Empty for any."""
    platform: str | None = None
    """What every package needs a wheel for, as uv names it; nothing can be built there."""


LIMITS: Mapping[ServiceClass, Limits] = MappingProxyType(
    {
        "function": Limits(
            unzipped_mib=250, pythons=("3.10", "3.11", "3.12", "3.13", "3.14"), platform="x86_64-manylinux2014"
        ),
    }
)


def refuse_unfit(task: str, digest: str, services: Collection[ServiceClass], blobs: BlobStore, cache_dir: Path) -> None:
    """Raises EnvironmentFailed, with the figures, when an environment keeps to the limits of none of these classes.

    Its size is known once it is built: that happens here, if need be, where a class limits it.
    """
    spec = read_spec(digest, blobs)
    problems: list[EnvironmentFailed] = []
    for service in sorted(services):
        try:
            _refuse(service, LIMITS.get(service), digest, spec.requirements, blobs, cache_dir)
            if service == "process":
                refuse_python(spec)
        except EnvironmentFailed as problem:
            problems.append(problem)
        else:
            return
    if problems:
        said = "; ".join(problem.message for problem in problems)
        raise EnvironmentFailed(f"task {task}: its environment {said}", hint=problems[0].hint)


def _refuse(
    service: str, limits: Limits | None, digest: str, lines: tuple[str, ...], blobs: BlobStore, cache_dir: Path
) -> None:
    if limits is None:
        return
    if limits.pythons and this_python() not in limits.pythons:
        raise EnvironmentFailed(
            f"is for Python {this_python()}, and a {service} has {', '.join(limits.pythons)}",
            hint="run Skylift with one of these, or place the task on another backend",
        )
    if limits.platform is not None:
        refuse_platform(lines, limits.platform)
    mib = built_size(digest, blobs, cache_dir) / MIB
    if limits.unzipped_mib is not None and mib > limits.unzipped_mib:
        raise EnvironmentFailed(
            f"takes {mib:.0f} MiB unzipped, and a {service} allows {limits.unzipped_mib}",
            hint="leave packages out, give the task an image (`image=`), or place it on another backend (`on=`)",
        )
