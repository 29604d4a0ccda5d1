"""The container backend keeps the contract, with real containers of podman."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from podman import podman_storage

from skylift.compute.container.backend import ContainerBackend, container_machine
from skylift.compute.container.engine import Mount
from skylift.compute.container.place import PlaceSettings
from skylift.compute.process.machine import this_machine
from skylift.testing.backends import BackendConformance, Harness, Outcomes


@pytest.fixture(scope="module")
def storage() -> Iterator[dict[str, str]]:
    with podman_storage() as variables:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        yield variables
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def made(outcomes: Outcomes, tmp_path: Path, **changes: object) -> ContainerBackend:
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    settings = PlaceSettings(
        name="container",
        state=tmp_path / "state",
        project=f"test-{tmp_path.name}",
        blobs=str(tmp_path / "blobs"),
        bundles=str(tmp_path / "bundles"),
        mounts=(Mount(str(folder), str(folder), True),),
        network="none",
        grace_ms=300,
    )
    machine = replace(container_machine(this_machine(), None), cpus=4.0)
    return ContainerBackend(outcomes, msgspec.structs.replace(settings, **changes), machine=machine)


class TestContainerBackend(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path, storage: dict[str, str]) -> Iterator[Harness]:
        outcomes = Outcomes()
        backends = [made(outcomes, tmp_path)]

        def successor(later: Outcomes) -> ContainerBackend:
            backends.append(made(later, tmp_path))
            return backends[-1]

        yield Harness(
            backend=backends[0],
            outcomes=outcomes,
            folder=tmp_path / "folder",
            successor=successor,
            patience=6.0,
            many=24,
        )
        last = backends[-1]
        if len(backends) == 1:
            last.close()
            last = successor(Outcomes())
        last.end(last.leased())
        for backend in backends:
            backend.close()
