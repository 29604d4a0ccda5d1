"""Which worker a call may go to."""

from __future__ import annotations

from skylift.compute.process.entry import Entry
from skylift.compute.process.pace import Pace
from skylift.compute.process.resources import Resources
from skylift.compute.process.worker import Phase, WorkerProcess


class Matching:
    """Looks at the pool's own lists of workers, in `idle` the one used last stands last, and at what is free. Changes
    nothing."""

    def __init__(
        self, workers: list[WorkerProcess], idle: list[WorkerProcess], resources: Resources, pace: Pace
    ) -> None:
        self._workers = workers
        self._idle = idle
        self._resources = resources
        self._pace = pace

    def worker_for(self, entry: Entry) -> WorkerProcess | None:
        """An idle one, else a busy one for what may wait there; None where there is none."""
        if self._idle and self._resources.admits(entry):
            best = None
            for worker in reversed(self._idle):
                if not self.suits(worker, entry):
                    continue
                if worker.bound:
                    return worker
                best = best or worker
            if best is not None:
                return best
        return self._busy_worker_for(entry) if entry.batchable else None

    def gang_workers(self, entry: Entry) -> list[WorkerProcess]:
        """Idle workers for the members of a gang, as many as there are, once there is room for all of them."""
        found: list[WorkerProcess] = []
        if not self._resources.admits(entry):
            return found
        free = len(self._resources.free_gpus(entry.call.requirements.gpu or "0")) if entry.gpus else 0
        for worker in reversed(self._idle):
            if len(found) == entry.nodes or not self.suits(worker, entry):
                continue
            if entry.gpus and not worker.gpus:
                if free < entry.gpus:
                    continue
                free -= entry.gpus
            found.append(worker)
        return found

    def suits(self, worker: WorkerProcess, entry: Entry) -> bool:
        """One worker serves one bundle in one environment and has the same GPUs for life, and must be smaller than the
        call's limit."""
        if worker.environment != entry.environment or (worker.bound and worker.bundle != entry.call.code.bundle):
            return False
        if entry.limit_mib is not None and worker.served and worker.rss_mib >= entry.limit_mib:
            return False
        if entry.gpus != len(worker.gpus):
            fresh = not worker.served and not worker.gpus
            return fresh and len(self._resources.free_gpus(entry.call.requirements.gpu or "0")) >= entry.gpus
        return not entry.gpus or set(worker.gpus) <= set(
            self._resources.machine.devices(entry.call.requirements.gpu or "0")
        )

    def lacks_gpus(self, entry: Entry) -> bool:
        """Whether those that it needs are with other workers."""
        if not entry.gpus or entry.nodes > 1:
            return False
        return len(self._resources.free_gpus(entry.call.requirements.gpu or "0")) < entry.gpus

    def _busy_worker_for(self, entry: Entry) -> WorkerProcess | None:
        """The busy worker with the fewest calls of the same task that may hold one more behind them."""
        depth = self._pace.batch(entry.key)
        if depth == 1:
            return None
        best = None
        for worker in self._workers:
            size = len(worker.window)
            if 0 < size < depth and worker.phase is Phase.READY:
                head = worker.window[0]
                if head.key == entry.key and head.batchable and head.cpus == entry.cpus:
                    best, depth = worker, size
        return best
