"""What runs on machines that are not there runs in worker processes of this box all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import msgspec

from skylift.ports.compute import Backend, Outcome, Submitted, TaskCall


def wall_ms() -> int:
    return int(time.time() * 1000)


class RealRunner:
    """The Runner of `SimulatedProvider`. Processors and GPUs are as many as the simulated machines have; memory limits
    hold."""

    def __init__(
        self,
        name: str,
        blobs: str,
        bundles: str,
        project: str,
        secrets: Mapping[str, str],
        withheld: tuple[str, ...],
    ) -> None:
        self._made = (name, blobs, bundles, project, secrets, withheld)
        self._backend: Backend | None = None
        self._lock = threading.Lock()
        self._ended: dict[str, Outcome] = {}

    def begin(self, call: TaskCall, now_ms: int) -> None:
        needs = msgspec.structs.replace(call.requirements, cpus=0.01, gpu=None, concurrency=None)
        self._processes().submit([msgspec.structs.replace(call, requirements=needs)])

    def stop(self, token: str, now_ms: int) -> None:
        self._processes().cancel([token])

    def release(self, token: str) -> None:
        self._processes().release([token])

    def saved_ms(self, token: str) -> float:
        standing = self._processes().standings([token]).get(token)
        return 0.0 if standing is None else standing.saved_ms

    def ended(self, now_ms: int) -> Mapping[str, Outcome]:
        with self._lock:
            ended, self._ended = self._ended, {}
        return ended

    def next_ms(self) -> int | None:
        """Nobody knows."""
        return None

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()

    def _report(self, token: str, outcome: Outcome | Submitted) -> None:
        if not isinstance(outcome, Submitted):
            with self._lock:
                self._ended[token] = outcome

    def _processes(self) -> Backend:
        if self._backend is None:
            from skylift.compute.process.backend import ProcessBackend
            from skylift.compute.process.machine import this_machine

            name, blobs, bundles, project, secrets, withheld = self._made
            self._backend = ProcessBackend(
                self._report,
                name=name,
                blobs=blobs,
                cache_dir=bundles,
                workers=2 * int(this_machine().cpus),
                secrets=secrets,
                paths=(project,),
                withheld=withheld,
            )
        return self._backend
