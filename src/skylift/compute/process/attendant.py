"""The thread that attends to the workers of the process backend: starts them, listens to them, sees to their ends."""

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
from collections.abc import Collection
from functools import partial
from pathlib import Path

import msgspec

from skylift.compute.process.answers import take_in
from skylift.compute.process.deaths import judge, reason_of
from skylift.compute.process.guardian import Guardian
from skylift.compute.process.leases import Leases
from skylift.compute.process.pool import Pool
from skylift.compute.process.timers import tick
from skylift.compute.process.worker import Phase, WorkerProcess
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import CodeRef, Outcome, Report

_FAILED_STARTS = 3
_LEAVE_S = 5.0
_VANISH_S = 0.1
_POLL_S = 0.05


class Attendant:
    """Its thread runs from the construction on, until `close`. The pool's lock is held for what others ask of it, but
    for `close` and `abandon`. What becomes of calls goes to `report`, without the lock."""

    def __init__(
        self,
        pool: Pool,
        config: WorkerConfig,
        guardian: Guardian,
        leases: Leases,
        report: Report,
        *,
        withheld: Collection[str],
    ) -> None:
        self.closing = False
        self._pool = pool
        self._config = config
        self._guardian = guardian
        self._leases = leases
        self._report = report
        self._withheld = withheld
        self._wanted: Counter[str | None] = Counter()
        self._preload: CodeRef | None = None
        self._made = 0
        self._failed_starts: Counter[str | None] = Counter()
        self._selector = selectors.DefaultSelector()
        self._wake_end, self._wake = os.pipe()
        for fd in (self._wake_end, self._wake):
            os.set_blocking(fd, False)
        self._selector.register(self._wake_end, selectors.EVENT_READ, self._woken)
        _attendants.add(self)
        self._thread = threading.Thread(target=self._serve, name=f"skylift-{pool.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop all workers, and the thread."""
        with self._pool.lock:
            self.closing = True
            self.wake_up()
        if self._thread.ident is not None:
            self._thread.join()

    def abandon(self) -> None:
        """In a process forked from this one: let go of what would keep workers alive after the engine."""
        for worker in self._pool.workers:
            worker.release()
        self._guardian.abandon()
        self.closing = True
        self._pool.lock = threading.Lock()
        self._thread = threading.Thread()

    def want(self, count: int, environment: str | None) -> None:
        """Start so many more workers."""
        if count > 0:
            self._wanted[environment] += count
            self._pool.spawning[environment] += count
            self.wake_up()

    def load_early(self, code: CodeRef) -> None:
        """Have those load it that serve no other bundle yet, and all that are started later."""
        self._preload = code
        for worker in self._pool.idle:
            self._load_into(worker)

    def wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake, b"!")

    def listen(self, worker: WorkerProcess) -> bool:
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

    # The thread -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self.closing:
            due = min(self._pool.next_tick, self._leases.next)
            timeout = max(0.0, min(due - time.monotonic(), 3600.0))
            events = self._selector.select(timeout)
            with self._pool.lock:
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
            if self.closing:
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
        self.listen(worker)
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
        while self.listen(worker):
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
        self._guardian.forget(str(worker.pid))
        self._leases.forget(worker.pid)

    # Starting ---------------------------------------------------------------------------------------------------

    def _start_workers(self) -> None:
        while self._wanted and not self.closing:
            self._made += 1
            environment = next(iter(self._wanted))
            config = msgspec.structs.replace(self._config, name=f"{self._pool.name}-{self._made}")
            python = sys.executable if environment is None else self._pool.pythons.get(environment, "")
            worker, problem = _started(config, self._withheld, python, environment)
            with self._pool.lock:
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
        self._guardian.watch(str(worker.pid))
        self._leases.begin(worker.pid, worker.name)
        self._load_into(worker)

    def _start_failed(self, environment: str | None, reason: str) -> None:
        """Once is chance; again and again means that it will not work."""
        self._failed_starts[environment] += 1
        if self._failed_starts[environment] >= _FAILED_STARTS:
            del self._failed_starts[environment]
            self._pool.give_up(environment, reason)
        self._pool.due(time.monotonic() + _POLL_S)

    def _load_into(self, worker: WorkerProcess) -> None:
        if self._preload is not None and not worker.bound and worker.environment is None:
            worker.bundle, worker.bound = self._preload.bundle, True
            worker.preload(self._preload)
            worker.flush()

    # The end ----------------------------------------------------------------------------------------------------

    def _shut_down(self) -> None:
        self._pool.gpus.end()
        with self._pool.lock:
            self._end_workers()
            _attendants.discard(self)
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


_attendants: weakref.WeakSet[Attendant] = weakref.WeakSet()


def _abandon_all() -> None:
    for attendant in list(_attendants):
        attendant.abandon()


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
