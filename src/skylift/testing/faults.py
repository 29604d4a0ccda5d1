"""What goes wrong, and when: decided by a seed, so that a failing case can be run again by number."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from skylift.asl.events import AnyEvent
from skylift.errors import JournalUnavailable
from skylift.ports.compute import TaskCall
from skylift.ports.journal import Batch, Journal


class Crash(BaseException):
    """The engine's process dies here. Not an Exception: nothing that cleans up may catch it."""


class FaultPlan(msgspec.Struct, kw_only=True):
    """Probabilities, each for every time that the thing could happen."""

    crash_before_commit: float = 0.0
    """The batch is lost: a torn write is rolled back when the journal is opened again."""
    crash_after_commit: float = 0.0
    """The batch is durable, and nobody carried it out."""
    crash_before_submit: float = 0.0
    """Between two calls given to a backend: some were given, the rest were not."""
    crash_after_submit: float = 0.0
    journal_fails: float = 0.0
    """JournalUnavailable instead of a commit."""
    journal_fails_late: float = 0.0
    """JournalUnavailable although the batch was kept: the answer was lost."""
    report_lost: float = 0.0
    """The worker dies and says nothing; the backend tells Lost in the end."""
    report_again: float = 0.0
    """The same report a second time."""
    report_late: float = 0.0
    """Long after its time, behind others."""
    preempted: float = 0.0
    takeover: float = 0.0
    """Another engine takes the runs over while the first still lives, and they stay with it."""

    def quiet(self) -> FaultPlan:
        """No faults at all: for the end of a simulation, so that every run can finish."""
        return FaultPlan()

    @classmethod
    def hostile(cls, rng: random.Random) -> FaultPlan:
        """Everything, in a mixture of its own for each seed; some kinds are left out altogether."""
        return cls(**{name: rng.choice((0.0, 0.0, 0.01, 0.05, 0.15)) for name in cls.__struct_fields__})


class FaultyJournal:
    """A journal as one engine sees it: it may fail, or take the engine down with it. The content is the real one's."""

    def __init__(self, inner: Journal, plan: FaultPlan, rng: random.Random) -> None:
        self.inner = inner
        self.plan = plan
        self._rng = rng

    def commit(self, batch: Batch) -> None:
        plan, rng = self.plan, self._rng
        if rng.random() < plan.crash_before_commit:
            raise Crash("before commit")
        if rng.random() < plan.journal_fails:
            raise JournalUnavailable("injected: the journal is not there")
        self.inner.commit(batch)
        if rng.random() < plan.journal_fails_late:
            raise JournalUnavailable("injected: the journal's answer was lost")
        if rng.random() < plan.crash_after_commit:
            raise Crash("after commit")

    def send(self, run_id: str, event: AnyEvent) -> int:
        if self._rng.random() < self.plan.journal_fails:
            raise JournalUnavailable("injected: the journal is not there")
        return self.inner.send(run_id, event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def torn(calls: Sequence[TaskCall], plan: FaultPlan, rng: random.Random) -> Iterator[TaskCall]:
    """The calls one by one, with a crash before, between or after them."""
    for call in calls:
        if rng.random() < plan.crash_before_submit:
            raise Crash("before submit")
        yield call
        if rng.random() < plan.crash_after_submit:
            raise Crash("after submit")
