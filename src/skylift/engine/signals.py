"""What other processes left in the journal for our runs: requests, answers, signs of life."""

from __future__ import annotations

from collections.abc import Container

from skylift.asl.events import (
    AnyEvent,
    RedriveRequested,
    TaskFailed,
    TaskHeartbeat,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
)
from skylift.asl.status import OPEN
from skylift.engine.answers import Answers, is_early
from skylift.engine.book import Book
from skylift.engine.guard import Guard
from skylift.engine.planner import Planner
from skylift.engine.run import LiveRun
from skylift.engine.turn import Turn
from skylift.errors import SetupError, SkyliftError
from skylift.ports.journal import Journal, RunRecord


class Signals:
    """Takes them into the runs. Those that it cannot take in yet stay where they are."""

    def __init__(
        self,
        *,
        book: Book,
        journal: Journal,
        planner: Planner,
        answers: Answers,
        owner: str,
        broken: Container[str],
        guard: Guard,
    ) -> None:
        self._guard = guard
        self._answers = answers
        self._book = book
        self._journal = journal
        self._planner = planner
        self._owner = owner
        self._broken = broken

    def take(self, turn: Turn) -> bool:
        """Whether some were left for later."""
        left = False
        seen = set(turn.signals_done)
        for signal in self._journal.signals(self._owner):
            run = self._book.runs.get(signal.run_id)
            if signal.number in seen or (run is None and signal.run_id in self._broken):
                continue
            if run is not None and _too_soon(run, signal.event):
                left = True
                continue
            turn.signals_done.append(signal.number)
            if run is not None:
                self._apply(run, signal.event, turn)
        return left

    def _apply(self, run: LiveRun, event: AnyEvent, turn: Turn) -> None:
        if isinstance(event, TaskSucceeded | TaskFailed | TaskTimedOut | TaskStarted | TaskHeartbeat):
            attempt = run.attempts.get(event.token)
            if attempt is None:
                return
            if type(event) is TaskHeartbeat:
                attempt.beat_ms = max(attempt.beat_ms, turn.now_ms)
                return
            if type(event) is TaskStarted:
                self._planner.taken(attempt, event, turn)
                return
            if type(event) is TaskSucceeded and self._answers.answered(attempt, event.output, turn):
                return
            self._planner.retire(attempt, turn)
            turn.cancelled.append(attempt)
        if not_now(run.record, event) is None and self._guard.refuses(run, event) is None:
            self._planner.apply(run, event, turn)

    def discard(self, run_id: str, turn: Turn) -> None:
        """What was asked of the run after it had ended: it must not stop or pause the redrive."""
        turn.signals_done += [one.number for one in self._journal.signals(self._owner) if one.run_id == run_id]


def _too_soon(run: LiveRun, event: AnyEvent) -> bool:
    """An answer that has overtaken the service's own: it is durable where it is."""
    if not isinstance(event, TaskSucceeded | TaskFailed):
        return False
    attempt = run.attempts.get(event.token)
    return attempt is not None and is_early(attempt)


def not_now(record: RunRecord, event: AnyEvent) -> SkyliftError | None:
    """Why this cannot be asked of the run as it is."""
    if type(event) is not RedriveRequested:
        return None
    if record.status in OPEN:
        return SetupError(
            f"run {record.run_id} is {record.status}: only a run that failed, timed out or was stopped can be redriven",
            code="NOT-REDRIVABLE",
        )
    if record.type == "EXPRESS":
        message = f"run {record.run_id} is an EXPRESS execution: these cannot be redriven"
        return SetupError(message, code="NOT-REDRIVABLE")
    if record.status == "SUCCEEDED":
        return SetupError(f"run {record.run_id} has succeeded: there is nothing to redrive", code="NOT-REDRIVABLE")
    return None
