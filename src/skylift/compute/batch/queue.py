"""`BatchQueue`: jobs with arrays, dependencies and retries, on any backend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import msgspec

from skylift.compute.batch.jobs import Effect, Job, JobRequest, Jobs, Over, Run, Status, Stop
from skylift.ports.compute import Backend, Outcome, Report, Submitted


class JobDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job."""

    id: str
    status: Status
    reason: str
    """Why, once it is over."""
    children: tuple[tuple[Status, int, Outcome | None], ...]
    """Of each: status, tries, how the last one ended."""


class BatchQueue:
    """Thread-safe. `make` is given the report and returns the backend, which this object then owns and closes.

    `over(description)` is called once for each job that has ended, on a thread of the backend's. Tokens of attempts
    follow from the job's id: a queue made anew after a crash is given the same requests again, and what its backend
    adopts is not run twice.
    """

    def __init__(
        self, make: Callable[[Report], Backend], over: Callable[[JobDescription], None] = lambda description: None
    ) -> None:
        self._jobs = Jobs()
        self._over = over
        self._lock = threading.RLock()
        self._ended = threading.Condition(self._lock)
        self._backend = make(self._report)

    def submit(self, request: JobRequest) -> str:
        """The job's id. Raises ValueError for what depends on what is not there."""
        with self._lock:
            effects = self._jobs.submit(request)
        self._carry(effects)
        return request.id

    def describe(self, job: str) -> JobDescription:
        """Raises KeyError for a job that is not known."""
        with self._lock:
            return _description(self._jobs.jobs[job])

    def explain(self, job: str) -> Mapping[str, str]:
        """Why its children wait, by their tokens."""
        with self._lock:
            tokens = [child.token for child in self._jobs.jobs[job].children if child.status == "RUNNABLE"]
        return self._backend.explain(tokens)

    def terminate(self, job: str, reason: str) -> None:
        with self._lock:
            effects = self._jobs.terminate(job, reason)
        self._carry(effects)

    def wait(self, job: str, timeout_s: float | None = None) -> JobDescription:
        """Until it is over. Raises TimeoutError."""
        with self._ended:
            there = self._ended.wait_for(
                lambda: self._jobs.jobs[job].status in ("SUCCEEDED", "FAILED"), timeout=timeout_s
            )
            if not there:
                raise TimeoutError(f"job {job} is not over after {timeout_s} s: {self._jobs.jobs[job].status}")
            return _description(self._jobs.jobs[job])

    def close(self) -> None:
        self._backend.close()

    def _report(self, token: str, outcome: Outcome | Submitted) -> None:
        if isinstance(outcome, Submitted):
            return
        with self._lock:
            effects = self._jobs.ended(token, outcome)
        self._carry(effects)

    def _carry(self, effects: list[Effect]) -> None:
        """Outside the lock: the backend may report at once."""
        calls = [effect.call for effect in effects if isinstance(effect, Run)]
        if calls:
            self._backend.submit(calls)
        stopped = [effect.token for effect in effects if isinstance(effect, Stop)]
        if stopped:
            self._backend.cancel(stopped)
        with self._ended:
            self._ended.notify_all()
        for effect in effects:
            if isinstance(effect, Over):
                self._over(self.describe(effect.job))


def _description(job: Job) -> JobDescription:
    failed = [child.reason for child in job.children if child.status == "FAILED"]
    reason = job.reason or (failed[0] if failed else "")
    if job.request.size is not None and failed and not job.reason:
        reason = f"Array Child Job failed: {failed[0]}"
    return JobDescription(
        id=job.request.id,
        status=job.status,
        reason=reason,
        children=tuple(
            (child.status, len(child.exits) + (child.status == "SUCCEEDED"), child.outcome) for child in job.children
        ),
    )
