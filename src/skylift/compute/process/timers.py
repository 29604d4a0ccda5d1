"""What the clock brings about: timeouts, missed heartbeats, memory over its limit, stalled batches, idle workers."""

from __future__ import annotations

import signal

from skylift.compute.process.memory import WATCH_S
from skylift.compute.process.metering import unfinished
from skylift.compute.process.pool import NEVER, Pool
from skylift.compute.process.worker import Phase, WorkerProcess
from skylift.ports.compute import OutOfMemory, TimedOut

_KILL_AGAIN_S = 1.0


def tick(pool: Pool, now: float) -> None:
    """Act on what is due; sets the pool's `next_tick`."""
    pool.next_tick = NEVER
    pool.settle(now)
    for worker in list(pool.workers):
        if worker.kill_at is not None:
            _kill(pool, worker, now)
            continue
        _limits(pool, worker, now)
        _stalled(pool, worker, now)
        _unused(pool, worker, now)


def _kill(pool: Pool, worker: WorkerProcess, now: float) -> None:
    if worker.kill_at is not None and now >= worker.kill_at:
        worker.signal(signal.SIGKILL)
        worker.kill_at = now + _KILL_AGAIN_S
    pool.due(worker.kill_at or now)


def _limits(pool: Pool, worker: WorkerProcess, now: float) -> None:
    if worker.phase is Phase.DYING:
        return
    if worker.deadline is not None and now >= worker.deadline:
        pool.stop(worker, TimedOut(usage=unfinished(pool.name, worker, worker.window[0])))
    elif worker.beat_deadline is not None and now >= worker.beat_deadline:
        pool.stop(worker, TimedOut(heartbeat=True, usage=unfinished(pool.name, worker, worker.window[0])))
    elif worker.must_watch and worker.guarded.over(now):
        peak_mib = round(worker.guarded.peak_mib, 2)
        limit_mib = worker.guarded.limit_mib
        usage = unfinished(pool.name, worker, worker.window[0], peak_mib)
        pool.stop(worker, OutOfMemory(limit_mib=limit_mib, peak_mib=peak_mib, usage=usage), grace_s=0.0)
    for moment in (worker.deadline, worker.beat_deadline, now + WATCH_S if worker.must_watch else None):
        if moment is not None:
            pool.due(moment)


def _stalled(pool: Pool, worker: WorkerProcess, now: float) -> None:
    """Calls wait behind one that takes longer than was thought, or for a worker not yet up: others may have them."""
    waits = len(worker.window) > 1 or (worker.phase is Phase.STARTING and bool(worker.window))
    if not waits or worker.phase is Phase.DYING or worker.window[0].gang is not None:
        return
    at = worker.head_since + pool.settings.stall_s
    if now < at:
        pool.due(at)
        return
    if len(worker.window) > 1:
        pool.pace.slow(worker.window[0].key)
        pool.take_back(worker)
    elif any(other.phase is Phase.READY for other in pool.idle):
        pool.take_back(worker)
    else:
        pool.due(now + pool.settings.stall_s)


def _unused(pool: Pool, worker: WorkerProcess, now: float) -> None:
    if worker.window or worker.phase is not Phase.READY:
        return
    if now - worker.idle_since >= pool.settings.idle_s:
        pool.retire(worker)
    else:
        pool.due(worker.idle_since + pool.settings.idle_s)
