"""Runs in and out of memory: loaded, rebuilt when a commit failed, let go, set aside; and who waits for their end."""

from __future__ import annotations

import logging
from collections.abc import Callable

from skylift.asl.status import OPEN
from skylift.engine.book import Book
from skylift.engine.dispatch import Dispatcher
from skylift.engine.inputs import Input, Watch
from skylift.engine.loader import Loader
from skylift.engine.planner import RunBroken
from skylift.engine.reply import Reply
from skylift.engine.run import Attempt, LiveRun
from skylift.engine.turn import Turn
from skylift.errors import InternalError, JournalUnavailable, RunNotFound, SkyliftError
from skylift.ports.journal import Journal, RunRecord

_log = logging.getLogger("skylift.engine")

Sent = tuple[tuple[str, str], ...]
"""Backend and token of attempts that go on running."""


class Keeper:
    def __init__(
        self,
        *,
        book: Book,
        journal: Journal,
        loader: Loader,
        dispatcher: Dispatcher,
        owner: str,
        inbox: Callable[[Input], None],
    ) -> None:
        self.broken: dict[str, SkyliftError] = {}
        """Runs set aside, and why."""
        self.stale: dict[str, Sent] = {}
        """Runs to rebuild from the journal, with what they have running."""
        self._waiting: dict[str, list[Reply[RunRecord]]] = {}
        """Who waits for the end of which run."""
        self._book = book
        self._journal = journal
        self._loader = loader
        self._dispatcher = dispatcher
        self._owner = owner
        self._inbox = inbox

    # -- in ------------------------------------------------------------------------------------------------------------

    def reload(self, turn: Turn) -> None:
        """Rebuild what is stale. A run that another engine has taken is let go, with the tasks that it has running."""
        for run_id in list(self.stale):
            live = self.load(run_id, turn)
            sent = self.stale.pop(run_id, ())
            if live is None and sent:
                self._dispatcher.stop(sent)

    def load(self, run_id: str, turn: Turn) -> LiveRun | None:
        """From the journal, if we own it and it is open. Raises JournalUnavailable; what is damaged is set aside."""
        record = self._journal.run(run_id)
        if record is None or record.owner != self._owner or run_id in self.broken:
            return None
        if record.status not in OPEN:
            self._tell(record, turn)
            return None
        try:
            return self._loader.load(record, turn)
        except JournalUnavailable:
            raise
        except SkyliftError as problem:
            self.put_aside(run_id, problem)
            return None

    # -- out -----------------------------------------------------------------------------------------------------------

    def let_go(self, run: LiveRun) -> None:
        """It has ended, and that is durable."""
        if run.state.status in OPEN:  # redriven in the very turn in which it ended
            return
        left = self._book.drop(run)
        if left:
            self._dispatcher.cancel(left)
        for reply in self._waiting.pop(run.record.run_id, ()):
            reply.set(run.record)

    def undo(self, turn: Turn) -> None:
        """Throw away what the turn did in memory."""
        runs = {**turn.dirty}
        for run in turn.touched():
            runs.setdefault(run.record.run_id, run)
        for run_id, run in runs.items():
            # Also one that was just created: a store may fail after it has written.
            self.stale[run_id] = self._unload(run) + self.stale.get(run_id, ())
        for attempt in turn.cancelled:
            self.stale[attempt.run.record.run_id] += self._forget(attempt)

    def set_aside(self, broken: RunBroken) -> None:
        error = InternalError(
            f"run {broken.run_id} cannot go on: the engine failed on it: {broken.problem!r}",
            hint="please report this with the run's definition; its journal is whole and other runs are not touched",
        )
        error.__cause__ = broken.problem
        self.put_aside(broken.run_id, error)

    def put_aside(self, run_id: str, error: SkyliftError) -> None:
        _log.error("run %s is set aside: %s", run_id, error, exc_info=error.__cause__)
        self.broken[run_id] = error
        self.stale.pop(run_id, None)
        run = self._book.runs.get(run_id)
        if run is not None:
            self._unload(run)
        for reply in self._waiting.pop(run_id, ()):
            reply.fail(error)

    def _unload(self, run: LiveRun) -> Sent:
        sent: Sent = ()
        for attempt in self._book.drop(run):
            sent += self._forget(attempt)
            if attempt.early is not None:
                self._inbox(attempt.early)
        return sent

    def _forget(self, attempt: Attempt) -> Sent:
        sent = attempt.sent and attempt.backend is not None
        self._dispatcher.ended(attempt)
        return ((attempt.backend, attempt.token),) if sent and attempt.backend is not None else ()

    # -- who waits -----------------------------------------------------------------------------------------------------

    def watch(self, watch: Watch, turn: Turn) -> None:
        run_id = watch.run_id
        if run_id in self.broken:
            turn.failures.append((watch.reply, self.broken[run_id]))
            return
        if run_id not in self._book.runs:
            record = self._journal.run(run_id)
            if record is None:
                turn.failures.append((watch.reply, unknown_run(run_id)))
                return
            if record.status not in OPEN:
                turn.replies.append((watch.reply, record))
                return
        self._waiting.setdefault(run_id, []).append(watch.reply)

    def look_at_foreign(self, turn: Turn) -> None:
        """Runs of other engines that somebody here waits for."""
        for run_id in [run_id for run_id in self._waiting if run_id not in self._book.runs]:
            record = self._journal.run(run_id)
            if record is not None and record.status not in OPEN:
                self._tell(record, turn)

    def abandon(self, problem: SkyliftError) -> None:
        """Tell everyone who waits that this engine is no more."""
        for replies in self._waiting.values():
            for reply in replies:
                reply.fail(problem)
        self._waiting.clear()

    def _tell(self, record: RunRecord, turn: Turn) -> None:
        for reply in self._waiting.pop(record.run_id, ()):
            turn.replies.append((reply, record))


def unknown_run(run_id: str) -> RunNotFound:
    return RunNotFound(f"no run has the id {run_id!r}", hint="see the runs with `skylift runs`")
