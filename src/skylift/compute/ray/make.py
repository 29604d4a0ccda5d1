"""From the settings to the backend, and what can be said of it before there is one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from skylift.compute.environments.building import read_spec, refuse_python
from skylift.compute.parts import Parts
from skylift.compute.process.machine import cpu_count, memory_mib
from skylift.compute.ray.shape import offers_of, unknown_offer
from skylift.compute.ray.wire import HostConfig, Node, SupervisorConfig
from skylift.compute.worker.main import open_blobs
from skylift.compute.worker.wire import WorkerConfig
from skylift.errors import SetupError
from skylift.ports.compute import Backend, Offer, Requirements
from skylift.units import parse_duration_ms

NAME = "ray"


def make_backend(parts: Parts) -> Backend:
    """Raises SetupError where Ray is not installed here."""
    from importlib.util import find_spec

    from skylift.compute.ray.backend import RayBackend

    if find_spec("ray") is None:
        raise SetupError("Ray is not installed", hint="pip install 'skylift[ray]'", code="RAY")
    settings = parts.config.backends.ray
    folder = parts.state / NAME
    config = supervisor_config(parts, folder)
    return RayBackend(
        parts.report,
        config,
        folder=folder,
        address=settings.address,
        cpus=settings.cpus,
        check_environment=lambda digest: _check_environment(parts.blobs, digest),
        keep_probe=lambda: _store(config.host.blobs).put(_probe(config.host.mark_text)),
    )


def offers(parts: Parts, requirements: Requirements) -> Sequence[Offer]:
    """A guess: of a cluster that exists nothing is known yet, one that is started here is this machine."""
    settings = parts.config.backends.ray
    if requirements.image is not None:
        return []
    if settings.address is not None:
        return [unknown_offer(NAME, requirements)]
    here = Node(id="", address="", cpus=float(settings.cpus or cpu_count()), memory_mib=memory_mib())
    if requirements.gpu is not None:
        from skylift.compute.process.machine import this_machine

        gpus = this_machine().gpus
        here = msgspec.structs.replace(here, gpus=len(gpus), accelerators=tuple(gpus))
    return offers_of(NAME, requirements, [here], settings.grows)


def supervisor_config(parts: Parts, folder: Path) -> SupervisorConfig:
    settings = parts.config.backends.ray
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = folder / "here"
    if not mark.exists():
        mark.write_text(os.urandom(16).hex())
    text = mark.read_text()
    blobs = parts.blobs if "://" in parts.blobs else str(Path(parts.blobs).absolute())
    host = HostConfig(
        backend=NAME,
        blobs=blobs,
        blobs_factory="skylift.stores.open:open_blobs",
        probe=_store(blobs).put(_probe(text)),
        mark=str(mark.absolute()),
        mark_text=text,
        bundles=str(Path(parts.bundles).absolute()),
        paths=(str(parts.config.project),),
        secrets=dict(parts.secrets),
        withheld=tuple(parts.withheld),
    )
    return SupervisorConfig(
        name=f"skylift-{hashlib.sha256(text.encode()).hexdigest()[:16]}",
        lease_ms=parse_duration_ms(settings.lease, "[backends.ray] lease"),
        host=host,
        gangs=settings.gangs,
        grows=settings.grows,
    )


def _probe(mark: str) -> bytes:
    return f"Skylift looks whether this can be read: {mark}".encode()


def _check_environment(blobs: str, digest: str) -> None:
    """Ray wants the same Python on every node as here, so an environment of another one fits none of them."""
    refuse_python(read_spec(digest, _store(blobs)))


def _store(blobs: str) -> Any:
    return open_blobs(WorkerConfig(name=NAME, blobs=blobs))
