"""Jobs as AWS Batch has them: arrays, dependencies, retries by how an attempt ended. No input or output.

A job is more than an attempt: its children run as attempts, each with a token of its own, on whatever backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, OutOfMemory, Succeeded, TaskCall, TimedOut

Status = Literal["PENDING", "RUNNABLE", "SUCCEEDED", "FAILED"]
TIMED_OUT = "Job attempt duration exceeded timeout"
EXITED = "Essential container in task exited"
INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"
SIZE = "AWS_BATCH_JOB_ARRAY_SIZE"


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    job: str | None = None
    """The job before; None for one's own children, with SEQUENTIAL."""
    kind: Literal["", "SEQUENTIAL", "N_TO_N"] = ""
    """N_TO_N: child n waits for child n. SEQUENTIAL: each child waits for the one before it."""


class ExitRule(msgspec.Struct, frozen=True, kw_only=True):
    """The first rule all of whose patterns match decides. `*` and `?` stand for anything."""

    action: Literal["RETRY", "EXIT"]
    on_status_reason: str | None = None
    on_reason: str | None = None
    on_exit_code: str | None = None


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    attempts: int = 1
    rules: tuple[ExitRule, ...] = ()


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    call: TaskCall
    """What each child runs; its index is told in AWS_BATCH_JOB_ARRAY_INDEX, how many there are in …_SIZE."""
    size: int | None = None
    """Children of an array job; None for a job of its own."""
    after: tuple[Dependency, ...] = ()
    retry: Retry = Retry()


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt ended, in the words that rules match."""

    status_reason: str
    reason: str = ""
    exit_code: int | None = None
    counts: bool = True
    """A machine that the market took away uses up no try."""


class Child:
    def __init__(self, index: int) -> None:
        self.index = index
        self.status: Status = "PENDING"
        self.exits: list[Exit] = []
        self.outcome: Outcome | None = None
        self.reason = ""
        self.token = ""


class Job:
    def __init__(self, request: JobRequest) -> None:
        self.request = request
        self.children = [Child(index) for index in range(request.size or 1)]
        self.reason = ""

    @property
    def status(self) -> Status:
        found = {child.status for child in self.children}
        if found <= {"SUCCEEDED", "FAILED"}:
            return "FAILED" if "FAILED" in found else "SUCCEEDED"
        return "PENDING" if found == {"PENDING"} else "RUNNABLE"


class Run(msgspec.Struct, frozen=True):
    call: TaskCall


class Stop(msgspec.Struct, frozen=True):
    token: str


class Over(msgspec.Struct, frozen=True):
    """A job has ended, with all its children."""

    job: str


Effect = Run | Stop | Over


class Jobs:
    """All jobs of a queue."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._tokens: dict[str, tuple[Job, Child]] = {}
        self._told: set[str] = set()

    def submit(self, request: JobRequest) -> list[Effect]:
        """The same id again is the same job. Raises ValueError for what cannot be, with what to do."""
        if request.id in self.jobs:
            return []
        self._check(request)
        self.jobs[request.id] = Job(request)
        return list(self._settle())

    def ended(self, token: str, outcome: Outcome) -> list[Effect]:
        found = self._tokens.pop(token, None)
        if found is None:
            return []
        job, child = found
        child.outcome = outcome
        if isinstance(outcome, Succeeded):
            child.status, child.reason = "SUCCEEDED", EXITED
        else:
            self._not_well(job, child, outcome)
        return list(self._settle())

    def terminate(self, name: str, reason: str) -> list[Effect]:
        """Children that wait are over at once; those that run are stopped. What is over stays as it is."""
        effects: list[Effect] = []
        job = self.jobs[name]
        job.reason = reason
        for child in job.children:
            if child.status == "PENDING":
                child.status, child.reason = "FAILED", reason
            elif child.status == "RUNNABLE":
                effects.append(Stop(child.token))
        return [*effects, *self._settle()]

    def _check(self, request: JobRequest) -> None:
        for each in request.after:
            before = None if each.job is None else self.jobs.get(each.job)
            if each.job is not None and before is None:
                raise ValueError(f"job {request.id} depends on {each.job}, which is not known: submit that first")
            if each.job is None and (each.kind != "SEQUENTIAL" or request.size is None):
                raise ValueError(f"job {request.id}: a dependency without a job is SEQUENTIAL, of an array job")
            if each.kind == "N_TO_N" and (before is None or before.request.size != request.size or not request.size):
                raise ValueError(f"job {request.id}: N_TO_N wants two array jobs of the same size")

    def _not_well(self, job: Job, child: Child, outcome: Outcome) -> None:
        ended = exit_of(outcome)
        child.exits.append(ended)
        tries = sum(each.counts for each in child.exits)
        stopped = job.reason or isinstance(outcome, Cancelled)
        if not stopped and tries < job.request.retry.attempts + (not ended.counts) and again(job.request.retry, ended):
            child.status = "PENDING"
        else:
            child.status, child.reason = "FAILED", job.reason or ended.reason or ended.status_reason

    def _settle(self) -> Iterator[Effect]:
        """Start what may start, end what can never start, and say which jobs are over."""
        changed = True
        while changed:
            changed = False
            for job in self.jobs.values():
                for child in job.children:
                    if child.status == "PENDING":
                        before = self._before(job, child)
                        if before == "FAILED":
                            child.status, child.reason = "FAILED", "Dependent Job failed"
                            changed = True
                        elif before == "SUCCEEDED":
                            yield self._run(job, child)
        for name, job in self.jobs.items():
            if name not in self._told and job.status in ("SUCCEEDED", "FAILED"):
                self._told.add(name)
                yield Over(name)

    def _before(self, job: Job, child: Child) -> Status:
        """Of all that this child waits for."""
        found = {self._status(job, child, each) for each in job.request.after}
        if "FAILED" in found:
            return "FAILED"
        return "SUCCEEDED" if found <= {"SUCCEEDED"} else "PENDING"

    def _status(self, job: Job, child: Child, after: Dependency) -> Status:
        if after.job is None:
            return "SUCCEEDED" if child.index == 0 else job.children[child.index - 1].status
        before = self.jobs[after.job]
        return before.children[child.index].status if after.kind == "N_TO_N" else before.status

    def _run(self, job: Job, child: Child) -> Run:
        number = len(child.exits) + 1
        child.status = "RUNNABLE"
        name = job.request.id if job.request.size is None else f"{job.request.id}:{child.index}"
        child.token = f"{name}:try{number}"
        self._tokens[child.token] = job, child
        needs = job.request.call.requirements
        told = {"AWS_BATCH_JOB_ID": name, "AWS_BATCH_JOB_ATTEMPT": str(number)}
        if job.request.size is not None:
            told |= {INDEX: str(child.index), SIZE: str(job.request.size)}
        needs = msgspec.structs.replace(needs, env={**needs.env, **told})
        return Run(msgspec.structs.replace(job.request.call, token=child.token, attempt=number, requirements=needs))


