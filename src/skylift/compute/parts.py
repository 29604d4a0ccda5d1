"""What a backend is made of: the parts of a project that it needs besides its own settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.config import Config
from skylift.ports.clock import Pace
from skylift.ports.compute import Report

if TYPE_CHECKING:
    from skylift.ports.resources import ResourceStore


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """`make_backend` and `offers` of every backend are called with this."""

    report: Report
    config: Config
    blobs: str
    """Path or URL of the artifacts, for workers."""
    bundles: str
    """Folder in which workers of this machine unpack code."""
    secrets: dict[str, str] = {}
    """Name → `kind:where`."""
    withheld: tuple[str, ...] = ()
    """Variables of our environment that no task may see."""
    resources: Callable[[], ResourceStore] | None = None
    """The store of what is kept beside runs; opened when it is asked for."""
    pace: Pace | None = None
    """How the engine's time passes, for backends that live by it; None for real time."""

    @property
    def state(self) -> Path:
        """Where backends keep what must outlive the engine."""
        return self.config.home / "attempts"
