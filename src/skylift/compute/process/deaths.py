"""Why a worker process died, and what that means for the call it was running."""

from __future__ import annotations

import os
import signal

from skylift.compute.process.entry import Entry
from skylift.compute.process.metering import unfinished
from skylift.compute.process.pool import Pool
from skylift.compute.process.worker import WorkerProcess
from skylift.compute.worker.capture import LogFile
from skylift.compute.worker.solo_death import reason_of as reason_of
from skylift.ports.compute import Lost, Outcome, OutOfMemory


def judge(pool: Pool, worker: WorkerProcess, entry: Entry, status: int, words: str) -> Outcome:
    """The outcome of a call whose worker ended with wait status `status`, leaving `words` on its standard error."""
    reason = reason_of(status, words)
    usage = unfinished(pool.name, worker, entry)
    outcome = _out_of_memory(pool, worker, entry, status) or Lost(reason=reason, usage=usage)
    log = LogFile(entry.call.log)
    log.note("skylift", f"{_said(outcome) or reason}\n{words}".rstrip())
    log.close()
    return outcome


def _out_of_memory(pool: Pool, worker: WorkerProcess, entry: Entry, status: int) -> OutOfMemory | None:
    """A kill that the kernel counted as one for memory: at the call's own limit, or because the machine had no more."""
    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
        return None
    usage = unfinished(pool.name, worker, entry)
    if entry.limit_mib is not None and pool.guard.killed_inside(worker.guarded):
        peak_mib = pool.guard.peak_mib(worker.guarded)
        return OutOfMemory(limit_mib=entry.limit_mib, peak_mib=peak_mib, usage=usage)
    if pool.guard.killed_outside():
        return OutOfMemory(limit_mib=None, peak_mib=None, usage=usage)
    return None


def _said(outcome: Outcome) -> str:
    if not isinstance(outcome, OutOfMemory):
        return ""
    limit = "what this machine has" if outcome.limit_mib is None else f"its limit of {outcome.limit_mib} MiB"
    return f"the attempt was killed because it used more memory than {limit}"
