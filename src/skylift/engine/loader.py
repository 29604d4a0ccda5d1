"""Runs from the journal into memory: after a restart, a takeover, or a commit that failed."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec

from skylift.asl.state import RunState, decode_state
from skylift.asl.status import OPEN
from skylift.engine.book import Book
from skylift.engine.library import Library
from skylift.engine.planner import Planner
from skylift.engine.reissue import Reissue, Told
from skylift.engine.run import LiveRun
from skylift.engine.turn import Turn
from skylift.errors import InternalError, SkyliftError
from skylift.ports.journal import Journal, RunRecord, Snapshot

PAGE = 500

_log = logging.getLogger("skylift.engine")


class Loader:
    """Rebuilds a run's state by replay, from its snapshot where there is one."""

    def __init__(self, book: Book, journal: Journal, library: Library, planner: Planner) -> None:
        self._book = book
        self._journal = journal
        self._library = library
        self._reissue = Reissue(book, journal, planner)

    def load(self, record: RunRecord, turn: Turn) -> LiveRun:
        """Put the run into the book and give out again what it waits for. Raises what reading its journal raises, and
        InternalError where that fails as it should not: whoever asked sets the run aside then."""
        try:
            run, told = self._rebuilt(record)
            self._book.put(run)
            turn.loaded.append(run)
            self._reissue.reissue(run, told, turn)
        except SkyliftError:
            raise
        except Exception as problem:
            raise InternalError(
                f"run {record.run_id} cannot go on: it cannot be rebuilt: {problem!r}",
                hint="please report this with the run's definition; other runs are not touched",
            ) from problem
        return run

    def _rebuilt(self, record: RunRecord) -> tuple[LiveRun, Told | None]:
        machine = self._library.machine(record.definition, record.limits)
        table = self._library.table(record.tasks)
        state = _decoded(self._journal.snapshot(record.run_id)) or machine.begin()
        told = Told() if state.sequence == 0 else None
        replayed = 0
        for entry in self._journal.entries(record.run_id, state.sequence):
            machine.advance(state, entry.event, entry.at_ms)
            replayed += 1
            if told is not None:
                told.see(entry.event)
        run = LiveRun(record, machine, state, table)
        run.since_snapshot = replayed
        return run, told

    def open_runs(self) -> Iterator[RunRecord]:
        """Every run that has not ended, newest first."""
        before: tuple[int, str] | None = None
        while True:
            page = self._journal.runs(status=OPEN, before=before, limit=PAGE)
            yield from page
            if len(page) < PAGE:
                return
            before = (page[-1].created_ms, page[-1].run_id)


def _decoded(snapshot: Snapshot | None) -> RunState | None:
    """None where all events have to be replayed."""
    if snapshot is None:
        return None
    try:
        return decode_state(snapshot.state)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        _log.warning("the snapshot of run %s cannot be read, all events are replayed: %s", snapshot.run_id, problem)
        return None
