"""The backend of service integrations: requests on threads, and jobs of services watched until they end."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec

from skylift.compute.basics import Basics
from skylift.compute.services.actions import Actions, Job
from skylift.compute.services.clients import Clients
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.policy import ServicePolicy
from skylift.compute.services.pool import Threads
from skylift.compute.services.resource import parse_target
from skylift.compute.services.timers import Timers
from skylift.compute.services.transport import Transport
from skylift.compute.services.watching import Watch
from skylift.compute.services.web import Web
from skylift.config import ServiceSettings
from skylift.ports.compute import (
    Cancelled,
    Failed,
    Offer,
    Outcome,
    Report,
    Requirements,
    Submitted,
    Succeeded,
    TaskCall,
)

if TYPE_CHECKING:
    from skylift.compute.services.watching import Pace

_log = logging.getLogger(__name__)
_REMEMBERED = 100_000


class ServicesBackend(Basics):
    """Runs calls of convention `service`: `code.target` is a resource ARN, `arguments` its parameters.

    A request under way cannot be taken back; a cancelled one is reported Cancelled and its answer thrown away, and a
    job that it started is stopped. What a service answers is final: a Retry is the state's business.
    """

    def __init__(
        self,
        report: Report,
        settings: ServiceSettings | None = None,
        policy: ServicePolicy | None = None,
        *,
        threads: int = 32,
        name: str = "services",
        pace: Pace | None = None,
        timers: Timers | None = None,
    ) -> None:
        self.name = name
        self._report = report
        self._clients = Clients(settings or ServiceSettings())
        self._threads = Threads(f"skylift-{name}", threads)
        self._timers = timers or Timers(f"skylift-{name}-timers")
        policy = policy or ServicePolicy()
        self._actions = Actions(self._clients, policy, Web(self._clients, policy, Transport(self._timers)))
        self._pace = pace
        self._lock = threading.Lock()
        self._held: dict[str, _Attempt] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self._closed = False

    # The port ---------------------------------------------------------------------------------------------------

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        """The integrations run elsewhere: this backend offers no machines."""
        return ()

    def submit(self, calls: Sequence[TaskCall]) -> None:
        for call in calls:
            attempt = _Attempt(call)
            with self._lock:
                if self._closed or call.token in self._known:
                    continue
                self._remember(call.token)
                self._held[call.token] = attempt
            self._run(call.account, partial(self._start, attempt))

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._lock:
            found = {token: self._held[token] for token in tokens if token in self._held}
        return {token: "running" if attempt.running else "queued" for token, attempt in found.items()}

    def cancel(self, tokens: Collection[str]) -> None:
        for token in tokens:
            with self._lock:
                attempt = self._held.pop(token, None)
                self._known.pop(token, None)
            if attempt is not None:
                self._abandon(attempt)
                self._tell(token, Cancelled())

    def sweep(self, live: Collection[str]) -> None:
        alive = set(live)
        with self._lock:
            stray = [token for token in self._held if token not in alive]
        self.cancel(stray)

    def close(self) -> None:
        """Jobs of services go on: whoever opens the journal next waits for them."""
        with self._lock:
            self._closed = True
            self._held.clear()
        self._timers.close()
        self._threads.close()
        self._clients.close()

    # Running ----------------------------------------------------------------------------------------------------

    def _run(self, account: str, work: Callable[[], None]) -> None:
        self._threads.run(account, work)

    def _start(self, attempt: _Attempt) -> None:
        """On a thread: make the request, unless it was made before the engine was started again."""
        if not self._holds(attempt):
            return
        attempt.running = True
        try:
            outcome = self._request(attempt)
        except ServiceFailure as failure:
            outcome = Failed(error=failure.error, cause=failure.cause)
        except Exception as problem:  # noqa: BLE001  # a bug must end the attempt, not the thread
            _log.exception("service integration %s failed inside Skylift", attempt.call.code.target)
            outcome = Failed(error="States.Runtime", cause=f"{type(problem).__name__}: {problem}")
        if outcome is not None:
            self._end(attempt, outcome)

    def _request(self, attempt: _Attempt) -> Outcome | None:
        call = attempt.call
        target = parse_target(call.code.target)
        known = call.submitted is not msgspec.UNSET
        output = call.submitted if known else self._actions.perform(call, target)
        if target.pattern != "sync":
            return Succeeded(output=output)
        job = self._actions.job(call, target, output)
        with self._lock:
            attempt.job = job
            held = self._held.get(call.token) is attempt
        if not held:
            self._stop(job)
            return None
        if not known:
            self._tell(call.token, Submitted(output=output))
        self._watch(attempt, job)
        return None

    def _watch(self, attempt: _Attempt, job: Job) -> None:
        watch = Watch(self._actions, job, self._pace)
        account = attempt.call.account

        def later() -> None:
            self._timers.after(watch.next_delay(), lambda: self._run(account, look))

        def look() -> None:
            if not self._holds(attempt):
                return
            outcome = watch.look()
            if outcome is None:
                later()
            else:
                self._end(attempt, outcome)

        later()

    def _end(self, attempt: _Attempt, outcome: Outcome) -> None:
        with self._lock:
            if self._held.get(attempt.call.token) is not attempt:
                return
            del self._held[attempt.call.token]
        self._tell(attempt.call.token, outcome)

    def _abandon(self, attempt: _Attempt) -> None:
        """It was cancelled: a job that runs for it is stopped, one that is being started when it has."""
        if attempt.job is not None:
            job = attempt.job
            self._run(attempt.call.account, lambda: self._stop(job))
        elif not attempt.running and attempt.call.submitted is not msgspec.UNSET:
            self._run(attempt.call.account, lambda: self._start_stopping(attempt))

    def _start_stopping(self, attempt: _Attempt) -> None:
        try:
            target = parse_target(attempt.call.code.target)
            self._stop(self._actions.job(attempt.call, target, attempt.call.submitted))
        except ServiceFailure as failure:
            _log.warning("a job could not be stopped: %s", failure)

    def _stop(self, job: Job) -> None:
        try:
            self._actions.stop(job)
        except ServiceFailure as failure:
            _log.warning("a job of %s could not be stopped: %s", job.target.arn, failure)

    def _holds(self, attempt: _Attempt) -> bool:
        with self._lock:
            return self._held.get(attempt.call.token) is attempt

    def _tell(self, token: str, outcome: Outcome | Submitted) -> None:
        if not self._closed:
            self._report(token, outcome)

    def _remember(self, token: str) -> None:
        self._known[token] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


class _Attempt:
    """One call that this backend holds."""

    __slots__ = ("call", "job", "running")

    def __init__(self, call: TaskCall) -> None:
        self.call = call
        self.running = False
        self.job: Job | None = None
