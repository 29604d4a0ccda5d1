"""Ray backends for tests, made as a runtime makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from skylift.compute.ray.backend import RayBackend
from skylift.compute.ray.make import make_backend
from skylift.config.backends import BackendsSettings, RaySettings
from skylift.ports.compute import Report


@dataclass
class RayParts:
    """What `make_backend` needs of a runtime with this home."""

    home: Path
    address: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    artifacts: str | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()

    def report(self, token: str, outcome: Any) -> None:
        raise AssertionError("the backend reports to what it was given")

    @property
    def config(self) -> Any:
        ray = RaySettings(address=self.address, **self.settings)
        return SimpleNamespace(home=self.home, project=self.home, backends=BackendsSettings(ray=ray))

    @property
    def blobs(self) -> str:
        return self.artifacts or str(self.home / "blobs")

    @property
    def bundles(self) -> str:
        return str(self.home / "bundles")

    @property
    def state(self) -> Path:
        return self.home / "attempts"


def make(parts: RayParts, report: Report) -> RayBackend:
    parts.report = report  # type: ignore[method-assign,assignment]
    backend = make_backend(parts)
    assert isinstance(backend, RayBackend)
    return backend
