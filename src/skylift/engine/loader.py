"""Runs from the journal into memory: after a restart, a takeover, or a commit that failed."""

from __future__ import annotations

from collections.abc import Iterator

from skylift.asl.state import RunState, decode_state
from skylift.asl.status import OPEN
from skylift.engine.book import Book
from skylift.engine.library import Library
from skylift.engine.planner import Planner
from skylift.engine.reissue import Reissue, Told
from skylift.engine.run import LiveRun
from skylift.engine.turn import Turn
from skylift.ports.journal import Journal, RunRecord

PAGE = 500


class Loader:
    """Rebuilds a run's state by replay, from its snapshot where there is one."""

    def __init__(self, book: Book, journal: Journal, library: Library, planner: Planner) -> None:
        self._book = book
        self._journal = journal
        self._library = library
        self._reissue = Reissue(book, journal, planner)

    def load(self, record: RunRecord, turn: Turn) -> LiveRun:
        """Put the run into the book and give out again what it waits for. Raises what reading its journal raises."""
        machine = self._library.machine(record.definition, record.limits)
        table = self._library.table(record.tasks)
        snapshot = self._journal.snapshot(record.run_id)
        state: RunState = machine.begin() if snapshot is None else decode_state(snapshot.state)
        told = Told() if state.sequence == 0 else None
        replayed = 0
        for entry in self._journal.entries(record.run_id, state.sequence):
            machine.advance(state, entry.event, entry.at_ms)
            replayed += 1
            if told is not None:
                told.see(entry.event)
        run = LiveRun(record, machine, state, table)
        run.since_snapshot = replayed
        self._book.put(run)
        turn.loaded.append(run)
        self._reissue.reissue(run, told, turn)
        return run

    def open_runs(self) -> Iterator[RunRecord]:
        """Every run that has not ended, newest first."""
        before: tuple[int, str] | None = None
        while True:
            page = self._journal.runs(status=OPEN, before=before, limit=PAGE)
            yield from page
            if len(page) < PAGE:
                return
            before = (page[-1].created_ms, page[-1].run_id)
