"""The durable shell around the pure core: inputs in, events to the journal, commands out.

A turn takes everything that waits, advances the runs, commits once, and only then carries out what follows. It is
synchronous and single-threaded, and given the same inputs, clock and ids it does the same things: the simulation drives
it directly, `EngineThread` on real time.

When a commit fails nothing of the turn has left the process. The runs it touched are thrown away and rebuilt from the
journal, and what came in is taken in again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from skylift.asl.events import (
    AnyEvent,
    TimerFired,
)
from skylift.asl.status import OPEN
from skylift.engine.answers import Answers
from skylift.engine.book import AttemptDue, Book, RunDue
from skylift.engine.calls import call_of
from skylift.engine.commits import Commits
from skylift.engine.dispatch import Dispatcher
from skylift.engine.guard import Guard
from skylift.engine.inputs import (
    Callback,
    Heartbeat,
    Input,
    ItemsDone,
    Recover,
    Reported,
    Send,
    StartRun,
    Watch,
)
from skylift.engine.items import ItemStore, Job
from skylift.engine.keeper import Keeper
from skylift.engine.library import Library
from skylift.engine.limits import BudgetPlan, EngineLimits
from skylift.engine.loader import Loader
from skylift.engine.markets import Markets
from skylift.engine.names import new_run_id
from skylift.engine.nested import input_of
from skylift.engine.observe import Observers, Progress, Subscription, TurnReport
from skylift.engine.orphans import Orphans
from skylift.engine.planner import Planner, RunBroken
from skylift.engine.redelivery import Redeliveries
from skylift.engine.requests import Requests
from skylift.engine.resolve import Resolve
from skylift.engine.router import Router
from skylift.engine.routes import ActivityRoute
from skylift.engine.run import Attempt
from skylift.engine.signals import Signals
from skylift.engine.turn import Turn
from skylift.engine.waiting import Waiting, timers_of, waiting_for
from skylift.errors import (
    JournalUnavailable,
    NotOwner,
    RunAlreadyExists,
    RunNotFound,
    SkyliftError,
)
from skylift.ports.blobs import BlobStore
from skylift.ports.clock import Clock
from skylift.ports.compute import Backend, Outcome, Submitted
from skylift.ports.journal import Journal
from skylift.ports.spot import SpotPolicy
from skylift.pricing.spot.live import safety_net

NO_PLACEMENT: Mapping[str, str] = MappingProxyType({})
FIRE_MS = 50
"""How long a turn goes on with what is due before it is committed; the rest is due in the next one."""


class Engine:
    """Drives runs. Not thread-safe but for `report`, `item_done` (both through `inbox`) and `subscribe`."""

    def __init__(
        self,
        *,
        journal: Journal,
        blobs: BlobStore | None = None,
        clock: Clock,
        backends: Mapping[str, Backend],
        owner: str,
        inbox: Callable[[Input], None],
        router: Router | None = None,
        items: ItemStore | None = None,
        is_alive: Callable[[str], bool] = lambda owner: False,
        resolve: Resolve | None = None,
        log_path: Callable[[str, str], str] | None = None,
        new_id: Callable[[], str] = new_run_id,
        limits: EngineLimits | None = None,
        version: str = "",
        library: Library | None = None,
        adopting: bool = False,
        spot_policy: SpotPolicy = safety_net,
        on_turn: Callable[[TurnReport], None] | None = None,
        budget: BudgetPlan | None = None,
        placement: Mapping[str, str] = NO_PLACEMENT,
    ) -> None:
        """`inbox` takes inputs for the next turn from any thread. `is_alive` tells whether an owner still lives.
        `log_path(run_id, token)` names the file for an attempt's output. `library` keeps compiled definitions over
        several lives of an engine on one thread. With `adopting` it takes over runs of engines that are not alive.
        `spot_policy` says when a task that may run on spot machines does: without one, until its deadline is close.
        `on_turn` is told of every committed turn. `budget` is the project's, `placement` what its settings say of where
        tasks go."""
        self.owner = owner
        self.journal = journal
        self.blobs = blobs
        self.trouble: SkyliftError | None = None
        """What is wrong with the journal now; None when it works."""
        self._clock = clock
        self._inbox = inbox
        self._items = items if items is not None else ItemStore()
        self._limits = limits if limits is not None else EngineLimits()
        self._observers = Observers()
        self._book = Book()
        self._library = library if library is not None else Library(journal)
        guard = self._guard = Guard(
            book=self._book, journal=journal, backends=backends, placement=placement, plan=budget or BudgetPlan()
        )
        self._dispatcher = Dispatcher(
            backends, self._limits.window, self.report, guard, partial(call_of, log_path=log_path)
        )
        router = router if router is not None else Router(backends)
        redeliveries = Redeliveries(router, self._limits)
        markets = self._markets = Markets(self._dispatcher, self._limits, spot_policy)
        self._planner = Planner(
            book=self._book,
            journal=journal,
            library=self._library,
            router=router,
            dispatcher=self._dispatcher,
            markets=markets,
            limits=self._limits,
            observers=self._observers,
            owner=owner,
            version=version,
            resolve=resolve,
            guard=guard,
        )
        self._answers = Answers(
            book=self._book,
            journal=journal,
            library=self._library,
            planner=self._planner,
            dispatcher=self._dispatcher,
            redeliveries=redeliveries,
            markets=markets,
            limits=self._limits,
        )
        self._loader = Loader(self._book, journal, self._library, self._planner)
        self._orphans = Orphans(journal, owner, is_alive, self._limits)
        self._adopting = adopting
        self._keeper = Keeper(
            book=self._book,
            journal=journal,
            loader=self._loader,
            dispatcher=self._dispatcher,
            owner=owner,
            inbox=inbox,
        )
        self._signals = Signals(
            book=self._book,
            journal=journal,
            planner=self._planner,
            answers=self._answers,
            owner=owner,
            broken=self._keeper.broken,
            guard=guard,
        )
        self._requests = Requests(
            book=self._book,
            journal=journal,
            planner=self._planner,
            keeper=self._keeper,
            loader=self._loader,
            orphans=self._orphans,
            signals=self._signals,
            dispatcher=self._dispatcher,
            new_id=new_id,
            guard=guard,
        )
        self._commits = Commits(book=self._book, journal=journal, owner=owner, limits=self._limits, on_turn=on_turn)
        self._kept: list[Input] = []
        """Inputs of a turn whose commit failed."""
        self._carry: Turn | None = None
        """The last turn, when more follows from it than one turn may hold."""
        self._failures = 0
        self._quiet_until = 0
        self._looked_ms = -1_000_000
        self._look = True
        self._takers: dict[type, Callable[[Any, Turn], None]] = {
            StartRun: self._requests.start,
            Reported: self._answers.reported,
            Callback: self._call_back,
            Heartbeat: self._answers.heartbeat,
            Send: self._requests.send,
            Watch: self._keeper.watch,
            ItemsDone: self._answers.items_done,
            Recover: self._requests.recover,
        }

    # -- from any thread -----------------------------------------------------------------------------------------------

    def report(self, token: str, outcome: Outcome | Submitted) -> None:
        """Give this to the backends as their `Report`."""
        self._inbox(Reported(token, outcome))

    def subscribe(self, run_id: str | None, callback: Callable[[Progress], None] | None = None) -> Subscription:
        """Listen to one run, or to all. Only what happens from now on is told."""
        return self._observers.subscribe(run_id, callback)

    def broken(self, run_id: str) -> SkyliftError | None:
        """Why the run was set aside, if it was: it is open, but nothing drives it."""
        return self._keeper.broken.get(run_id)

    # -- the turn ------------------------------------------------------------------------------------------------------

    def turn(self, inputs: Sequence[Input] = ()) -> int | None:
        """Take everything that waits and do what follows. Gives the time at which the next turn is due, in UTC
        milliseconds; None when only an input can bring one."""
        now = self._clock.now_ms()
        if now < self._quiet_until:
            self._kept.extend(inputs)
            return self._quiet_until
        inputs = [*self._kept, *inputs] if self._kept else inputs
        self._kept = []
        turn = Turn(now)
        try:
            self._plan(inputs, turn)
            self._commits.commit(turn)
        except RunBroken as broken:
            self._keeper.set_aside(broken)
            self._undo(turn, inputs)
            return now
        except (RunAlreadyExists, NotOwner):
            self._undo(turn, inputs)
            self._requests.ids_in_doubt = True
            self._looked_ms, self._look = -1_000_000, True
            return now
        except JournalUnavailable as problem:
            self._undo(turn, _without_starts(inputs, problem))
            return self._back_off(problem, now)
        self._failures, self.trouble, self._requests.ids_in_doubt = 0, None, False
        self._carry_out(turn)
        return self._next_due(turn)

    def _plan(self, inputs: Sequence[Input], turn: Turn) -> None:
        if self._guard.begin_turn(turn.now_ms):
            self._planner.give_out_held(turn.now_ms)
        self._take_over_carry(turn)
        if self._adopting:
            self._adopt_orphans(turn)
        if self._keeper.stale:
            self._keeper.reload(turn)
        if self._look or turn.now_ms - self._looked_ms >= self._limits.look_ms:
            self._look_into_journal(turn)
        takers = self._takers
        for given in inputs:
            takers[type(given)](given, turn)
        if self._book.timers:
            self._fire(turn)
        for run, event in self._guard.overdue(turn.now_ms):
            self._planner.take(run, event, turn)
        if turn.todo or turn.nested:
            self._planner.settle(turn, self._limits.events_per_turn)

    def _take_over_carry(self, turn: Turn) -> None:
        if self._carry is not None:
            turn.todo.extend(self._carry.todo)
            turn.nested.extend(self._carry.nested)
            self._carry = None

    def _carry_out(self, turn: Turn) -> None:
        """The batch is durable: now the world may know."""
        for run_id, event in turn.sends:
            self._leave_signal(run_id, event)
        if turn.cancelled:
            self._dispatcher.cancel(turn.cancelled)
        if turn.recalled:
            self._dispatcher.recall(turn.recalled)
        if turn.released:
            self._dispatcher.release(turn.released)
        if turn.adopted:
            self._adopt(turn.adopted, turn.now_ms)
        self._dispatcher.flush()
        for run, ticket, command in turn.io:
            record = run.record
            self._items.submit(Job(command, record.run_id, record.account), self._item_done(record.run_id, ticket))
        for listeners, progress in turn.progress:
            for listener in listeners:
                listener.tell(progress)
        for run in turn.ended:
            self._keeper.let_go(run)
            self._guard.dropped(run)
        for reply, value in turn.replies:
            reply.set(value)
        for reply, problem in turn.failures:
            reply.fail(problem)

    def _item_done(self, run_id: str, ticket: int) -> Callable[[AnyEvent], None]:
        return lambda event: self._inbox(ItemsDone(run_id=run_id, ticket=ticket, event=event))

    def _next_due(self, turn: Turn) -> int | None:
        if turn.todo or turn.nested:
            self._carry = turn
            return turn.now_ms
        if self._keeper.stale or self._orphans.more or self._guard.due:
            return turn.now_ms
        return self._book.timers.next_due()

    # -- when the commit failed ----------------------------------------------------------------------------------------

    def _undo(self, turn: Turn, inputs: Sequence[Input]) -> None:
        """Throw away what the turn did in memory; keep what came in."""
        self._keeper.undo(turn)
        self._guard.undone()
        self._kept = [given for given in inputs if type(given) is not ItemsDone]
        self._look = True

    def _back_off(self, problem: JournalUnavailable, now: int) -> int:
        pause = min(self._limits.backoff_most_ms, self._limits.backoff_ms * 2 ** min(self._failures, 10))
        self._failures += 1
        self.trouble = problem
        self._quiet_until = now + pause
        return self._quiet_until

    def _adopt_orphans(self, turn: Turn) -> None:
        for run_id in self._orphans.adopt(turn.now_ms):
            if run_id not in self._book.runs:
                self._keeper.stale.setdefault(run_id, ())

    # -- what other processes left in the journal ----------------------------------------------------------------------

    def _look_into_journal(self, turn: Turn) -> None:
        self._looked_ms = turn.now_ms
        if not (self.journal.changed() or self._look):
            return
        self._look = False
        self._look = self._signals.take(turn)
        self._keeper.look_at_foreign(turn)
        for child in list(self._book.foreign_children()):
            self._look_at_child(child, turn)

    def _call_back(self, callback: Callback, turn: Turn) -> None:
        """The worker's name and the time he began come before his answer."""
        attempt = self._book.attempts.get(callback.token)
        if attempt is not None and type(attempt.route) is ActivityRoute and not attempt.started:
            self._look = self._signals.take(turn) or self._look
        self._answers.called_back(callback, turn)

    def _look_at_child(self, child: str, turn: Turn) -> None:
        record = self.journal.run(child)
        if record is None:
            return
        if record.status in OPEN:
            if self._orphans.claim(record):
                self._keeper.load(child, turn)
            return
        for attempt in list(self._book.parents.get(child, ())):
            self._planner.children.ended(attempt, record, input_of(attempt), turn)

    def _leave_signal(self, run_id: str, event: AnyEvent) -> None:
        try:
            self.journal.send(run_id, event)
        except RunNotFound:
            pass  # deleted meanwhile
        except JournalUnavailable as problem:
            self.trouble = problem
            self._inbox(Send(run_id=run_id, event=event))

    # -- time ----------------------------------------------------------------------------------------------------------

    def _fire(self, turn: Turn) -> None:
        timers = self._book.timers
        most = timers.added
        while (due := timers.pop_due(turn.now_ms, most)) is not None:
            if type(due) is RunDue:
                if due.run.open and due.run.timers.pop(due.timer, None) is not None:
                    self._planner.apply(due.run, TimerFired(timer=due.timer), turn)
            elif type(due) is AttemptDue and due.attempt.open:
                self._answers.due(due.attempt, due.what, turn)
            if self._clock.now_ms() - turn.now_ms >= FIRE_MS:
                return  # endless loops go on at once, again and again: others have their turn first

    # -- attempts ------------------------------------------------------------------------------------------------------

    def _adopt(self, attempts: list[Attempt], now_ms: int) -> None:
        """Attempts of loaded runs: what a backend still has goes on; then the rest is given to it again, as far as
        budgets go."""
        still = [attempt for attempt in attempts if attempt.open]
        held = self._dispatcher.held(still)
        for attempt in sorted(still, key=lambda one: one.token not in held):
            if attempt.token in held:
                self._markets.adopt(attempt, now_ms)
                self._dispatcher.adopt(attempt)
                self._planner.watch_market(attempt, now_ms)
            else:
                self._planner.give_out_anew(attempt, now_ms)

    def abandon(self, problem: SkyliftError) -> None:
        """Tell everyone who waits that this engine is no more."""
        self._keeper.abandon(problem)

    # -- virtual time --------------------------------------------------------------------------------------------------

    def works_outside(self, inside: Collection[str]) -> bool:
        """Whether anything takes real time: attempts on backends but those named, files that are read or written."""
        return self._dispatcher.busy(inside) or any(run.io for run in self._book.runs.values())

    def look_again(self) -> None:
        """Look into the journal in the next turn, although no time may have passed."""
        self._looked_ms = -1_000_000

    # -- views ---------------------------------------------------------------------------------------------------------

    def live_runs(self) -> list[str]:
        return list(self._book.runs)

    def in_flight(self, run_id: str) -> list[Waiting]:
        """Why the run waits: its attempts, and its next timers. Empty for a run that is not driven here."""
        run = self._book.runs.get(run_id)
        if run is None:
            return []
        held = self._dispatcher.held(run.attempts.values())
        why = self._dispatcher.explain(run.attempts.values())
        return [*(waiting_for(attempt, held, why) for attempt in run.attempts.values()), *timers_of(run)]


def _without_starts(inputs: Sequence[Input], problem: JournalUnavailable) -> list[Input]:
    """Whoever starts a run is told at once that it cannot be; what happened to runs is kept."""
    kept = []
    for given in inputs:
        if type(given) is StartRun:
            for reply in (given.started, given.finished):
                if reply is not None:
                    reply.fail(problem)
        else:
            kept.append(given)
    return kept