def again(retry: Retry, ended: Exit) -> bool:
    """Whether its end is one to try again after. A time limit never is, as at the service."""
    if ended.status_reason == TIMED_OUT:
        return False
    for rule in retry.rules:
        patterns = (
            (rule.on_status_reason, ended.status_reason),
            (rule.on_reason, ended.reason),
            (rule.on_exit_code, "" if ended.exit_code is None else str(ended.exit_code)),
        )
        if all(pattern is None or fnmatchcase(seen, pattern) for pattern, seen in patterns):
            return rule.action == "RETRY"
    return True


def exit_of(outcome: Outcome) -> Exit:
    """In the words of the service, which people's rules match: `Host EC2*` for a lost machine."""
    if isinstance(outcome, Lost):
        reason = f"Host EC2 (instance) terminated: {outcome.reason}"
        return Exit(status_reason=reason, reason=outcome.reason, counts=not outcome.preempted)
    if isinstance(outcome, OutOfMemory):
        reason = "OutOfMemoryError: Container killed due to memory usage"
        return Exit(status_reason=EXITED, reason=reason, exit_code=137)
    if isinstance(outcome, TimedOut):
        return Exit(status_reason=TIMED_OUT)
    if isinstance(outcome, Cancelled):
        return Exit(status_reason="Job was terminated")
    if isinstance(outcome, Failed):
        return Exit(status_reason=EXITED, reason=outcome.error, exit_code=1)
    return Exit(status_reason=EXITED, exit_code=0)
