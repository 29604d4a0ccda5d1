"""What comes back for attempts: outcomes, callbacks, signs of life, time limits, pages of items."""

from __future__ import annotations

from typing import Any

from skylift.asl.events import TaskSubmitted, TaskTimedOut
from skylift.engine.book import OPEN, AttemptDue, Book
from skylift.engine.dispatch import Dispatcher
from skylift.engine.inputs import Callback, Heartbeat, ItemsDone, Reported
from skylift.engine.limits import EngineLimits
from skylift.engine.names import split_token
from skylift.engine.outcomes import event_of, lost_again_in_ms
from skylift.engine.planner import Planner
from skylift.engine.reply import Reply
from skylift.engine.router import WorkerRoute, wrap_result
from skylift.engine.run import Attempt
from skylift.engine.turn import Turn
from skylift.errors import SetupError, SkyliftError
from skylift.ports.compute import Cancelled, Lost, Outcome, Succeeded
from skylift.ports.journal import Journal


class Answers:
    """Takes them into the runs. Touches memory only, as the planner does."""

    def __init__(
        self, *, book: Book, journal: Journal, planner: Planner, dispatcher: Dispatcher, limits: EngineLimits
    ) -> None:
        self._book = book
        self._journal = journal
        self._planner = planner
        self._dispatcher = dispatcher
        self._limits = limits

    def reported(self, reported: Reported, turn: Turn) -> None:
        attempt = self._book.attempts.get(reported.token)
        if attempt is None:
            return  # superseded, cancelled, or told before
        outcome = reported.outcome
        route = attempt.route
        if type(outcome) is Succeeded and type(route) is WorkerRoute:
            if route.callback:
                self._submitted(attempt, outcome, turn)
                return
            if route.payload:
                outcome = Succeeded(output=wrap_result(route, outcome.output), usage=outcome.usage)
        self._ended(attempt, outcome, turn)

    def _submitted(self, attempt: Attempt, outcome: Succeeded, turn: Turn) -> None:
        """The worker of a `.waitForTaskToken` task is done; the outcome is still to come."""
        if attempt.backend is None:
            return  # told before
        self._dispatcher.ended(attempt)
        attempt.backend = None
        self._planner.apply(attempt.run, TaskSubmitted(token=attempt.command.token, output=outcome.output), turn)
        if attempt.open:
            self._planner.wait_for_callback(attempt, turn.now_ms)

    def _ended(self, attempt: Attempt, outcome: Outcome, turn: Turn) -> None:
        if type(outcome) is Cancelled:
            outcome = Lost(reason="the attempt was cancelled, but not by its run")
        if type(outcome) is Lost and self._try_again(attempt, outcome, turn):
            return
        event = event_of(attempt.command.token, outcome)
        assert event is not None
        self._planner.close(attempt)
        if type(outcome) is Succeeded:
            self._planner.succeeded(attempt, outcome.output, turn)
        self._planner.apply(attempt.run, event, turn)

    def _try_again(self, attempt: Attempt, lost: Lost, turn: Turn) -> bool:
        if attempt.backend is None:
            return False
        if not attempt.sent:
            return True  # told twice
        attempt.losses += not lost.preempted
        pause = lost_again_in_ms(max(1, attempt.losses), lost, self._limits.losses)
        if pause is None:
            return False
        self._dispatcher.ended(attempt)
        if pause:
            self._book.timers.add(turn.now_ms + pause, AttemptDue(attempt, "again"))
        else:
            self._dispatcher.add(attempt)
        return True

    def called_back(self, callback: Callback, turn: Turn) -> None:
        attempt = self._book.attempts.get(callback.token)
        if attempt is not None:
            event = event_of(attempt.command.token, callback.outcome)
            if event is not None:
                self._book.close_attempt(attempt)
                turn.cancelled.append(attempt)
                self._planner.apply(attempt.run, event, turn)
            _answer(callback.reply, turn)
            return
        run_id, local = split_token(callback.token)
        record = None if run_id in self._book.runs else self._journal.run(run_id)
        event = event_of(local, callback.outcome)
        if record is None or record.status not in OPEN or event is None:
            _refuse(callback.reply, _unknown_token(callback.token), turn)
            return
        turn.sends.append((run_id, event))
        _answer(callback.reply, turn)

    def heartbeat(self, heartbeat: Heartbeat, turn: Turn) -> None:
        attempt = self._book.attempts.get(heartbeat.token)
        if attempt is None:
            _refuse(heartbeat.reply, _unknown_token(heartbeat.token), turn)
            return
        attempt.beat_ms = turn.now_ms
        _answer(heartbeat.reply, turn)

    def items_done(self, done: ItemsDone, turn: Turn) -> None:
        run = self._book.runs.get(done.run_id)
        if run is not None and run.io.pop(done.ticket, None) is not None:
            self._planner.apply(run, done.event, turn)

    def due(self, attempt: Attempt, what: str, turn: Turn) -> None:
        if what == "again":
            self._dispatcher.add(attempt)
            return
        if what == "heartbeat":
            silent_until = attempt.beat_ms + (attempt.command.heartbeat_ms or 0)
            if silent_until > turn.now_ms:
                self._book.timers.add(silent_until, AttemptDue(attempt, "heartbeat"))
                return
        self._planner.cancel(attempt, turn)
        event = TaskTimedOut(token=attempt.command.token, heartbeat=what == "heartbeat")
        self._planner.apply(attempt.run, event, turn)


def _answer(reply: Reply[None] | None, turn: Turn) -> None:
    if reply is not None:
        turn.replies.append((reply, None))


def _refuse(reply: Reply[Any] | None, problem: SkyliftError, turn: Turn) -> None:
    if reply is not None:
        turn.failures.append((reply, problem))


def _unknown_token(token: str) -> SetupError:
    return SetupError(
        f"no task waits for an answer with the token {token!r}: it was answered, it timed out, or its run has ended",
        code="TASK-UNKNOWN",
    )
