"""A place for attempts in a Ray worker: one warm worker process, run by the process backend."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from skylift.compute.process.backend import ProcessBackend
from skylift.compute.process.machine import Machine, memory_mib
from skylift.compute.ray.shape import Shape
from skylift.compute.ray.wire import HostConfig
from skylift.compute.worker.main import open_blobs
from skylift.compute.worker.wire import WorkerConfig
from skylift.errors import SkyliftError
from skylift.ports.compute import Report, TaskCall

_IDLE_MS = 3_600_000


class Place(ProcessBackend):
    """What limits, stops and reports an attempt here is what does so on one machine. Ray has reserved the processors,
    memory and GPUs, so the call itself asks for none of them again."""

    def __init__(self, config: HostConfig, shape: Shape, report: Report, name: str) -> None:
        here = sees_engine(config)
        super().__init__(
            report,
            name=config.backend,
            blobs=config.blobs,
            blobs_factory=config.blobs_factory,
            cache_dir=config.bundles if here else _own_folder("bundles"),
            environments=None if here else _own_folder("environments"),
            workers=1,
            machine=Machine(cpus=1.0, memory_mib=max(memory_mib(), shape.memory_mib or 0)),
            secrets=config.secrets,
            paths=config.paths if here else (),
            withheld=config.withheld,
            idle_ms=_IDLE_MS,
        )
        self.worker = name

    def give(self, calls: Sequence[TaskCall]) -> None:
        self.submit([_without_claims(call) for call in calls])

    def give_back(self) -> list[str]:
        """Tokens of the calls that have not begun: they are no longer here."""
        with self._pool.lock:
            for worker in list(self._pool.workers):
                self._pool.take_back(worker)
            waiting = [entry for entry in self._pool.queue.waiting() if entry.worker is None]
            for entry in waiting:
                self._pool.queue.drop(entry)
                del self._pool.held[entry.call.token]
            return [entry.call.token for entry in waiting]


def sees_engine(config: HostConfig) -> bool:
    """Whether the engine's files are those of this machine, or shared with it."""
    try:
        return Path(config.mark).read_text() == config.mark_text
    except OSError:
        return False


def blindness(config: HostConfig) -> str | None:
    """Why this machine cannot read the artifacts; None when it can."""
    store = WorkerConfig(name="probe", blobs=config.blobs, blobs_factory=config.blobs_factory)
    try:
        open_blobs(store).get(config.probe)
    except Exception as problem:  # noqa: BLE001  # of any storage and its client: all mean the same here
        said = problem.message if isinstance(problem, SkyliftError) else f"{type(problem).__name__}: {problem}"
        return f"{os.uname().nodename} cannot read the artifacts at {config.blobs}: {said}"
    return None


def _without_claims(call: TaskCall) -> TaskCall:
    needs = msgspec.structs.replace(call.requirements, cpus=1.0, gpu=None, image=None, nodes=1, concurrency=None)
    return msgspec.structs.replace(call, requirements=needs)


def _own_folder(name: str) -> str:
    folder = Path(tempfile.gettempdir()) / f"skylift-{name}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return str(folder)


class RemoteLogs:
    """Logs of attempts on a machine that cannot see the engine's files: written here, told piece by piece."""

    PIECE = 262_144

    def __init__(self, tell: Callable[[str, str, bytes], None]) -> None:
        """`tell(token, path, data)`."""
        self._tell = tell
        self._folder = tempfile.TemporaryDirectory(prefix="skylift-logs-")
        self._open: dict[str, tuple[str, Path, int]] = {}
        self._lock = threading.RLock()

    def begin(self, call: TaskCall) -> TaskCall:
        if call.log is None:
            return call
        here = Path(self._folder.name) / f"{len(self._open)}-{os.urandom(4).hex()}.log"
        with self._lock:
            self._open[call.token] = (call.log, here, 0)
        return msgspec.structs.replace(call, log=str(here))

    def pump(self) -> None:
        with self._lock:
            for token in list(self._open):
                self._push(token)

    def end(self, token: str) -> None:
        with self._lock:
            self._push(token)
            _, here, _ = self._open.pop(token, ("", None, 0))
        if here is not None:
            here.unlink(missing_ok=True)

    def close(self) -> None:
        self._folder.cleanup()

    def _push(self, token: str) -> None:
        path, here, told = self._open.get(token, ("", Path(), 0))
        with contextlib.suppress(OSError):
            while path and here.stat().st_size > told:
                with here.open("rb") as file:
                    file.seek(told)
                    data = file.read(self.PIECE)
                self._tell(token, path, data)
                told += len(data)
                self._open[token] = (path, here, told)
