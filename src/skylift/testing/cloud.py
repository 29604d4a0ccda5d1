"""The simulated cloud without an engine, for tests: its clock, its backend, and the thread that makes time pass.

outcomes = Outcomes()
with SimulatedCloud(outcomes, settings=SimulatedSettings(seed=7)) as cloud:
    cloud.backend.submit([call("add", a=1, b=2)])
    [outcome] = outcomes.wait(...)
"""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

from skylift.compute.simulated.backend import SimulatedBackend
from skylift.compute.simulated.hands import Hands
from skylift.compute.simulated.make import markets
from skylift.config.backends import SimulatedSettings
from skylift.engine.pace import pace_of
from skylift.ports.compute import Report
from skylift.pricing.catalogue import catalogue
from skylift.testing.clock import START_MS


class SimulatedCloud:
    """A context manager. `speed` is `max` for time that jumps."""

    def __init__(
        self,
        report: Report,
        *,
        settings: SimulatedSettings | None = None,
        speed: str | float = "max",
        start_ms: int = START_MS,
        folder: Path | None = None,
        results: dict[str, Any] | None = None,
        **hands: Any,
    ) -> None:
        """`folder` is what the settings' paths are relative to; `hands` goes to the worker processes."""
        settings = settings or SimulatedSettings()
        self.pace = pace_of(speed, start_ms)
        self.backend = SimulatedBackend(
            report,
            self.pace,
            settings=settings,
            catalogue=catalogue(),
            market_of=markets(settings, folder or Path.cwd(), start_ms),
            hands=partial(Hands, speed=self.pace.speed, **hands),
            results=results,
        )
        self._woken = threading.Event()
        self._closed = False
        self.pace.on_wake = self._woken.set
        self._thread = threading.Thread(target=self._pass, name="simulated-cloud", daemon=True)
        self._thread.start()

    def __enter__(self) -> SimulatedCloud:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closed = True
        self._woken.set()
        self._thread.join()
        self.backend.close()

    def _pass(self) -> None:
        while not self._closed:
            if self._woken.wait(self.pace.pause_s(None)):
                self._woken.clear()
            else:
                self.pace.idle(None, lambda: False)
            self.pace.tick()
