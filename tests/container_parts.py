"""A container backend for tests, on whatever storage podman is told to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from skylift.compute.container.backend import ContainerBackend
from skylift.compute.container.engine import Mount
from skylift.compute.container.offers import container_machine
from skylift.compute.container.place import PlaceSettings
from skylift.compute.process.machine import this_machine
from skylift.ports.compute import Report

TESTS = str(Path(__file__).parent)


def container_backend(
    report: Report,
    folder: Path,
    *,
    lease_ms: int = 600_000,
    cpus: float = 4.0,
    secrets: Mapping[str, str] | None = None,
    **changes: Any,
) -> ContainerBackend:
    """Attempts may write to `folder/folder`; without a network, unless `changes` of the settings say otherwise."""
    writable = folder / "folder"
    writable.mkdir(exist_ok=True)
    settings = PlaceSettings(
        name="container",
        state=folder / "state",
        project=f"test-{folder.name}",
        blobs=str(folder / "blobs"),
        bundles=str(folder / "bundles"),
        paths=(TESTS,),
        mounts=(Mount(str(writable), str(writable), True),),
        network="none",
        grace_ms=300,
    )
    return ContainerBackend(
        report,
        msgspec.structs.replace(settings, **changes),
        machine=replace(container_machine(this_machine(), None), cpus=cpus),
        secrets=secrets,
        lease_ms=lease_ms,
    )
