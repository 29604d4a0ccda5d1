"""The process backend: warm workers, and the thread that listens to them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from skylift.compute.process.entry import Entry
from skylift.compute.process.machine import Machine, cpu_count, memory_mib, this_machine
from skylift.compute.process.pool import Pool, Settings
from skylift.compute.process.worker import Phase, WorkerProcess
from skylift.compute.worker.capture import LogFile
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import CodeRef, Lost, Offer, Outcome, Report, Requirements, TaskCall

_FAILED_STARTS = 3


class ProcessBackend:
    """Runs attempts in worker processes of this machine.

    Workers stay warm: user code is imported once per worker and code bundle, and what a task keeps in module variables (a
    loaded model, a connection) is there for the next call on that worker. Do not count on it: workers are added when
    calls wait, retired when idle, replaced after `recycle_after` calls or when their memory has grown by more than
    `recycle_growth_mib` since they first ran each of their tasks, and killed with everything they started when an
    attempt is cancelled or outlives its limits.

    `blobs` (path or fsspec URL) and `blobs_factory` (`module:function`, called with `blobs` inside the worker) say
    where workers find artifacts and bundles. `secrets` maps names to sources, see `WorkerConfig.secrets`.
    """

    def __init__(
        self,
        report: Report,
        *,
        name: str = "process",
        blobs: str | None = None,
        blobs_factory: str = "skylift.stores.blobs:open_blobs",
        cache_dir: str | None = None,
        inline_limit: int = 65_536,
        workers: int | None = None,
        machine: Machine | None = None,
        secrets: Mapping[str, str] | None = None,
        paths: Sequence[str] = (),
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        grace_ms: int = 1_000,
        idle_ms: int = 60_000,
        load_timeout_ms: int = 600_000,
        recycle_after: int | None = None,
        recycle_growth_mib: float = 512.0,
    ) -> None:
        self.name = name
        self._report = report
        self._machine = machine or _machine_for(workers)
        self._config = WorkerConfig(
            name=name,
            backend=name,
            blobs=blobs,
            blobs_factory=blobs_factory,
            cache_dir=cache_dir or str(Path.home() / ".cache" / "skylift" / "bundles"),
            inline_limit=inline_limit,
            paths=tuple(paths),
            cwd=cwd,
            secrets=dict(secrets or {}),
            env=dict(env or {}),
        )
        settings = Settings(
            workers=workers or max(1, int(self._machine.cpus)),
            grace_s=grace_ms / 1000,
            idle_s=idle_ms / 1000,
            load_timeout_s=load_timeout_ms / 1000,
            recycle_after=recycle_after,
            recycle_growth_mib=recycle_growth_mib,
        )
        self._pool = Pool(name, self._machine, settings)
        self._lock = threading.Lock()
        self._wanted = 0
        self._preload: CodeRef | None = None
        self._made = 0
        self._failed_starts = 0
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._wake_end, self._wake = os.pipe()
        for fd in (self._wake_end, self._wake):
            os.set_blocking(fd, False)
        self._selector.register(self._wake_end, selectors.EVENT_READ, None)
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
                startup_ms=0,
            ),
        )

    def submit(self, calls: Sequence[TaskCall]) -> None:
        with self._lock:
            if self._closing:
                return
            self._pool.accept(calls)
            self._dispatch()

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._lock:
            held = [entry for token in tokens if (entry := self._pool.held.get(token)) is not None]
            return {entry.call.token: "running" if _is_running(entry) else "queued" for entry in held}

    def cancel(self, tokens: Collection[str]) -> None:
        with self._lock:
            for token in tokens:
                entry = self._pool.held.get(token)
                if entry is not None:
                    self._pool.cancel(entry, self._listen)
            self._dispatch()
            self._wake_up()

    def sweep(self, live: Collection[str]) -> None:
        """Workers never outlive the process that started them, so what there is to stop is in here."""
        alive = set(live)
        with self._lock:
            stray = [token for token in self._pool.held if token not in alive]
        self.cancel(stray)

    def close(self) -> None:
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._wake_up()
        self._thread.join()

    def warm(self, code: CodeRef | None = None, count: int = 1) -> None:
        """Start workers before there is a call for them, and load `code` into every worker started from now on."""
        with self._lock:
            self._preload = code or self._preload
            room = self._pool.settings.workers - len(self._pool.workers) - self._pool.spawning
            self._want(max(0, min(count - len(self._pool.workers) - self._pool.spawning, room)))

    # Under the lock ---------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        before = self._pool.next_tick
        self._want(self._pool.dispatch())
        if self._pool.reports or self._pool.next_tick < before:
            self._wake_up()

    def _want(self, count: int) -> None:
        if count > 0:
            self._wanted += count
            self._pool.spawning += count
            self._wake_up()

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"!")

    def _listen(self, worker: WorkerProcess) -> bool:
        """Take in what a worker says; whether its stream has ended."""
        said, over = worker.read()
        for reply in said:
            self._pool.heard(worker, reply)
        return over

    # The thread -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing:
            now = time.monotonic()
            timeout = max(0.0, min(self._pool.next_tick - now, 3600.0))
            events = self._selector.select(timeout)
            with self._lock:
                for key, _ in events:
                    self._event(key)
                self._tick()
                self._dispatch_here()
                reports, self._pool.reports = self._pool.reports, []
            self._deliver(reports)
            if self._wanted:
                self._start_workers()
        self._shut_down()

    def _event(self, key: selectors.SelectorKey) -> None:
        if key.data is None:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_end, 4096)
            return
        worker: WorkerProcess = key.data
        if worker in self._pool.workers and self._listen(worker):
            self._lost_contact(worker)
        if worker in self._pool.workers:
            self._follow(worker)

    def _dispatch_here(self) -> None:
        wanted = self._pool.dispatch()
        self._wanted += wanted
        self._pool.spawning += wanted

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._pool.next_tick:
            for worker in self._pool.tick(now):
                worker.signal(signal.SIGKILL)

    def _deliver(self, reports: list[tuple[str, Outcome]]) -> None:
        for token, outcome in reports:
            if not self._closing:
                self._report(token, outcome)

    def _follow(self, worker: WorkerProcess) -> None:
        """Also wait until it can be written to, if something is left to write."""
        wish = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.flush() else 0)
        if self._selector.get_key(worker.stream).events != wish:
            self._selector.modify(worker.stream, wish, worker)

    def _start_workers(self) -> None:
        while self._wanted and not self._closing:
            self._wanted -= 1
            self._made += 1
            name = f"{self.name}-{self._made}"
            worker = self._start_one(name)
            with self._lock:
                self._pool.spawning -= 1
                if worker is not None:
                    self._pool.workers.append(worker)
                    self._pool.idle.insert(0, worker)
                    self._selector.register(worker.stream, selectors.EVENT_READ, worker)
                    if self._preload is not None:
                        worker.bundle, worker.bound = self._preload.bundle, True
                        worker.preload(self._preload)
                        worker.flush()
                self._dispatch_here()

    def _start_one(self, name: str) -> WorkerProcess | None:
        import msgspec

        try:
            return WorkerProcess(msgspec.structs.replace(self._config, name=name), os.environ)
        except OSError as error:
            self._start_failed(f"a worker process could not be started: {error}")
            return None

    def _start_failed(self, reason: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _FAILED_STARTS:
            self._failed_starts = 0
            self._pool.give_up(reason)

    def _lost_contact(self, worker: WorkerProcess) -> None:
        """The stream ended: the process has ended or is about to."""
        patience = time.monotonic() + (0.5 if worker.phase is Phase.LEAVING else 0.05)
        while (status := worker.reap()) is None:
            if time.monotonic() > patience:
                worker.signal(signal.SIGKILL)
            time.sleep(0.001)
        self._buried(worker, status)

    def _buried(self, worker: WorkerProcess, status: int) -> None:
        while not self._listen(worker):
            pass
        never_up = worker.phase is Phase.STARTING
        words = worker.last_words()
        reason = _reason(status, words)
        self._selector.unregister(worker.stream)
        self._pool.ended(worker, lambda entry: self._judge(entry, reason, words))
        worker.release()
        if never_up:
            self._start_failed(f"worker processes do not start: {reason}")

    def _judge(self, entry: Entry, reason: str, words: str) -> Outcome:
        log = LogFile(entry.call.log)
        log.note("skylift", f"{reason}\n{words}".rstrip())
        log.close()
        return Lost(reason=reason)

    def _shut_down(self) -> None:
        with self._lock:
            workers = list(self._pool.workers)
            for worker in workers:
                worker.let_go()
                if worker.window or worker.phase is Phase.STARTING:
                    worker.signal(signal.SIGTERM)
            self._bury_all(workers)
            self._selector.close()
            os.close(self._wake_end)
            os.close(self._wake)
            self._pool.workers.clear()
            self._pool.held.clear()
            self._pool.reports.clear()

    def _bury_all(self, workers: list[WorkerProcess]) -> None:
        patience = time.monotonic() + self._pool.settings.grace_s
        while workers:
            for worker in list(workers):
                if worker.reap() is not None:
                    workers.remove(worker)
                    worker.release()
            if workers and time.monotonic() > patience:
                for worker in workers:
                    worker.signal(signal.SIGKILL)
            time.sleep(0.001)


def _is_running(entry: Entry) -> bool:
    worker = entry.worker
    return worker is not None and worker.phase is not Phase.STARTING and worker.window[0] is entry


def _machine_for(workers: int | None) -> Machine:
    """This machine. Whoever asks for more workers than it has processors wants that many calls at once."""
    here = this_machine()
    if workers is None or workers <= here.cpus:
        return here
    return Machine(cpus=float(workers), memory_mib=here.memory_mib, gpus=here.gpus)


def _reason(status: int, words: str) -> str:
    """What is known of how a process ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(ValueError):
            return f"the worker process was killed by {signal.Signals(number).name} (signal {number})"
        return f"the worker process was killed by signal {number}"
    code = os.waitstatus_to_exitcode(status)
    last = words.splitlines()[-1] if words else ""
    return f"the worker process exited with status {code} in the middle of its work" + (f": {last}" if last else "")


__all__ = ["Machine", "ProcessBackend", "cpu_count", "memory_mib"]
