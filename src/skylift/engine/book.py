"""All runs in memory, with their attempts and timers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from skylift.engine.run import Attempt, LiveRun
from skylift.engine.timers import Timers


class RunDue(msgspec.Struct, frozen=True):
    """A timer of a run."""

    run: LiveRun
    timer: int


class AttemptDue(msgspec.Struct, frozen=True):
    """A time limit of an attempt, another delivery of it after a loss, or whether it should go on waiting for spot."""

    attempt: Attempt
    what: Literal["timeout", "heartbeat", "again", "market"]


class Book:
    """What the engine holds of the runs that it drives."""

    def __init__(self) -> None:
        self.runs: dict[str, LiveRun] = {}
        self.attempts: dict[str, Attempt] = {}
        """By global token."""
        self.timers: Timers[RunDue | AttemptDue] = Timers()
        self._stale_timers = 0
        """How many entries of the heap mean nothing any more, about."""
        self.parents: dict[str, list[Attempt]] = {}
        """Attempts that wait for a nested run, by its id."""

    def put(self, run: LiveRun) -> None:
        self.runs[run.record.run_id] = run

    def open_attempt(self, attempt: Attempt) -> None:
        attempt.run.attempts[attempt.command.token] = attempt
        self.attempts[attempt.token] = attempt

    def close_attempt(self, attempt: Attempt) -> None:
        attempt.open = False
        if attempt.beat_ms:
            self._timer_is_stale(1)
        attempt.run.attempts.pop(attempt.command.token, None)
        self.attempts.pop(attempt.token, None)
        if attempt.child is not None:
            waiting = self.parents.get(attempt.child)
            if waiting is not None:
                waiting.remove(attempt)
                if not waiting:
                    del self.parents[attempt.child]

    def await_child(self, attempt: Attempt, child: str) -> None:
        attempt.child = child
        self.parents.setdefault(child, []).append(attempt)

    def drop(self, run: LiveRun) -> list[Attempt]:
        """Forget the run; its attempts that were still open."""
        run.open = False
        if self.runs.get(run.record.run_id) is run:
            del self.runs[run.record.run_id]
        self._timer_is_stale(len(run.timers))
        left = list(run.attempts.values())
        for attempt in left:
            self.close_attempt(attempt)
        return left

    def set_timer(self, run: LiveRun, timer: int, due_ms: int) -> None:
        run.timers[timer] = due_ms
        self.timers.add(due_ms, RunDue(run, timer))

    def cancel_timer(self, run: LiveRun, timer: int) -> None:
        if run.timers.pop(timer, None) is not None:
            self._timer_is_stale(1)

    def _timer_is_stale(self, count: int) -> None:
        """A timeout of a day must not keep its run in memory for a day: half of the heap stale, and it is cleaned."""
        self._stale_timers += count
        if self._stale_timers > 500 and self._stale_timers * 2 > len(self.timers):
            self.timers.keep(_matters)
            self._stale_timers = 0

    def foreign_children(self) -> Iterator[str]:
        """Nested runs waited for that this engine does not drive."""
        return (child for child in self.parents if child not in self.runs)


def _matters(due: RunDue | AttemptDue) -> bool:
    if type(due) is RunDue:
        return due.run.open and due.timer in due.run.timers
    return due.attempt.open if type(due) is AttemptDue else False
