"""What an attempt used, as far as its worker could not say it itself."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from skylift.asl.events import Usage
from skylift.compute.process.entry import Entry
from skylift.compute.process.gpus import Gauge
from skylift.compute.process.worker import WorkerProcess
from skylift.compute.worker.wire import Done
from skylift.ports.compute import Lost, Outcome, OutOfMemory, TimedOut

SERVICE = "process"


def of_done(done: Done, entry: Entry, given_ms: int, gauge: Gauge | None, place: tuple[str, str]) -> Usage:
    """Of an attempt that succeeded; `place` is backend and worker. This is on the path of every call."""
    startup_ms = done.started_ms - given_ms
    usage = Usage(
        started_ms=done.started_ms,
        duration_ms=done.duration_ms,
        cpu_ms=done.cpu_ms,
        peak_memory_mib=done.peak_mib,
        backend=place[0],
        worker=place[1],
        startup_ms=startup_ms if startup_ms > 0 else 0,
        in_bytes=done.in_bytes or None,
        out_bytes=done.out_bytes or None,
        vcpus=entry.cpus,
        memory_mib=entry.limit_mib,
        service=SERVICE,
    )
    return usage if gauge is None else msgspec.structs.replace(usage, **_of_gpus(gauge))


def completed(outcome: Outcome, entry: Entry, given_ms: int, gauge: Gauge | None) -> Outcome:
    """What the worker measured of an attempt that ended otherwise, with what only the backend knows."""
    usage = getattr(outcome, "usage", None)
    if usage is None:
        return outcome
    started_ms = usage.started_ms
    known = msgspec.structs.replace(
        usage,
        startup_ms=None if started_ms is None else max(0, started_ms - given_ms),
        vcpus=entry.cpus,
        memory_mib=entry.limit_mib,
        service=SERVICE,
        **_of_gpus(gauge),
    )
    return msgspec.structs.replace(outcome, usage=known)


def unfinished(backend: str, worker: WorkerProcess, entry: Entry, peak_mib: float | None = None) -> Usage:
    """Of an attempt whose worker can say nothing any more."""
    gauge = worker.gauge
    return Usage(
        started_ms=worker.head_ms,
        duration_ms=round((time.monotonic() - worker.head_since) * 1000, 3),
        peak_memory_mib=peak_mib,
        backend=backend,
        worker=worker.name,
        vcpus=entry.cpus,
        memory_mib=entry.limit_mib,
        service=SERVICE,
        **_of_gpus(gauge),
    )


def with_saved(outcome: Outcome, entry: Entry) -> Outcome:
    """What ended without a word, with the work that its checkpoints keep, as the worker said while it could."""
    if not isinstance(outcome, Lost | OutOfMemory | TimedOut):
        return outcome
    saved_ms = saved_by(entry)
    usage = outcome.usage or Usage()
    if saved_ms is None or usage.saved_ms is not None:
        return outcome
    return msgspec.structs.replace(outcome, usage=msgspec.structs.replace(usage, saved_ms=saved_ms))


def saved_by(entry: Entry) -> float | None:
    """The work that its checkpoints keep, as far as its workers have said; None while they have said nothing."""
    entries = [entry] if entry.gang is None else [entry, *entry.gang.members]
    return max((one.saved_ms for one in entries if one.saved_ms is not None), default=None)


def _of_gpus(gauge: Gauge | None) -> dict[str, Any]:
    return {} if gauge is None else {"gpu_ms": round(gauge.busy_ms, 3), "gpu_memory_mib": gauge.peak_mib}
