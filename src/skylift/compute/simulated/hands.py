"""Where functions really run: worker processes of this machine, whatever place was bought for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from skylift.compute.process.backend import ProcessBackend
from skylift.compute.process.machine import this_machine
from skylift.ports.compute import Report, Requirements, TaskCall

NAME = "simulated"


class Hands:
    """Runs calls for real. `speed` is that of the cloud's time, by which time limits shrink; None where it stands still
    meanwhile."""

    def __init__(
        self,
        done: Report,
        *,
        speed: float | None,
        blobs: str | None = None,
        cache_dir: str | None = None,
        workers: int | None = None,
        secrets: Mapping[str, str] | None = None,
        withheld: Collection[str] = (),
        paths: Sequence[str] = (),
    ) -> None:
        self._machine = this_machine()
        self._workers = workers or max(1, int(self._machine.cpus))
        self._speed = speed or 1.0
        self._process = ProcessBackend(
            done,
            name=NAME,
            blobs=blobs,
            cache_dir=cache_dir,
            workers=workers,
            secrets=secrets,
            withheld=withheld,
            paths=paths,
        )

    def begin(self, call: TaskCall, longest_ms: int | None) -> None:
        limits = [ms for ms in (call.requirements.timeout_ms, longest_ms) if ms is not None]
        needs = self._here(call.requirements, min(limits, default=None))
        self._process.submit([msgspec.structs.replace(call, requirements=needs, keep_ms=None)])

    def cancel(self, token: str) -> None:
        self._process.cancel([token])

    def take_away(self, token: str, reason: str) -> None:
        """Its machine is gone: the worker is killed without a word."""
        self._process.take_away([token], reason)

    def warn(self, token: str, seconds: float) -> None:
        self._process.warn(seconds, [token])

    def release(self, token: str) -> None:
        self._process.release([token])

    def saved_ms(self, token: str) -> float:
        """Work that its checkpoints keep, in our milliseconds."""
        standing = self._process.standings([token]).get(token)
        return 0.0 if standing is None else standing.saved_ms

    def ready(self, call: TaskCall, running: int) -> None:
        """Have a worker with its code in memory up when its place has come."""
        self._process.warm(call.code, min(running + 1, self._workers))

    def close(self) -> None:
        self._process.close()

    def _here(self, needs: Requirements, timeout_ms: int | None) -> Requirements:
        """What this machine can give. What it lacks the place has that was bought."""
        memory = needs.memory_mib
        fits = memory is not None and memory * needs.nodes <= self._machine.memory_mib
        return msgspec.structs.replace(
            needs,
            cpus=min(needs.cpus, 1.0, self._machine.cpus / needs.nodes),
            memory_mib=memory if fits else None,
            gpu=None,
            image=None,
            spot=False,
            concurrency=None,
            timeout_ms=None if timeout_ms is None else max(1, int(timeout_ms / self._speed)),
            heartbeat_ms=None if needs.heartbeat_ms is None else max(1, int(needs.heartbeat_ms / self._speed)),
        )
