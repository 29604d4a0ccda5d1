"""Who runs what: the workers, the calls, and the decisions that join them. No threads and no waiting here."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec

from skylift.asl.events import Usage
from skylift.compute.process.entry import Entry
from skylift.compute.process.machine import Machine, gpu_count, infeasible
from skylift.compute.process.pace import Pace
from skylift.compute.process.queue import FairQueue
from skylift.compute.process.worker import Phase, WorkerProcess
from skylift.compute.worker.wire import Beat, Began, Done, Ended, Hello, Loaded, Reply, output_of
from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, Succeeded, TaskCall, TimedOut

_REMEMBERED = 10_000
_SPAWN_BACKLOG_MS = 20.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    workers: int
    grace_s: float = 1.0
    idle_s: float = 60.0
    load_timeout_s: float = 600.0
    stall_s: float = 0.02
    recycle_after: int | None = None
    recycle_growth_mib: float = 512.0
    keep: int = 0


class Pool:
    """State of the backend, guarded by the backend's lock."""

    def __init__(self, name: str, machine: Machine, settings: Settings) -> None:
        self.name = name
        self.machine = machine
        self.settings = settings
        self.workers: list[WorkerProcess] = []
        self.idle: list[WorkerProcess] = []
        self.queue = FairQueue()
        self.held: dict[str, Entry] = {}
        self.reports: list[tuple[str, Outcome]] = []
        self.pace = Pace()
        self.free_cpus = machine.cpus
        self.free_gpus = set(range(len(machine.gpus)))
        self.running: dict[str, int] = {}
        self.spawning = 0
        self.evict: list[WorkerProcess] = []
        self.touched: set[WorkerProcess] = set()
        self._recent: OrderedDict[str, None] = OrderedDict()
        self.next_tick = float("inf")

    # Calls in ---------------------------------------------------------------------------------------------------

    def accept(self, calls: Iterable[TaskCall]) -> None:
        for call in calls:
            if call.token in self.held or call.token in self._recent:
                continue
            misfit = self.machine.misfit(call.requirements)
            entry = self.held[call.token] = Entry(call, gpu_count(call.requirements.gpu))
            if misfit is not None:
                self.finish(entry, infeasible(call.label, self.name, misfit))
            else:
                self.queue.push(entry)

    def dispatch(self) -> int:
        """Hand waiting calls to workers; how many more workers are wanted."""
        wanted = 0
        while (entry := self.queue.peek()) is not None:
            limit = entry.call.requirements.concurrency
            if limit is not None and self.running.get(entry.key, 0) >= limit:
                self.queue.park()
                continue
            worker = self._worker_for(entry)
            if worker is None:
                wanted = self._wanted(entry)
                break
            self._assign(self.queue.take(), worker)
        for worker in self.touched:
            worker.flush()
        self.touched.clear()
        return wanted

    def _worker_for(self, entry: Entry) -> WorkerProcess | None:
        if entry.cpus <= self.free_cpus + 1e-9 and entry.gpus <= len(self.free_gpus):
            bundle = entry.call.code.bundle
            unbound = None
            for worker in reversed(self.idle):
                if worker.bound and worker.bundle == bundle:
                    return worker
                if not worker.bound and unbound is None:
                    unbound = worker
            if unbound is not None:
                return unbound
        return self._busy_worker_for(entry) if entry.batchable else None

    def _busy_worker_for(self, entry: Entry) -> WorkerProcess | None:
        """The busy worker with the fewest calls that may take one more behind them."""
        depth = self.pace.batch(entry.key)
        best = None
        for worker in self.workers:
            size = len(worker.window)
            if 0 < size < depth and worker.phase is Phase.READY and worker.window[0].key == entry.key:
                head = worker.window[0]
                if head.batchable and head.cpus == entry.cpus:
                    best, depth = worker, size
        return best

    def _wanted(self, entry: Entry) -> int:
        """How many workers to start when `entry` finds none."""
        if entry.cpus > self.free_cpus + 1e-9:
            return 0
        room = self.settings.workers - len(self.workers) - self.spawning
        if room <= 0:
            self._evict_other_bundle()
            return 0
        expected = self.pace.expected_ms(entry.key)
        live = sum(worker.phase in (Phase.STARTING, Phase.READY) for worker in self.workers) + self.spawning
        if live and expected is not None and expected * len(self.queue) < _SPAWN_BACKLOG_MS * live:
            return 0
        return min(room, len(self.queue), max(1, int(self.free_cpus / max(entry.cpus, 0.01))))

    def _evict_other_bundle(self) -> None:
        """All places are taken and the idle ones serve other bundles: the one idle for longest makes room."""
        if self.idle and not self.spawning and not any(w.phase is Phase.LEAVING for w in self.workers):
            oldest = min(self.idle, key=lambda worker: worker.idle_since)
            self.retire(oldest)

    def _assign(self, entry: Entry, worker: WorkerProcess) -> None:
        if not worker.window:
            self.idle.remove(worker)
            self.free_cpus -= entry.cpus
            worker.head_since = time.monotonic()
            worker.bundle, worker.bound = entry.call.code.bundle, True
            self._watch(worker)
        worker.give(entry)
        self.running[entry.key] = self.running.get(entry.key, 0) + 1
        self.touched.add(worker)

    def _watch(self, worker: WorkerProcess) -> None:
        """Times that count from when a call comes to the head of its worker."""
        worker.began = False
        worker.beat_deadline = None
        worker.deadline = worker.head_since + self.settings.load_timeout_s
        needs = worker.window[0].call.requirements if worker.window else None
        if needs is not None and needs.timeout_ms is None and needs.heartbeat_ms is None and needs.memory_mib is None:
            worker.deadline = None

    # Replies ----------------------------------------------------------------------------------------------------

    def heard(self, worker: WorkerProcess, reply: Reply) -> None:
        if isinstance(reply, Done):
            self._done(worker, reply)
        elif isinstance(reply, Ended):
            self._ended(worker, reply)
        elif isinstance(reply, Began):
            self._began(worker, reply.number)
        elif isinstance(reply, Beat):
            self._beat(worker, reply.number)
        elif isinstance(reply, Hello):
            self._hello(worker)
        elif isinstance(reply, Loaded):
            worker.loading -= 1

    def _hello(self, worker: WorkerProcess) -> None:
        if worker.phase is Phase.STARTING:
            worker.phase = Phase.READY
            worker.head_since = worker.idle_since = time.monotonic()

    def _done(self, worker: WorkerProcess, done: Done) -> None:
        entry = self._answered(worker, done.number)
        if entry is None:
            return
        self.pace.took(entry.key, done.duration_ms)
        usage = Usage(
            started_ms=done.started_ms,
            duration_ms=round(done.duration_ms, 3),
            cpu_ms=round(done.cpu_ms, 3),
            peak_memory_mib=round(done.peak_mib, 2),
            backend=self.name,
            worker=worker.name,
        )
        self._served(worker, entry, done.rss_mib)
        self.finish(entry, entry.verdict or Succeeded(output=output_of(done), usage=usage))

    def _ended(self, worker: WorkerProcess, ended: Ended) -> None:
        entry = self._answered(worker, ended.number)
        if entry is None:
            return
        self.pace.took(entry.key, ended.duration_ms)
        self._served(worker, entry, ended.rss_mib)
        self.finish(entry, entry.verdict or ended.outcome)

    def _answered(self, worker: WorkerProcess, number: int) -> Entry | None:
        """The call at the head, which `number` answers; None when the answer came too late."""
        if not worker.window or worker.window[0].number != number:
            return None
        entry = worker.window.popleft()
        worker.head_since = time.monotonic()
        if worker.window:
            self._watch(worker)
        else:
            self._emptied(worker, entry)
        return entry

    def _emptied(self, worker: WorkerProcess, last: Entry) -> None:
        self.free_cpus += last.cpus
        worker.deadline = worker.beat_deadline = None
        if worker.phase in (Phase.STARTING, Phase.READY):
            worker.idle_since = time.monotonic()
            self.idle.append(worker)

    def _served(self, worker: WorkerProcess, entry: Entry, rss_mib: float) -> None:
        """Decide whether the worker has served enough or has grown too far."""
        worker.served += 1
        if entry.key not in worker.seen:
            worker.seen.add(entry.key)
            worker.settled_mib = rss_mib
        grown = rss_mib - worker.settled_mib > self.settings.recycle_growth_mib
        old = self.settings.recycle_after is not None and worker.served >= self.settings.recycle_after
        if (grown or old) and worker.phase is Phase.READY:
            self.retire(worker)

    def _began(self, worker: WorkerProcess, number: int) -> None:
        if worker.window and worker.window[0].number == number and worker.phase is not Phase.DYING:
            now = time.monotonic()
            needs = worker.window[0].call.requirements
            worker.began = True
            worker.deadline = None if needs.timeout_ms is None else now + needs.timeout_ms / 1000
            worker.beat_deadline = None if needs.heartbeat_ms is None else now + needs.heartbeat_ms / 1000
            self.next_tick = 0.0

    def _beat(self, worker: WorkerProcess, number: int) -> None:
        if worker.window and worker.window[0].number == number and worker.beat_deadline is not None:
            heartbeat_ms = worker.window[0].call.requirements.heartbeat_ms or 0
            worker.beat_deadline = time.monotonic() + heartbeat_ms / 1000

    def finish(self, entry: Entry, outcome: Outcome) -> None:
        token = entry.call.token
        del self.held[token]
        self._recent[token] = None
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        if entry.number:
            self._left(entry)
        self.reports.append((token, outcome))

    def _left(self, entry: Entry) -> None:
        """A place under the task's concurrency limit is free again."""
        count = self.running[entry.key] - 1
        if count:
            self.running[entry.key] = count
        else:
            del self.running[entry.key]
        if entry.call.requirements.concurrency is not None:
            self.queue.unpark(entry.key)

    # Taking back, stopping, ending --------------------------------------------------------------------------------

    def take_back(self, worker: WorkerProcess) -> list[Entry]:
        """Calls behind the head come back to the front of the queue."""
        last = worker.window[-1] if worker.window else None
        back = worker.take_back()
        for entry in reversed(back):
            self._left(entry)
            entry.number = 0
            if not entry.gone:
                self.queue.push_back(entry)
        if back and last is not None and not worker.window:
            self._emptied(worker, last)
        return back

    def retire(self, worker: WorkerProcess) -> None:
        """It gets nothing more, and ends when it has finished what it began."""
        if worker.phase in (Phase.LEAVING, Phase.DYING):
            return
        worker.phase = Phase.LEAVING
        if worker in self.idle:
            self.idle.remove(worker)
        self.take_back(worker)
        worker.let_go()

    def stop(self, worker: WorkerProcess, verdict: Outcome) -> None:
        """End the call at the head, and with it the worker."""
        import signal

        if worker.phase is Phase.DYING:
            return
        self.take_back(worker)
        if not worker.window:
            return
        worker.window[0].verdict = verdict
        worker.phase = Phase.DYING
        worker.deadline = worker.beat_deadline = None
        worker.kill_at = time.monotonic() + self.settings.grace_s
        worker.signal(signal.SIGTERM)
        self.next_tick = 0.0

    def cancel(self, entry: Entry, listen: Callable[[WorkerProcess], None]) -> None:
        """`listen` takes in what the worker has said until now: only then is it certain which call it is running."""
        worker = entry.worker
        if worker is not None:
            self.take_back(worker)
            listen(worker)
        if entry.call.token not in self.held:
            return
        if entry.worker is None:
            self.queue.drop(entry)
            self.finish(entry, Cancelled())
        elif worker is not None:
            self.stop(worker, Cancelled())

    def ended(self, worker: WorkerProcess, judge: Callable[[Entry], Outcome]) -> None:
        """The process is gone. What it had begun is judged, what it had not begun waits again."""
        if worker in self.idle:
            self.idle.remove(worker)
        self.workers.remove(worker)
        worker.phase = Phase.DYING
        self.take_back(worker)
        last = worker.window[0] if worker.window else None
        while worker.window:
            entry = worker.window.popleft()
            self.finish(entry, entry.verdict or judge(entry))
        if last is not None:
            self._emptied(worker, last)

    # Time -------------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> list[WorkerProcess]:
        """Act on what is due; the workers to be killed now. Sets `next_tick`."""
        self.next_tick = float("inf")
        due = [worker for worker in list(self.workers) if self._tick_worker(worker, now)]
        return due

    def _tick_worker(self, worker: WorkerProcess, now: float) -> bool:
        if worker.kill_at is not None:
            if now >= worker.kill_at:
                worker.kill_at = now + 1.0
                self._at(worker.kill_at)
                return True
            self._at(worker.kill_at)
            return False
        if worker.deadline is not None and now >= worker.deadline:
            self.stop(worker, TimedOut(usage=self._usage(worker, now)))
        elif worker.beat_deadline is not None and now >= worker.beat_deadline:
            self.stop(worker, TimedOut(heartbeat=True, usage=self._usage(worker, now)))
        self._stalled(worker, now)
        self._unused(worker, now)
        for at in (worker.deadline, worker.beat_deadline):
            if at is not None:
                self._at(at)
        return False

    def _usage(self, worker: WorkerProcess, now: float) -> Usage:
        return Usage(duration_ms=round((now - worker.head_since) * 1000, 3), backend=self.name, worker=worker.name)

    def _stalled(self, worker: WorkerProcess, now: float) -> None:
        """Calls wait behind one that takes longer than was thought: others shall have them."""
        waiting = len(worker.window) > 1 or (worker.phase is Phase.STARTING and worker.window and self.idle)
        if not waiting or worker.phase is Phase.DYING:
            return
        if now - worker.head_since < self.settings.stall_s:
            self._at(worker.head_since + self.settings.stall_s)
            return
        if len(worker.window) > 1:
            self.pace.slow(worker.window[0].key)
        self.take_back(worker)

    def _unused(self, worker: WorkerProcess, now: float) -> None:
        if worker.window or worker.phase is not Phase.READY:
            return
        if len(self.workers) > self.settings.keep and now - worker.idle_since >= self.settings.idle_s:
            self.retire(worker)
        else:
            self._at(worker.idle_since + self.settings.idle_s)

    def _at(self, moment: float) -> None:
        self.next_tick = min(self.next_tick, moment)

    def give_up(self, reason: str) -> None:
        """No worker can be started: every call that waits is lost."""
        for entry in self.queue.waiting():
            self.queue.drop(entry)
            self.finish(entry, Lost(reason=reason))


__all__ = ["Failed", "Pool", "Settings"]
