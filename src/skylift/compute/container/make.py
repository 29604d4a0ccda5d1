"""The container backend from a project's settings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from skylift.compute.container.backend import ContainerBackend
from skylift.compute.container.engine import find_engine
from skylift.compute.container.offers import container_machine, offers_of
from skylift.compute.container.place import PlaceSettings, parsed_mount
from skylift.compute.parts import Parts
from skylift.compute.process.machine import this_machine
from skylift.config import InvalidConfig
from skylift.ports.compute import Offer, Requirements
from skylift.units import parse_duration_ms

NAME = "container"


def make_backend(parts: Parts) -> ContainerBackend:
    """Raises SetupError where there is no container engine, or a setting makes no sense."""
    config = parts.config
    settings = config.backends.container
    try:
        mounts = tuple(parsed_mount(text, config.project) for text in settings.mounts)
    except ValueError as problem:
        raise InvalidConfig(f"[backends.container] mounts: {problem}", hint='write it as "data:/data:ro"') from None
    state = (parts.state / NAME).absolute()
    return ContainerBackend(
        parts.report,
        PlaceSettings(
            name=NAME,
            state=state,
            project=project_of(state),
            blobs=parts.blobs,
            bundles=parts.bundles,
            paths=(str(config.project.absolute()),),
            mounts=mounts,
            withheld=frozenset(parts.withheld),
            network=settings.network,
            pids=settings.pids,
        ),
        machine=container_machine(this_machine(), settings.containers),
        engine=find_engine(settings.engine),
        image=settings.image,
        secrets=parts.secrets,
        lease_ms=parse_duration_ms(settings.lease, "[backends.container] lease"),
    )


def offers(parts: Parts, requirements: Requirements) -> Sequence[Offer]:
    return offers_of(NAME, container_machine(this_machine(), parts.config.backends.container.containers), requirements)


def project_of(state: Path) -> str:
    """The same for all processes of a project, on this machine."""
    return hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]
