"""The process backend: attempts in warm worker processes of this machine."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from skylift.compute.basics import Basics
from skylift.compute.process.attendant import Attendant
from skylift.compute.process.capabilities import CAPABILITIES
from skylift.compute.process.entry import Entry
from skylift.compute.process.guardian import Guardian
from skylift.compute.process.leases import Leases, end_workers, workers_of
from skylift.compute.process.machine import Machine, this_machine
from skylift.compute.process.memory import Enforcement, MemoryGuard
from skylift.compute.process.metering import saved_by
from skylift.compute.process.pool import Pool, Settings
from skylift.compute.process.preparing import Preparing, unusable
from skylift.compute.process.worker import Phase
from skylift.compute.worker.current import NOTICE_S
from skylift.compute.worker.wire import WorkerConfig
from skylift.errors import SkyliftError
from skylift.ports.compute import CodeRef, Leased, Lost, Offer, Report, Requirements, Standing, TaskCall

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
        here = machine or _machine_for(workers)
        self._machine = replace(here, slots=workers or max(1, int(here.cpus)))
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
        guardian, hidden = Guardian(), frozenset(withheld)
        guard = MemoryGuard(memory_enforcement, made=guardian.watch, gone=guardian.forget)
        self._pool = Pool(name, self._machine, settings, guard)
        beside = Path(self._config.cache_dir).with_name("environments")
        self._preparing = Preparing(
            self._config, Path(environments or beside), self._prepared, self._unprepared, hidden
        )
        leases = Leases(self._state, lease_ms / 1000)
        self._attendant = Attendant(self._pool, self._config, guardian, leases, report, withheld=hidden)

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
        with self._pool.lock:
            if self._attendant.closing:
                return
            before = self._pool.next_tick
            if self._pool.pythons:
                self._look_again(calls)
            self._pool.accept(calls)
            for environment in self._pool.preparing:
                self._preparing.begin(environment)
            self._attendant.want(*self._pool.dispatch())
            if self._pool.reports or self._pool.next_tick < before:
                self._attendant.wake_up()

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._pool.lock:
            held = [entry for token in tokens if (entry := self._pool.held.get(token)) is not None]
            return {entry.call.token: "running" if _is_running(entry) else "queued" for entry in held}

    def explain(self, tokens: Collection[str]) -> Mapping[str, str]:
        """Only what waits for something special."""
        with self._pool.lock:
            making = {entry.call.token for entries in self._pool.preparing.values() for entry in entries}
            held = [entry for token in tokens if (entry := self._pool.held.get(token)) is not None]
            gangs = [entry for entry in held if entry.nodes > 1 and entry.gang is None]
        said = {entry.call.token: f"waits for {entry.nodes} workers at once" for entry in gangs}
        return {**said, **{token: "its environment is being made" for token in tokens if token in making}}

    def warn(self, seconds: float, tokens: Collection[str] | None = None) -> None:
        """The place of these attempts, or of all, is taken away in about that time: what runs is told, all members of
        a gang, see `skylift.checkpoint`. What does not leave by itself is up to whoever warns."""
        with self._pool.lock:
            held = self._pool.held
            chosen = held.values() if tokens is None else [held[token] for token in tokens if token in held]
            for entry in chosen:
                for member in [entry] if entry.gang is None else entry.gang.members:
                    if member.worker is not None and _is_running(member):
                        member.worker.warn(seconds)
                    elif member.worker is not None:  # its code may run already, and nobody has heard of it yet
                        member.warned_until = time.monotonic() + seconds

    def standings(self, tokens: Collection[str]) -> Mapping[str, Standing]:
        with self._pool.lock:
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
        with self._pool.lock:
            for token in tokens:
                entry = self._pool.held.get(token)
                if entry is not None and not self._attendant.closing:
                    self._pool.cancel(entry, self._attendant.listen)
            self._attendant.wake_up()

    def take_away(self, tokens: Collection[str], reason: str) -> None:
        """Do to these what the loss of their machine does: their workers are killed without a word, and they end as
        Lost, preempted, once those are dead."""
        with self._pool.lock:
            for token in tokens:
                entry = self._pool.held.get(token)
                if entry is not None and not self._attendant.closing:
                    self._pool.cancel(entry, self._attendant.listen, Lost(reason=reason, preempted=True), grace_s=0.0)
            self._attendant.wake_up()

    def sweep(self, live: Collection[str]) -> None:
        """Workers never outlive the process that started them, so what there is to stop is in here."""
        alive = set(live)
        with self._pool.lock:
            stray = [token for token in self._pool.held if token not in alive]
        self.cancel(stray)

    def load(self) -> tuple[int, int]:
        """Calls that run, and that wait for a worker."""
        with self._pool.lock:
            return sum(map(_is_running, self._pool.held.values())), len(self._pool.queue)

    def finish(self, timeout_s: float) -> int:
        """Begin no more calls, and wait so long for those that run; how many still do. Those that wait are given out
        again by whoever takes their runs."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._pool.lock:
                self._pool.holding = True
                running = sum(map(_is_running, self._pool.held.values()))
            time.sleep(_FINISH_POLL_S)  # also after the last one, whose outcome is being reported
            if not running or time.monotonic() >= deadline:
                return running

    def close(self) -> None:
        self._attendant.close()

    def warm(self, code: CodeRef | None = None, count: int = 1) -> None:
        """Have `count` workers up before there is a call for them. `code`, once known, is loaded by those that serve no
        other bundle yet, and by all that are started later."""
        with self._pool.lock:
            if self._attendant.closing:
                return
            if code is not None:
                self._attendant.load_early(code)
            there = len(self._pool.workers) + self._pool.spawning.total()
            self._attendant.want(min(count, self._pool.settings.workers) - there, None)

    # Environments -----------------------------------------------------------------------------------------------

    def _look_again(self, calls: Sequence[TaskCall]) -> None:
        """An environment may have been removed since it was last used."""
        for environment in {call.requirements.environment for call in calls}:
            python = None if environment is None else self._pool.pythons.get(environment)
            if environment is not None and python and not self._preparing.is_there(environment, python):
                del self._pool.pythons[environment]

    def _prepared(self, environment: str, python: str) -> None:
        with self._pool.lock:
            if not self._attendant.closing:
                self._pool.prepared(environment, python)
                self._attendant.wake_up()

    def _unprepared(self, environment: str, problem: SkyliftError) -> None:
        with self._pool.lock:
            if not self._attendant.closing:
                self._pool.unprepared(environment, lambda entry: unusable(entry.call.label, problem))
                self._attendant.wake_up()


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
