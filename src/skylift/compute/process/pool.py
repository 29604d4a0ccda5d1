"""Who runs what: the workers, the calls, and the decisions that join them. No threads and no waiting here."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from skylift.compute.ended import EndedCalls
from skylift.compute.process.entry import Entry
from skylift.compute.process.gang import Gang, assemble
from skylift.compute.process.gpus import GpuSampler
from skylift.compute.process.machine import Machine, infeasible, unsendable
from skylift.compute.process.matching import Matching
from skylift.compute.process.memory import MemoryGuard
from skylift.compute.process.metering import with_saved
from skylift.compute.process.pace import Pace
from skylift.compute.process.queue import FairQueue
from skylift.compute.process.resources import Resources
from skylift.compute.process.worker import Phase, WorkerProcess
from skylift.compute.worker.wire import order_frame
from skylift.ports.compute import Cancelled, Lost, Outcome, Succeeded, TaskCall

_SPAWN_BACKLOG_MS = 20.0
NEVER = float("inf")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    workers: int
    grace_s: float = 1.0
    """Between the request to stop and the kill."""
    idle_s: float = 60.0
    load_timeout_s: float = 600.0
    """For importing user code, which a task's own timeout does not count."""
    stall_s: float = 0.02
    """After so long calls that wait behind a running one are given to others."""
    recycle_after: int | None = None
    recycle_growth_mib: float = 512.0


