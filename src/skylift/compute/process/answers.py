"""What a worker says, taken into the pool."""

from __future__ import annotations

import time

from skylift.compute.process.entry import Entry
from skylift.compute.process.metering import completed, of_done
from skylift.compute.process.pool import Pool
from skylift.compute.process.worker import Phase, WorkerProcess
from skylift.compute.worker.wire import Beat, Began, Done, Ended, Hello, Reply, Saved, output_of
from skylift.ports.compute import Outcome, OutOfMemory, Succeeded


def take_in(pool: Pool, worker: WorkerProcess, reply: Reply) -> None:
    if isinstance(reply, Done):
        _done(pool, worker, reply)
    elif isinstance(reply, Ended):
        _ended(pool, worker, reply)
    elif isinstance(reply, Began):
        _began(pool, worker, reply.number)
    elif isinstance(reply, Beat):
        _beat(worker, reply.number)
    elif isinstance(reply, Saved):
        _saved(worker, reply)
    elif isinstance(reply, Hello):
        _up(worker)


def _up(worker: WorkerProcess) -> None:
    worker.up = True
    if worker.phase is Phase.STARTING:
        worker.phase = Phase.READY
        worker.head_since = worker.idle_since = time.monotonic()
        until = worker.window[0].warned_until if worker.window else None
        if until is not None:
            worker.warn(max(0.0, until - worker.head_since))


def _done(pool: Pool, worker: WorkerProcess, done: Done) -> None:
    given_ms, gauge = worker.head_ms, worker.gauge
    entry = pool.answered(worker, done.number)
    if entry is None:
        return
    pool.pace.took(entry.key, done.duration_ms)
    usage = of_done(done, entry, given_ms, gauge, (pool.name, worker.name))
    _served(pool, worker, entry, done.rss_mib)
    pool.finish(entry, entry.verdict or Succeeded(output=output_of(done), usage=usage))


def _ended(pool: Pool, worker: WorkerProcess, ended: Ended) -> None:
    """A child of the task may have been the one that the kernel killed for memory: then that is what happened."""
    out_of_memory = _out_of_memory(pool, worker, ended)
    given_ms, gauge = worker.head_ms, worker.gauge
    entry = pool.answered(worker, ended.number)
    if entry is None:
        return
    pool.pace.took(entry.key, ended.duration_ms)
    _served(pool, worker, entry, ended.rss_mib)
    pool.finish(entry, entry.verdict or completed(out_of_memory or ended.outcome, entry, given_ms, gauge))


def _out_of_memory(pool: Pool, worker: WorkerProcess, ended: Ended) -> Outcome | None:
    limit_mib = worker.guarded.limit_mib
    if limit_mib is None or not pool.guard.killed_inside(worker.guarded):
        return None
    peak_mib = pool.guard.peak_mib(worker.guarded)
    return OutOfMemory(limit_mib=limit_mib, peak_mib=peak_mib, usage=ended.outcome.usage)


def _began(pool: Pool, worker: WorkerProcess, number: int) -> None:
    """Its code is loaded: from here its own time runs."""
    if not worker.window or worker.window[0].number != number or worker.phase is Phase.DYING:
        return
    now = time.monotonic()
    needs = worker.window[0].call.requirements
    worker.head_since = now
    worker.deadline = None if needs.timeout_ms is None else now + needs.timeout_ms / 1000
    worker.beat_deadline = None if needs.heartbeat_ms is None else now + needs.heartbeat_ms / 1000
    for moment in (worker.deadline, worker.beat_deadline):
        if moment is not None:
            pool.due(moment)


def _beat(worker: WorkerProcess, number: int) -> None:
    if worker.window and worker.window[0].number == number and worker.beat_deadline is not None:
        worker.beat_deadline = time.monotonic() + (worker.window[0].call.requirements.heartbeat_ms or 0) / 1000


def _saved(worker: WorkerProcess, saved: Saved) -> None:
    if worker.window and worker.window[0].number == saved.number:
        worker.window[0].saved_ms = saved.saved_ms


def _served(pool: Pool, worker: WorkerProcess, entry: Entry, rss_mib: float) -> None:
    """Has the worker served enough, or grown too far since it knew all its tasks?"""
    worker.served += 1
    worker.rss_mib = rss_mib
    if entry.key not in worker.seen:
        worker.seen.add(entry.key)
        worker.settled_mib = rss_mib
    settings = pool.settings
    grown = rss_mib - worker.settled_mib > settings.recycle_growth_mib
    old = settings.recycle_after is not None and worker.served >= settings.recycle_after
    if (grown or old) and worker.phase is Phase.READY:
        pool.retire(worker)
