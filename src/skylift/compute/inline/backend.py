"""The inline backend: attempts run in this process, when told to or in threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skylift.compute.basics import Basics
from skylift.compute.worker.attempt import Runner
from skylift.compute.worker.capture import LogFile
from skylift.compute.worker.usage import Meter
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import (
    Cancelled,
    Capabilities,
    Failed,
    Offer,
    Outcome,
    Report,
    Requirements,
    Succeeded,
    TaskCall,
)

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore

_REMEMBERED = 10_000


class InlineBackend(Basics):
    """Runs attempts by the same conventions as worker processes, without any process.

    With `threads=0` nothing runs by itself: `run_pending()` runs what is queued, in order, in the thread that calls it.
    That is deterministic. With `threads=N` up to N attempts run at once in threads.

    There is no worker to kill, so this backend has no memory limits, cannot stop what has started (a cancelled attempt
    is reported Cancelled and its result thrown away), does not time out, and does not capture output. Errors, secrets,
    values, `heartbeat()` and `attempt()` work as anywhere; environment variables are those of the whole process while
    an attempt runs. Not for production.
    """

    capabilities = Capabilities(
        stops=False, isolates=False, captures=False, limits_memory=False, limits_concurrency=False
    )

    def __init__(
        self,
        report: Report,
        *,
        name: str = "inline",
        blobs: BlobStore | None = None,
        cache_dir: str | None = None,
        inline_limit: int = 65_536,
        threads: int = 0,
        secrets: Mapping[str, str] | None = None,
        paths: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._report = report
        self._blobs = blobs
        config = WorkerConfig(
            name=name,
            backend=name,
            cache_dir=cache_dir or str(Path.home() / ".cache" / "skylift" / "bundles"),
            inline_limit=inline_limit,
            secrets=dict(secrets or {}),
            paths=tuple(paths),
        )
        self._runner = Runner(config, self._store, process_wide=False)
        self._change = threading.Condition()
        self._queued: OrderedDict[str, TaskCall] = OrderedDict()
        self._running: set[str] = set()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"skylift-{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    # The port ---------------------------------------------------------------------------------------------------

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        if requirements.gpu is not None or requirements.image is not None or requirements.nodes > 1:
            return ()
        return (Offer(backend=self.name, instance_type="this-process", vcpus=1.0, memory_mib=0),)

    def submit(self, calls: Sequence[TaskCall]) -> None:
        with self._change:
            for call in calls:
                if call.token not in self._known and not self._closed:
                    self._remember(call.token)
                    self._queued[call.token] = call
            self._change.notify_all()

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._change:
            states: dict[str, Literal["queued", "running"]] = {}
            for token in tokens:
                if token in self._queued:
                    states[token] = "queued"
                elif token in self._running:
                    states[token] = "running"
            return states

    def cancel(self, tokens: Collection[str]) -> None:
        with self._change:
            held = [token for token in tokens if token in self._queued or token in self._running]
            for token in held:
                self._queued.pop(token, None)
                self._running.discard(token)
                self._known.pop(token, None)
        for token in held:
            self._tell(token, Cancelled())

    def sweep(self, live: Collection[str]) -> None:
        alive = set(live)
        with self._change:
            stray = [token for token in (*self._queued, *self._running) if token not in alive]
        self.cancel(stray)

    def close(self) -> None:
        """Waits for attempts that run in threads: they cannot be stopped."""
        with self._change:
            self._closed = True
            self._queued.clear()
            self._change.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    # Running ----------------------------------------------------------------------------------------------------

    def run_pending(self, limit: int | None = None) -> int:
        """Run queued attempts in order, also those submitted meanwhile, at most `limit`; how many ran."""
        ran = 0
        while limit is None or ran < limit:
            call = self._next()
            if call is None:
                break
            self._run(call)
            ran += 1
        return ran

    def _serve(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._queued)
                if self._closed:
                    return
            call = self._next()
            if call is not None:
                self._run(call)

    def _next(self) -> TaskCall | None:
        with self._change:
            if self._closed or not self._queued:
                return None
            token, call = self._queued.popitem(last=False)
            self._running.add(token)
            return call

    def _run(self, call: TaskCall) -> None:
        outcome = self._outcome(call)
        with self._change:
            wanted = call.token in self._running
            self._running.discard(call.token)
        if wanted:
            self._tell(call.token, outcome)

    def _outcome(self, call: TaskCall) -> Outcome:
        found = self._runner.mask(call)
        if isinstance(found, Failed):
            return found
        mask, secrets = found
        function = self._runner.load(call.code)
        if isinstance(function, Failed):
            return function
        log = LogFile(call.log, mask)
        meter = Meter()
        outcome = self._runner.run(call, function, meter, mask, secrets, note=lambda text: log.note("skylift", text))
        log.close()
        if not isinstance(outcome, Succeeded):
            return outcome
        return Succeeded(output=outcome.output, usage=meter.usage(meter.stop(), *self._runner.usage_names()))

    def _tell(self, token: str, outcome: Outcome) -> None:
        if not self._closed:
            self._report(token, outcome)

    def _remember(self, token: str) -> None:
        self._known[token] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _store(self) -> BlobStore:
        from skylift.errors import SetupError

        if self._blobs is None:
            raise SetupError(
                "this inline backend was given no blob store, and a value or a code bundle needs one",
                hint="give InlineBackend `blobs=`",
            )
        return self._blobs