class Pool:
    """State of the backend. `lock` is held by whoever looks at it or changes it."""

    def __init__(self, name: str, machine: Machine, settings: Settings, guard: MemoryGuard) -> None:
        self.lock = threading.Lock()
        self.name = name
        self.settings = settings
        self.guard = guard
        self.resources = Resources(machine)
        self.gpus = GpuSampler()
        self.workers: list[WorkerProcess] = []
        self.idle: list[WorkerProcess] = []
        """Those without a call; the one used last stands last and is used first."""
        self.queue = FairQueue()
        self.held: dict[str, Entry] = {}
        self.reports: list[tuple[str, Outcome]] = []
        self.settling: set[Gang] = set()
        """Gangs of which a member has failed, with others still running."""
        self.pace = Pace()
        self.spawning: Counter[str | None] = Counter()
        """Workers on their way, by environment."""
        self.pythons: dict[str, str] = {}
        """Interpreters of environments that are ready."""
        self.preparing: dict[str, list[Entry]] = {}
        """Calls whose environment is not."""
        self.holding = False
        """No call is handed to a worker any more."""
        self.next_tick = NEVER
        """When something is due by the clock."""
        self._matching = Matching(self.workers, self.idle, self.resources, self.pace)
        self._touched: set[WorkerProcess] = set()
        self._ended = EndedCalls()

    # Calls in, calls out to workers -----------------------------------------------------------------------------

    def accept(self, calls: Iterable[TaskCall]) -> None:
        held, ended, machine = self.held, self._ended, self.resources.machine
        for call in calls:
            if call.token in held or ended.has(call.token, call.delivery):
                continue
            entry = held[call.token] = Entry(call)
            misfit = machine.misfit(call.requirements)
            if misfit is not None:
                self.finish(entry, infeasible(call.label, self.name, misfit))
            elif entry.environment is not None and entry.environment not in self.pythons:
                self.preparing.setdefault(entry.environment, []).append(entry)
            else:
                self.queue.push(entry)

    def prepared(self, environment: str, python: str) -> None:
        """An environment is ready: the calls that need it wait for workers now."""
        self.pythons[environment] = python
        for entry in self.preparing.pop(environment, ()):
            if not entry.gone:
                self.queue.push(entry)

    def unprepared(self, environment: str, problem: Callable[[Entry], Outcome]) -> None:
        """An environment cannot be made. Calls that come later try again."""
        for entry in self.preparing.pop(environment, ()):
            if not entry.gone:
                self.finish(entry, problem(entry))

    def dispatch(self) -> tuple[int, str | None]:
        """Hand waiting calls to workers; how many more workers are wanted, and with which environment."""
        wanted: tuple[int, str | None] = (0, None)
        if self.holding:
            return wanted
        while (entry := self.queue.peek()) is not None:
            if self.resources.at_limit(entry):
                self.queue.park()
                continue
            if entry.nodes > 1:
                workers = self._matching.gang_workers(entry)
                if len(workers) < entry.nodes:
                    wanted = self._wanted(entry, entry.nodes - len(workers)), entry.environment
                    break
                self._start_gang(self.queue.take(), workers)
                continue
            worker = self._matching.worker_for(entry)
            if worker is None:
                wanted = self._wanted(entry), entry.environment
                break
            self._assign(self.queue.take(), worker)
        for worker in self._touched:
            if worker.flush():  # its stream is full: the rest goes when it takes more
                self.due(time.monotonic())
        self._touched.clear()
        return wanted

    def _start_gang(self, entry: Entry, workers: list[WorkerProcess]) -> None:
        """All members are handed over before any of them is sent to its worker."""
        gang = assemble(entry)
        entry.number = -1
        self.resources.handed_out(entry)
        for member, worker in zip(gang.members, workers, strict=True):
            if gang.verdict is None:
                self._assign(member, worker)

    def _wanted(self, entry: Entry, missing: int | None = None) -> int:
        """How many workers to start when `entry` finds none, or too few."""
        if not self.resources.admits(entry):
            return 0
        spawning = sum(self.spawning.values())
        room = self.settings.workers - len(self.workers) - spawning
        if room < (missing or 1) - spawning or self._matching.lacks_gpus(entry):
            self._make_room(entry)
        if room <= 0 or self._matching.lacks_gpus(entry):
            return 0
        if missing is not None:
            return max(0, min(room, missing - self.spawning[entry.environment]))
        waiting = self.queue.waiting_for(entry.environment)
        expected = self.pace.expected_ms(entry.key)
        live = self.spawning[entry.environment] + sum(
            worker.phase in (Phase.STARTING, Phase.READY) and self._matching.suits(worker, entry)
            for worker in self.workers
        )
        if live and expected is not None and expected * waiting < _SPAWN_BACKLOG_MS * live:
            return 0
        return max(0, min(room, waiting, max(1, self.resources.room_for(entry))) - self.spawning[entry.environment])

    def _make_room(self, entry: Entry) -> None:
        """All places or GPUs are taken, and idle workers that do not suit hold some: one of them leaves."""
        if self.spawning.total() or any(worker.phase is Phase.LEAVING for worker in self.workers):
            return
        unfit = [worker for worker in self.idle if not self._matching.suits(worker, entry)]
        if unfit:
            self.retire(min(unfit, key=lambda worker: (bool(worker.gpus) != bool(entry.gpus), worker.idle_since)))

    def _assign(self, entry: Entry, worker: WorkerProcess) -> None:
        if not worker.window:
            self.idle.remove(worker)
            self._prepare(entry, worker)
        try:
            data = order_frame(worker.next_number, entry.call)
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            self.finish(entry, unsendable(entry.call.label, error))
            if not worker.window:
                self._emptied(worker, entry)
            return
        worker.give(entry, data)
        self.resources.handed_out(entry)
        self._touched.add(worker)
        if len(worker.window) == 1:
            self.watch_head(worker)
        else:
            self.due(worker.head_since + self.settings.stall_s)

    def _prepare(self, entry: Entry, worker: WorkerProcess) -> None:
        """Bind an idle worker to what the call needs."""
        self.resources.take(entry)
        worker.bundle, worker.bound = entry.call.code.bundle, True
        if entry.gpus and not worker.gpus:
            free = self.resources.free_gpus(entry.call.requirements.gpu or "0")
            worker.gpus = tuple(free[: entry.gpus])
            self.resources.take_gpus(worker.gpus)
        if entry.gpus:
            entry.call = _seeing(entry.call, worker.gpus)
            worker.gauge = self.gpus.open(worker.gpus)
        if entry.limit_mib is not None:
            worker.must_watch = self.guard.begin(worker.guarded, entry.limit_mib)

    def watch_head(self, worker: WorkerProcess) -> None:
        """A call came to the head of its worker: its times count from now."""
        worker.head_since = time.monotonic()
        worker.head_ms = int(time.time() * 1000)
        worker.beat_deadline = None
        entry = worker.window[0]
        worker.deadline = worker.head_since + self.settings.load_timeout_s if entry.watched else None
        if worker.must_watch or len(worker.window) > 1 or worker.phase is Phase.STARTING:
            self.due(worker.head_since + self.settings.stall_s)

    # Calls back -------------------------------------------------------------------------------------------------

    def finish(self, entry: Entry, outcome: Outcome) -> None:
        if entry.rank >= 0:
            self._member_ended(entry, outcome)
            return
        token = entry.call.token
        del self.held[token]
        if type(outcome) is Succeeded:  # on the path of every call
            self._ended.add(token, entry.call.delivery)
        else:
            outcome = with_saved(outcome, entry)
            if not isinstance(outcome, Lost | Cancelled):
                self._ended.add(token, entry.call.delivery)
        if entry.number:
            self._left(entry)
        self.reports.append((token, outcome))

    def _member_ended(self, member: Entry, outcome: Outcome) -> None:
        """The attempt's outcome is known with the first member that fails; it is told when all have ended."""
        gang = member.gang
        if gang is None or member.rank not in gang.left:
            return
        gang.ended(member, outcome, time.monotonic())
        if gang.verdict is None:
            return
        if not gang.left:
            self.settling.discard(gang)
            self.finish(gang.entry, gang.verdict)
            return
        self.settling.add(gang)
        self.settle(time.monotonic())

    def settle(self, now: float) -> None:
        """Stop what is left of gangs whose end is certain."""
        for gang in list(self.settling):
            if gang.is_settled(now):
                self.settling.discard(gang)
                self._stop_members(gang)
            elif gang.settles_at is not None:
                self.due(gang.settles_at)

    def _stop_members(self, gang: Gang, grace_s: float | None = None) -> None:
        if gang.stopping:
            return
        gang.stopping = True
        for member in gang.members:
            if member.rank not in gang.left:
                continue
            if member.worker is None:  # not handed over yet
                self.finish(member, Cancelled())
            else:
                self.stop(member.worker, Cancelled(), grace_s=grace_s)

    def answered(self, worker: WorkerProcess, number: int) -> Entry | None:
        """The call at the head, which `number` answers; None when the answer came too late."""
        if not worker.window or worker.window[0].number != number:
            return None
        entry = worker.window.popleft()
        if worker.window:
            self.watch_head(worker)
        else:
            self._emptied(worker, entry)
        return entry

    def take_back(self, worker: WorkerProcess) -> list[Entry]:
        """Calls that it has not begun come back to the front of the queue."""
        back = worker.take_back()
        for entry in reversed(back):
            self._left(entry)
            entry.number = 0
            if entry.rank < 0:
                self.queue.push_back(entry)
        for entry in back:
            if entry.rank >= 0:
                self.finish(entry, Lost(reason="its worker process ended before the gang had begun"))
        if back and not worker.window:
            self._emptied(worker, back[0])
        return back

    def _left(self, entry: Entry) -> None:
        if self.resources.came_back(entry):
            self.queue.unpark(entry.key)

    def _emptied(self, worker: WorkerProcess, last: Entry) -> None:
        self.resources.put_back(last)
        if worker.gauge is not None:
            self.gpus.close(worker.gauge)
            worker.gauge = None
        worker.deadline = worker.beat_deadline = None
        if last.limit_mib is not None:
            worker.must_watch = False
            self.guard.end(worker.guarded)
        if worker.phase in (Phase.STARTING, Phase.READY):
            worker.idle_since = time.monotonic()
            self.idle.append(worker)
            self.due(worker.idle_since + self.settings.idle_s)

    # Workers come and go ----------------------------------------------------------------------------------------

    def joined(self, worker: WorkerProcess) -> None:
        self.workers.append(worker)
        self.idle.insert(0, worker)

    def retire(self, worker: WorkerProcess) -> None:
        """It gets nothing more, and ends when it has finished what it began."""
        if worker.phase in (Phase.LEAVING, Phase.DYING):
            return
        worker.phase = Phase.LEAVING
        if worker in self.idle:
            self.idle.remove(worker)
        self.take_back(worker)
        worker.let_go()

    def stop(self, worker: WorkerProcess, verdict: Outcome, *, grace_s: float | None = None) -> None:
        """End the call at the head, and with it the worker."""
        if worker.phase is Phase.DYING:
            return
        self.take_back(worker)
        if not worker.window:
            return
        worker.window[0].verdict = verdict
        worker.phase = Phase.DYING
        worker.deadline = worker.beat_deadline = None
        worker.note_strays()
        grace_s = self.settings.grace_s if grace_s is None else grace_s
        worker.kill_at = time.monotonic() + grace_s
        worker.signal(signal.SIGTERM if grace_s else signal.SIGKILL)
        self.due(worker.kill_at)

    def cancel(
        self,
        entry: Entry,
        listen: Callable[[WorkerProcess], object],
        verdict: Outcome | None = None,
        *,
        grace_s: float | None = None,
    ) -> None:
        """End a call, wherever it is, as `verdict` says. `listen` takes in what the worker has said until now. After
        its tickets were taken back only that tells for certain which call it is running: so a call that is waiting
        behind never suffers."""
        worker = entry.worker
        if worker is not None:
            self.take_back(worker)
            listen(worker)
        if entry.call.token not in self.held:
            return
        if entry.gang is not None:
            entry.gang.verdict = entry.gang.verdict or verdict or Cancelled()
            self._stop_members(entry.gang, grace_s)
            return
        if entry.worker is None:
            self.queue.drop(entry)
            self.finish(entry, verdict or Cancelled())
        elif worker is not None:
            self.stop(worker, verdict or Cancelled(), grace_s=grace_s)

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
        self.resources.put_back_gpus(worker.gpus)
        self.guard.forget(worker.guarded)

    def give_up(self, environment: str | None, reason: str) -> None:
        """No worker with this environment can be started: every call that waits for one is lost."""
        if environment is not None:
            self.pythons.pop(environment, None)
        for entry in self.queue.waiting():
            if entry.environment == environment:
                self.queue.drop(entry)
                self.finish(entry, Lost(reason=reason))

    def due(self, moment: float) -> None:
        self.next_tick = min(self.next_tick, moment)


def _seeing(call: TaskCall, gpus: tuple[int, ...]) -> TaskCall:
    """The call with its GPUs, and no others, visible to it."""
    env = {**call.requirements.env, "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus)), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    needs = msgspec.structs.replace(call.requirements, env=env)
    return msgspec.structs.replace(call, requirements=needs)
