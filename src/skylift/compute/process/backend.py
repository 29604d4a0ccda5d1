"""The process backend: warm workers, and the thread that listens to them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from skylift.compute.basics import Basics
from skylift.compute.process.answers import take_in
from skylift.compute.process.capabilities import CAPABILITIES
from skylift.compute.process.deaths import judge, reason_of
from skylift.compute.process.entry import Entry
from skylift.compute.process.guardian import Guardian
from skylift.compute.process.leases import Leases, end_workers, workers_of
from skylift.compute.process.machine import Machine, this_machine
from skylift.compute.process.memory import Enforcement, MemoryGuard
from skylift.compute.process.metering import saved_by
from skylift.compute.process.pool import Pool, Settings
from skylift.compute.process.preparing import Preparing, unusable
from skylift.compute.process.timers import tick
from skylift.compute.process.worker import Phase, WorkerProcess
from skylift.compute.worker.current import NOTICE_S
from skylift.compute.worker.wire import WorkerConfig
from skylift.errors import SkyliftError
from skylift.ports.compute import CodeRef, Leased, Lost, Offer, Outcome, Report, Requirements, Standing, TaskCall

_FAILED_STARTS = 3
_LEAVE_S = 5.0
_VANISH_S = 0.1
_POLL_S = 0.05
_FINISH_POLL_S = 0.02


class ProcessBackend(Basics):
    """Runs attempts in worker processes of this machine.

    Workers stay warm: user code is imported once per worker and code bundle, and what a task keeps in module variables
    (a loaded model, a connection) is there for the next call on that worker. Do not count on it: workers are added
    when calls wait, retired when idle for `idle_ms`, replaced after `recycle_after` calls or when their memory has
    grown by more than `recycle_growth_mib` since they knew all their tasks, and killed with everything they started
    when an attempt is cancelled or outlives its limits.

    At most `workers` (default: processors) run at once. `blobs` (path or fsspec URL) and `blobs_factory`
    (`module:function`, called with `blobs` inside the worker) say where workers find artifacts and bundles, `cache_dir`
    where bundles are unpacked, `environments` (beside it unless given) where tasks' own packages are installed, `paths`
    where code without a bundle is looked for. `secrets` maps names to sources, see
    `WorkerConfig.secrets`; workers inherit the environment without the variables `withheld`. After cancel and timeouts
    `grace_ms` pass between SIGTERM (raised in user code as an exception, so that `finally` blocks run) and SIGKILL.

    A task with an environment of its own runs in workers that are started with that environment's interpreter; it is
    made first if need be, while other calls go on. The members of a gang get a worker each, all in the same instant.
    With `state`, a folder, every worker's lease lies there, so that other processes find it and can end it.
    """

    def __init__(
        self,
        report: Report,
        *,
        name: str = "process",
        blobs: str | None = None,
        blobs_factory: str = "skylift.stores.open:open_blobs",
        checkpoints: str | None = None,
        cache_dir: str | None = None,
        environments: str | None = None,
        state: str | None = None,
        lease_ms: int = 600_000,
        inline_limit: int = 65_536,
        workers: int | None = None,
        machine: Machine | None = None,
        secrets: Mapping[str, str] | None = None,
        paths: Sequence[str] = (),
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        withheld: Collection[str] = (),
        grace_ms: int = 1_000,
        idle_ms: int = 60_000,
        load_timeout_ms: int = 600_000,
        recycle_after: int | None = None,
        recycle_growth_mib: float = 512.0,
        memory_enforcement: Enforcement = "auto",
    ) -> None:
        self.name = name
        self._report = report
        here = machine or _machine_for(workers)
        self._machine = replace(here, slots=workers or max(1, int(here.cpus)))
        self._withheld = frozenset(withheld)
        self._state = None if state is None else Path(state)
        self.capabilities = msgspec.structs.replace(CAPABILITIES, leases=state is not None)
        self._config = WorkerConfig(
            name=name,
            backend=name,
            blobs=blobs,
            blobs_factory=blobs_factory,
            checkpoints=checkpoints,
            cache_dir=cache_dir or str(Path.home() / ".cache" / "skylift" / "bundles"),
            inline_limit=inline_limit,
            paths=tuple(paths),
            cwd=cwd,
            secrets=dict(secrets or {}),
            env=dict(env or {}),
        )
        settings = Settings(
            workers=self._machine.workers,
            grace_s=grace_ms / 1000,
            idle_s=idle_ms / 1000,
            load_timeout_s=load_timeout_ms / 1000,
            recycle_after=recycle_after,
            recycle_growth_mib=recycle_growth_mib,
        )
        self._guardian: Guardian | None = None
        self._pool = Pool(
            name, self._machine, settings, MemoryGuard(memory_enforcement, made=self._group_made, gone=self._group_gone)
        )
        beside = Path(self._config.cache_dir).with_name("environments")
        self._preparing = Preparing(
            self._config, Path(environments or beside), self._prepared, self._unprepared, self._withheld
        )
        self._leases = Leases(self._state, lease_ms / 1000)
        self._lock = threading.Lock()
        self._wanted: Counter[str | None] = Counter()
        self._preload: CodeRef | None = None
        self._made = 0
        self._failed_starts: Counter[str | None] = Counter()
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._wake_end, self._wake = os.pipe()
        for fd in (self._wake_end, self._wake):
            os.set_blocking(fd, False)
        self._selector.register(self._wake_end, selectors.EVENT_READ, self._woken)
        _backends.add(self)
        self._thread = threading.Thread(target=self._serve, name=f"skylift-{name}", daemon=True)
        self._thread.start()

    # The port ---------------------------------------------------------------------------------------------------

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        """This machine, if the task fits it; it costs nothing by the hour."""
        if self._machine.misfit(requirements) is not None:
            return ()
        here = self._machine
        return (
            Offer(
                backend=self.name,
                instance_type="this-machine",
                vcpus=here.cpus,
                memory_mib=here.memory_mib,
                gpu=here.gpus[0] if here.gpus else None,
                gpu_count=len(here.gpus),
            ),
        )

    def submit(self, calls: Sequence[TaskCall]) -> None:
        with self._lock:
            if self._closing:
                return
            before = self._pool.next_tick
            if self._pool.pythons:
                self._look_again(calls)
            self._pool.accept(calls)
            for environment in self._pool.preparing:
                self._preparing.begin(environment)
            self._want(*self._pool.dispatch())
            if self._pool.reports or self._pool.next_tick < before:
                self._wake_up()

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._lock:
            held = [entry for token in tokens if (entry := self._pool.held.get(token)) is not None]
            return {entry.call.token: "running" if _is_running(entry) else "queued" for entry in held}

    def explain(self, tokens: Collection[str]) -> Mapping[str, str]:
        """Only what waits for something special."""
        with self._lock:
            making = {entry.call.token for entries in self._pool.preparing.values() for entry in entries}
            held = [entry for token in tokens if (entry := self._pool.held.get(token)) is not None]
            gangs = [entry for entry in held if entry.nodes > 1 and entry.gang is None]
        said = {entry.call.token: f"waits for {entry.nodes} workers at once" for entry in gangs}
        return {**said, **{token: "its environment is being made" for token in tokens if token in making}}

    def warn(self, seconds: float, tokens: Collection[str] | None = None) -> None:
        """The place of these attempts, or of all, is taken away in about that time: what runs is told, all members of
        a gang, see `skylift.checkpoint`. What does not leave by itself is up to whoever warns."""
        with self._lock:
            held = self._pool.held
            chosen = held.values() if tokens is None else [held[token] for token in tokens if token in held]
            for entry in chosen:
                for member in [entry] if entry.gang is None else entry.gang.members:
                    if member.worker is not None and _is_running(member):
                        member.worker.warn(seconds)

    def standings(self, tokens: Collection[str]) -> Mapping[str, Standing]:
        with self._lock:
            held = [entry for token in tokens if (entry := self._pool.held.get(token)) is not None]
            return {entry.call.token: Standing(market="on-demand", saved_ms=saved_by(entry) or 0.0) for entry in held}

    def release(self, tokens: Collection[str]) -> None:
        self.warn(NOTICE_S, tokens)

    def leased(self) -> Sequence[Leased]:
        return () if self._state is None else workers_of(self._state, self.name)

    def end(self, leased: Sequence[Leased]) -> None:
        if self._state is not None:
            end_workers(self._state, leased)

    def cancel(self, tokens: Collection[str]) -> None:
        with self._lock:
            for token in tokens:
                entry = self._pool.held.get(token)
                if entry is not None and not self._closing:
                    self._pool.cancel(entry, self._listen)
            self._wake_up()

    def take_away(self, tokens: Collection[str], reason: str) -> None:
        """Do to these what the loss of their machine does: their workers are killed without a word, and they end as
        Lost, preempted, once those are dead."""
        with self._lock:
            for token in tokens:
                entry = self._pool.held.get(token)
                if entry is not None and not self._closing:
                    self._pool.cancel(entry, self._listen, Lost(reason=reason, preempted=True), grace_s=0.0)
            self._wake_up()

    def sweep(self, live: Collection[str]) -> None:
        """Workers never outlive the process that started them, so what there is to stop is in here."""
        alive = set(live)
        with self._lock:
            stray = [token for token in self._pool.held if token not in alive]
        self.cancel(stray)

    def load(self) -> tuple[int, int]:
        """Calls that run, and that wait for a worker."""
        with self._lock:
            return sum(map(_is_running, self._pool.held.values())), len(self._pool.queue)

    def finish(self, timeout_s: float) -> int:
        """Begin no more calls, and wait so long for those that run; how many still do. Those that wait are given out
        again by whoever takes their runs."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._lock:
                self._pool.holding = True
                running = sum(map(_is_running, self._pool.held.values()))
            time.sleep(_FINISH_POLL_S)  # also after the last one, whose outcome is being reported
            if not running or time.monotonic() >= deadline:
                return running

    def close(self) -> None:
        with self._lock:
            self._closing = True
            self._wake_up()
        if self._thread.ident is not None:
            self._thread.join()

    def warm(self, code: CodeRef | None = None, count: int = 1) -> None:
        """Have `count` workers up before there is a call for them. `code`, once known, is loaded by those that serve no
        other bundle yet, and by all that are started later."""
        with self._lock:
            if self._closing:
                return
            self._preload = code or self._preload
            for worker in self._pool.idle if code is not None else ():
                self._load_early(worker)
            there = len(self._pool.workers) + self._pool.spawning.total()
            self._want(min(count, self._pool.settings.workers) - there, None)

    def abandon(self) -> None:
        """In a process forked from this one: let go of what would keep workers alive after the engine."""
        for worker in self._pool.workers:
            worker.release()
        if self._guardian is not None:
            self._guardian.abandon()
        self._closing = True
        self._lock = threading.Lock()
        self._thread = threading.Thread()

    # Under the lock ---------------------------------------------------------------------------------------------

    def _want(self, count: int, environment: str | None) -> None:
        if count > 0:
            self._wanted[environment] += count
            self._pool.spawning[environment] += count
            self._wake_up()

    def _look_again(self, calls: Sequence[TaskCall]) -> None:
        """An environment may have been removed since it was last used."""
        for environment in {call.requirements.environment for call in calls}:
            python = None if environment is None else self._pool.pythons.get(environment)
            if environment is not None and python and not self._preparing.is_there(environment, python):
                del self._pool.pythons[environment]

    def _prepared(self, environment: str, python: str) -> None:
        with self._lock:
            if not self._closing:
                self._pool.prepared(environment, python)
                self._wake_up()

    def _unprepared(self, environment: str, problem: SkyliftError) -> None:
        with self._lock:
            if not self._closing:
                self._pool.unprepared(environment, lambda entry: unusable(entry.call.label, problem))
                self._wake_up()

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake, b"!")

    def _listen(self, worker: WorkerProcess) -> bool:
        """Take in what a worker says; whether it said anything."""
        if worker.silent:
            return False
        try:
            said, worker.silent = worker.read()
        except msgspec.MsgspecError:  # user code wrote into our stream: nothing it says can be trusted
            said, worker.silent = [], True
            worker.signal(signal.SIGKILL)
        for reply in said:
            take_in(self._pool, worker, reply)
        return bool(said)

    def _load_early(self, worker: WorkerProcess) -> None:
        if self._preload is not None and not worker.bound and worker.environment is None:
            worker.bundle, worker.bound = self._preload.bundle, True
            worker.preload(self._preload)
            worker.flush()

    # The thread -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing:
            due = min(self._pool.next_tick, self._leases.next)
            timeout = max(0.0, min(due - time.monotonic(), 3600.0))
            events = self._selector.select(timeout)
            with self._lock:
                for key, _ in events:
                    key.data()
                self._tick()
                self._note_wanted()
                reports, self._pool.reports = self._pool.reports, []
            self._deliver(reports)
            if self._wanted:
                self._start_workers()
        self._shut_down()

    def _note_wanted(self) -> None:
        count, environment = self._pool.dispatch()
        if count:
            self._wanted[environment] += count
            self._pool.spawning[environment] += count

    def _deliver(self, reports: list[tuple[str, Outcome]]) -> None:
        for token, outcome in reports:
            if self._closing:
                return
            try:
                self._report(token, outcome)
            except Exception:  # noqa: BLE001 - whoever listens must not be able to stop the other attempts
                sys.excepthook(*sys.exc_info())

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_end, 4096)

    def _heard(self, worker: WorkerProcess) -> None:
        """Its stream can be read, or written to, or has ended."""
        if worker not in self._pool.workers:
            return
        self._listen(worker)
        if worker.silent:
            self._selector.unregister(worker.stream)
            self._hung_up(worker)
            return
        self._write_on(worker)

    def _hung_up(self, worker: WorkerProcess) -> None:
        """It is about to end, if it is well; a worker that leaves may take its time for exit handlers."""
        if worker.kill_at is None:
            leaving = worker.phase is Phase.LEAVING
            worker.kill_at = time.monotonic() + (_LEAVE_S if leaving else _VANISH_S)
        worker.phase = Phase.LEAVING if worker.phase is Phase.LEAVING else Phase.DYING
        if worker in self._pool.idle:
            self._pool.idle.remove(worker)
        self._pool.due(worker.kill_at)

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._leases.next:
            self._leases.renew()
        if now < self._pool.next_tick:
            return
        tick(self._pool, now)
        for worker in list(self._pool.workers):
            if worker.pidfd < 0:
                self._exited(worker)
                self._pool.due(now + _POLL_S)
            if not worker.silent and worker in self._pool.workers:
                self._write_on(worker)

    def _write_on(self, worker: WorkerProcess) -> None:
        """Send what is left of its orders, and be told when its stream takes the rest."""
        full = worker.flush()
        if full != worker.full:
            worker.full = full
            wish = selectors.EVENT_READ | selectors.EVENT_WRITE if full else selectors.EVENT_READ
            self._selector.modify(worker.stream, wish, partial(self._heard, worker))

    def _exited(self, worker: WorkerProcess) -> None:
        """The process has ended, unless a look shows that it has not."""
        status = worker.reap() if worker in self._pool.workers else None
        if status is None:
            return
        while self._listen(worker):
            pass
        words = worker.last_words()
        self._unregister(worker)
        self._pool.ended(worker, lambda entry: judge(self._pool, worker, entry, status, words))
        worker.release()
        if worker.up:
            self._failed_starts.pop(worker.environment, None)
        else:
            self._start_failed(worker.environment, f"worker processes do not start: {reason_of(status, words)}")

    def _unregister(self, worker: WorkerProcess) -> None:
        for file in (worker.stream, worker.pidfd):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(file)
        if self._guardian is not None:
            self._guardian.forget(worker.pid)
        self._leases.forget(worker.pid)

    # Starting ---------------------------------------------------------------------------------------------------

    def _start_workers(self) -> None:
        while self._wanted and not self._closing:
            self._made += 1
            environment = next(iter(self._wanted))
            config = msgspec.structs.replace(self._config, name=f"{self.name}-{self._made}")
            python = sys.executable if environment is None else self._pool.pythons.get(environment, "")
            worker, problem = _started(config, self._withheld, python, environment)
            with self._lock:
                for counter in (self._wanted, self._pool.spawning):
                    counter[environment] -= 1
                    if not counter[environment]:
                        del counter[environment]
                if worker is None:
                    self._start_failed(environment, f"a worker process could not be started: {problem}")
                    continue
                self._join(worker)
                self._note_wanted()

    def _join(self, worker: WorkerProcess) -> None:
        self._pool.joined(worker)
        self._selector.register(worker.stream, selectors.EVENT_READ, partial(self._heard, worker))
        if worker.pidfd >= 0:
            self._selector.register(worker.pidfd, selectors.EVENT_READ, partial(self._exited, worker))
        else:
            self._pool.due(time.monotonic() + _POLL_S)
        if self._guardian is None:
            with contextlib.suppress(OSError):
                self._guardian = Guardian()
        if self._guardian is not None:
            self._guardian.watch(worker.pid)
        self._leases.begin(worker.pid, worker.name)
        self._load_early(worker)

    def _group_made(self, folder: str) -> None:
        if self._guardian is not None and " " not in folder:
            self._guardian.watch(folder)

    def _group_gone(self, folder: str) -> None:
        if self._guardian is not None and " " not in folder:
            self._guardian.forget(folder)

    def _start_failed(self, environment: str | None, reason: str) -> None:
        """Once is chance; again and again means that it will not work."""
        self._failed_starts[environment] += 1
        if self._failed_starts[environment] >= _FAILED_STARTS:
            del self._failed_starts[environment]
            self._pool.give_up(environment, reason)
        self._pool.due(time.monotonic() + _POLL_S)

    # The end ----------------------------------------------------------------------------------------------------

    def _shut_down(self) -> None:
        self._pool.gpus.end()
        with self._lock:
            self._end_workers()
            _backends.discard(self)
            if self._guardian is not None:
                self._guardian.close()
            self._selector.close()
            os.close(self._wake_end)
            os.close(self._wake)
            self._wake = -1

    def _end_workers(self) -> None:
        """Those that are idle leave by themselves; the others are stopped."""
        pool = self._pool
        for worker in list(pool.workers):
            busy = bool(worker.window) or worker.phase is not Phase.READY
            pool.retire(worker)
            if busy:
                worker.note_strays()
                worker.signal(signal.SIGTERM)
            worker.kill_at = time.monotonic() + pool.settings.grace_s
        while pool.workers:
            now = time.monotonic()
            for worker in list(pool.workers):
                self._exited(worker)
                if worker.kill_at is not None and now >= worker.kill_at:
                    worker.signal(signal.SIGKILL)
            time.sleep(0.001)
        pool.held.clear()
        pool.reports.clear()


_backends: weakref.WeakSet[ProcessBackend] = weakref.WeakSet()


def _abandon_all() -> None:
    for backend in list(_backends):
        backend.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)


def _started(
    config: WorkerConfig, withheld: Collection[str], python: str, environment: str | None
) -> tuple[WorkerProcess | None, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in withheld}
    if environment is not None:
        from skylift.compute.environments.ours import surroundings  # few workers need it, and all starts would wait

        inherited = surroundings(Path(python), inherited)
    try:
        return WorkerProcess(config, inherited, python=python, environment=environment), ""
    except OSError as error:
        return None, str(error)


def _is_running(entry: Entry) -> bool:
    worker = entry.worker
    if entry.gang is not None and entry.rank < 0:
        return True
    if worker is None or worker.phase is Phase.STARTING or not worker.window:
        return False
    return worker.window[0] is entry


def _machine_for(workers: int | None) -> Machine:
    """This machine. Whoever asks for more workers than it has processors wants that many calls at once."""
    here = this_machine()
    if workers is None or workers <= here.cpus:
        return here
    return replace(here, cpus=float(workers))
