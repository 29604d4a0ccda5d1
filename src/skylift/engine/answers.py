"""What comes back for attempts: outcomes, callbacks, signs of life, time limits, pages of items."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from skylift.asl.events import AnyEvent, TaskHeartbeat, TaskSubmitted, TaskTimedOut
from skylift.engine import lent
from skylift.engine.book import AttemptDue, Book
from skylift.engine.dispatch import Dispatcher
from skylift.engine.inputs import Callback, Heartbeat, ItemsDone, Reported
from skylift.engine.library import Library
from skylift.engine.limits import EngineLimits
from skylift.engine.markets import Markets
from skylift.engine.names import split_token
from skylift.engine.outcomes import event_of, wrap_result
from skylift.engine.planner import Planner
from skylift.engine.redelivery import Redeliveries, Redelivery, deliveries_of
from skylift.engine.routes import ServiceRoute, WorkerRoute
from skylift.engine.run import Attempt
from skylift.engine.tokens import ForeignTasks, malformed, task_timed_out
from skylift.engine.turn import Turn
from skylift.ports.compute import Cancelled, Lost, Outcome, OutOfMemory, Submitted, Succeeded
from skylift.ports.journal import Journal

_NO_SPOT = "no spot machine came in time"
_NOT_OURS = "the attempt was cancelled, but not by its run"


class Answers:
    """Takes them into the runs. Touches memory only, as the planner does."""

    def __init__(
        self,
        *,
        book: Book,
        journal: Journal,
        library: Library,
        planner: Planner,
        dispatcher: Dispatcher,
        redeliveries: Redeliveries,
        markets: Markets,
        limits: EngineLimits,
    ) -> None:
        self._foreign = ForeignTasks(journal, library)
        self._book = book
        self._journal = journal
        self._planner = planner
        self._dispatcher = dispatcher
        self._redeliveries = redeliveries
        self._markets = markets
        self._limits = limits

    def reported(self, reported: Reported, turn: Turn) -> None:
        attempt = self._book.attempts.get(reported.token)
        if attempt is None:
            return  # superseded, cancelled, or told before
        outcome = reported.outcome
        if isinstance(outcome, Submitted):
            self._accepted(attempt, outcome, turn)
            return
        route = attempt.route
        if type(outcome) is Succeeded and (type(route) is WorkerRoute or type(route) is ServiceRoute):
            if route.callback:
                self._submitted(attempt, outcome, turn)
                return
            if type(route) is WorkerRoute and route.payload:
                outcome = Succeeded(output=wrap_result(route, outcome.output), usage=outcome.usage)
        self._ended(attempt, outcome, turn)

    def _accepted(self, attempt: Attempt, accepted: Submitted, turn: Turn) -> None:
        """A service has taken the job of a `.sync` task on; it goes on with it."""
        route = attempt.route
        if type(route) is ServiceRoute and route.waits and attempt.submitted is UNSET:
            self._dispatcher.accepted(attempt, accepted.output)
            self._planner.apply(attempt.run, TaskSubmitted(token=attempt.command.token, output=accepted.output), turn)

    def _submitted(self, attempt: Attempt, outcome: Succeeded, turn: Turn) -> None:
        """The worker of a `.waitForTaskToken` task is done; the outcome is still to come."""
        if attempt.backend is None:
            return  # told before
        self._dispatcher.ended(attempt)
        attempt.backend = None
        self._planner.apply(attempt.run, TaskSubmitted(token=attempt.command.token, output=outcome.output), turn)
        if attempt.open:
            self._planner.deadlines.wait_for_callback(attempt, turn.now_ms)
        early, attempt.early = attempt.early, None
        if early is not None:
            self.called_back(early, turn)

    def _ended(self, attempt: Attempt, outcome: Outcome, turn: Turn) -> None:
        if type(outcome) is Cancelled:
            outcome = Lost(reason=_NO_SPOT if attempt.recalled else _NOT_OURS, preempted=attempt.recalled)
        elif type(outcome) is Lost and attempt.recalled and outcome.preempted:
            outcome = _taken_back(attempt, outcome)
        if (type(outcome) is Lost or type(outcome) is OutOfMemory) and self._try_again(attempt, outcome, turn):
            return
        event = event_of(attempt.command.token, outcome)
        assert event is not None
        self._planner.close(attempt, turn)
        if type(outcome) is Succeeded:
            self._planner.succeeded(attempt, outcome.output, turn)
        self._planner.apply(attempt.run, event, turn)

    def _try_again(self, attempt: Attempt, outcome: Lost | OutOfMemory, turn: Turn) -> bool:
        if lent.work_of(attempt) is not None:
            return self._offer_again(attempt, outcome, turn)
        if attempt.backend is None:
            return False
        if not attempt.sent and attempt not in turn.adopted:
            return True  # told twice
        again = self._redeliveries.after(attempt, outcome)
        if again is None:
            return False
        if attempt.sent:
            self._redeliver(attempt, again, turn)
        else:  # its run was loaded in this turn: it goes out with what else no backend has
            self._planner.apply(attempt.run, again.event, turn)
            self._planner.place(attempt)
        return True

    def _offer_again(self, attempt: Attempt, outcome: Lost | OutOfMemory, turn: Turn) -> bool:
        """In the turn that journals the redelivery, so that neither is without the other; what would be a pause
        elsewhere is the time until a worker asks."""
        again = self._redeliveries.after(attempt, outcome)
        if again is not None:
            self._planner.apply(attempt.run, again.event, turn)
            lent.offer(attempt, turn)
        return again is not None

    def _redeliver(self, attempt: Attempt, again: Redelivery, turn: Turn) -> None:
        self._dispatcher.ended(attempt)
        self._planner.apply(attempt.run, again.event, turn)
        self._planner.place(attempt)
        if again.pause_ms:
            self._book.timers.add(turn.now_ms + again.pause_ms, AttemptDue(attempt, "again"))
        else:
            self._planner.give_out(attempt, turn.now_ms)

    def _reconsider_market(self, attempt: Attempt, turn: Turn) -> None:
        """An attempt that waits for a spot machine may be better off without, and one that runs on on-demand with spot:
        it is taken back, and given out anew once the backend says that it has left."""
        attempt.watched = False
        if attempt.market is None and not attempt.held:
            self._planner.give_out(attempt, turn.now_ms)
            return
        if not attempt.sent and not attempt.held:
            self._markets.choose_again(attempt, turn.now_ms)
        elif attempt.sent and not attempt.recalled:
            runs = self._dispatcher.held([attempt]).get(attempt.token) != "queued"
            if self._markets.is_better_elsewhere(attempt, turn.now_ms, runs=runs):
                attempt.recalled = True
                (turn.released if runs else turn.recalled).append(attempt)
        self._planner.watch_market(attempt, turn.now_ms)

    def called_back(self, callback: Callback, turn: Turn) -> None:
        attempt = self._book.attempts.get(callback.token)
        if attempt is None:
            self._answer_elsewhere(callback.token, event_of(_local(callback.token), callback.outcome), callback, turn)
            return
        if is_early(attempt):
            if attempt.early is not None:
                turn.refuse(callback.reply, task_timed_out(callback.token))
            else:
                attempt.early = callback
            return
        if type(callback.outcome) is Succeeded and self.answered(attempt, callback.outcome.output, turn):
            turn.answer(callback.reply, None)
            return
        event = event_of(attempt.command.token, callback.outcome)
        if event is not None:
            self._planner.retire(attempt, turn)
            turn.cancelled.append(attempt)
            self._planner.apply(attempt.run, event, turn)
        turn.answer(callback.reply, None)

    def answered(self, attempt: Attempt, output: Any, turn: Turn) -> bool:
        """Takes in what a worker says of a task of ours; False where it is no such task."""
        work = lent.work_of(attempt)
        if work is None:
            return False
        outcome = lent.answer_of(attempt, output, delivery=1 + deliveries_of(attempt).count)
        if type(outcome) is Succeeded and work.payload:
            outcome = Succeeded(output=wrap_result(work, outcome.output), usage=outcome.usage)
        if outcome is not None:
            self._ended(attempt, outcome, turn)
        return True

    def heartbeat(self, heartbeat: Heartbeat, turn: Turn) -> None:
        attempt = self._book.attempts.get(heartbeat.token)
        if attempt is None:
            self._answer_elsewhere(heartbeat.token, TaskHeartbeat(token=_local(heartbeat.token)), heartbeat, turn)
            return
        attempt.beat_ms = max(attempt.beat_ms, turn.now_ms)
        turn.answer(heartbeat.reply, None)

    def _answer_elsewhere(self, token: str, event: AnyEvent | None, given: Callback | Heartbeat, turn: Turn) -> None:
        """The run is another engine's, or waits no more."""
        run_id, _ = split_token(token)
        live = self._book.runs.get(run_id)
        if live is not None and not malformed(token):
            turn.refuse(given.reply, task_timed_out(token))
            return
        problem = self._foreign.problem(token, self._journal.run(run_id))
        if problem is not None:
            turn.refuse(given.reply, problem)
            return
        if event is not None:
            turn.sends.append((run_id, event))
        turn.answer(given.reply, None)

    def items_done(self, done: ItemsDone, turn: Turn) -> None:
        run = self._book.runs.get(done.run_id)
        if run is not None and run.io.pop(done.ticket, None) is not None:
            self._planner.apply(run, done.event, turn)

    def due(self, attempt: Attempt, what: str, turn: Turn) -> None:
        if what == "again":
            self._planner.give_out(attempt, turn.now_ms)
            return
        if what == "market":
            self._reconsider_market(attempt, turn)
            return
        if what == "heartbeat":
            if lent.work_of(attempt) is not None:
                self._lease_due(attempt, turn)
                return
            if self._has_beaten(attempt, attempt.command.heartbeat_ms or 0, turn):
                return
        self._planner.cancel(attempt, turn)
        event = TaskTimedOut(token=attempt.command.token, heartbeat=what == "heartbeat")
        self._planner.apply(attempt.run, event, turn)

    def _lease_due(self, attempt: Attempt, turn: Turn) -> None:
        if attempt.started and not self._has_beaten(attempt, self._limits.worker_lease_ms, turn):
            self._ended(attempt, lent.lease_over(self._limits), turn)

    def _has_beaten(self, attempt: Attempt, silence_ms: int, turn: Turn) -> bool:
        """Within so long; then it is asked again when that is over."""
        silent_until = attempt.beat_ms + silence_ms
        if silent_until <= turn.now_ms:
            return False
        self._book.timers.add(silent_until, AttemptDue(attempt, "heartbeat"))
        return True


def _local(token: str) -> str:
    return split_token(token)[1]


def _taken_back(attempt: Attempt, lost: Lost) -> Lost:
    """What was asked to leave spot and has saved nothing did not leave: its machine went."""
    if attempt.market == "spot" and not (lost.usage is not None and lost.usage.saved_ms):
        attempt.recalled = False
        return lost
    return msgspec.structs.replace(lost, reason=f"taken back from {attempt.market}: {lost.reason}")


def is_early(attempt: Attempt) -> bool:
    """Whether the service's own answer is still to come, and must come first."""
    route = attempt.route
    return type(route) is ServiceRoute and route.holds and attempt.backend is not None
