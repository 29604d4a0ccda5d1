"""What is asked of runs from outside: start, stop, pause, resume, redrive, recover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from skylift.asl.events import AnyEvent, RedriveRequested
from skylift.asl.status import OPEN
from skylift.engine.book import Book
from skylift.engine.dispatch import Dispatcher
from skylift.engine.guard import Guard
from skylift.engine.inputs import Recover, Send, StartRun, Watch
from skylift.engine.keeper import Keeper, unknown_run
from skylift.engine.loader import Loader
from skylift.engine.orphans import Orphans
from skylift.engine.planner import Planner
from skylift.engine.run import LiveRun
from skylift.engine.signals import Signals, not_now
from skylift.engine.turn import Turn
from skylift.errors import JournalUnavailable, SkyliftError
from skylift.ports.journal import Journal, RunRecord


class Requests:
    """Carried out here, by signal to the run's owner, or after taking a dead engine's run over."""

    def __init__(
        self,
        *,
        book: Book,
        journal: Journal,
        planner: Planner,
        keeper: Keeper,
        loader: Loader,
        orphans: Orphans,
        signals: Signals,
        dispatcher: Dispatcher,
        new_id: Callable[[], str],
        guard: Guard,
    ) -> None:
        self._guard = guard
        self._book = book
        self._journal = journal
        self._planner = planner
        self._keeper = keeper
        self._loader = loader
        self._orphans = orphans
        self._signals = signals
        self._dispatcher = dispatcher
        self._new_id = new_id
        self.ids_in_doubt = False
        """Whether an id that a start brings may be taken: usually it is fresh, and looking costs a trip."""

    # -- starts --------------------------------------------------------------------------------------------------------

    def start(self, start: StartRun, turn: Turn) -> None:
        try:
            run_id = self._start_or_find(start, turn)
        except JournalUnavailable:
            raise
        except SkyliftError as problem:
            turn.refuse(start.started, problem)
            turn.refuse(start.finished, problem)
            return
        turn.answer(start.started, run_id)
        if start.finished is not None:
            self._keeper.watch(Watch(run_id=run_id, reply=start.finished), turn)

    def _start_or_find(self, start: StartRun, turn: Turn) -> str:
        known = self._planner.starts.known(start, turn, ids_in_doubt=self.ids_in_doubt)
        if known is not None:
            return known.run_id
        if start.run_id is None:
            start.run_id = self._new_id()
        self._planner.starts.create(start, turn)
        return start.run_id

    # -- events from outside -------------------------------------------------------------------------------------------

    def send(self, send: Send, turn: Turn) -> None:
        run_id = send.run_id
        if run_id in self._keeper.broken:
            turn.refuse(send.reply, self._keeper.broken[run_id])
            return
        run = self._book.runs.get(run_id)
        record = run.record if run is not None else self._journal.run(run_id)
        if record is None:
            turn.refuse(send.reply, unknown_run(run_id))
            return
        problem = not_now(record, send.event)
        if problem is not None:
            turn.refuse(send.reply, problem)
            return
        if record.status in OPEN or type(send.event) is RedriveRequested:
            try:
                problem = self._deliver(record, run, send.event, turn)
            except JournalUnavailable:
                raise
            except SkyliftError as damage:  # it cannot be loaded
                self._keeper.put_aside(run_id, damage)
                turn.refuse(send.reply, damage)
                return
        if problem is not None:
            turn.refuse(send.reply, problem)
            return
        turn.answer(send.reply, None)

    def _deliver(self, record: RunRecord, run: LiveRun | None, event: AnyEvent, turn: Turn) -> SkyliftError | None:
        """Why it is not done, if its budget says so."""
        if run is None and self._orphans.claim(record):
            run = self._loader.load(record, turn)
            if record.status not in OPEN:
                self._signals.discard(record.run_id, turn)
        if run is None:
            turn.sends.append((record.run_id, event))
            return None
        problem = self._guard.refuses(run, event)
        if problem is None:
            self._planner.apply(run, event, turn)
        elif record.status not in OPEN:
            self._book.drop(run)
        return problem

    # -- runs that nobody drives ---------------------------------------------------------------------------------------

    def recover(self, recover: Recover, turn: Turn) -> None:
        """Take over what nobody alive drives, and load what is ours and not loaded."""
        records = self._loader.open_runs() if recover.run_ids is None else self._records(recover.run_ids)
        taken, others = [], False
        for record in records:
            run_id = record.run_id
            if run_id in self._book.runs or record.status not in OPEN:
                continue
            if self._orphans.claim(record):
                self._keeper.broken.pop(run_id, None)
                if self._keeper.load(run_id, turn) is not None:
                    taken.append(run_id)
            else:
                others = True
        if recover.run_ids is None and not others:
            self._dispatcher.sweep(self._book.attempts.values())
        turn.answer(recover.reply, taken)

    def _records(self, run_ids: Sequence[str]) -> Iterable[RunRecord]:
        found = (self._journal.run(run_id) for run_id in run_ids)
        return [record for record in found if record is not None]
