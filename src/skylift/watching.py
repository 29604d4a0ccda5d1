"""Following a run event by event: told by our own engine, or read from the journal when another process drives it."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING

from skylift.asl.history import HistoryEvent
from skylift.engine.views import Fold
from skylift.reader import ENDED, print_states

if TYPE_CHECKING:
    from skylift.engine.observe import Progress
    from skylift.ports.journal import Entry, RunRecord
    from skylift.runtime import Runtime


class Watch:
    """A fold of the run that `poll` keeps up to date. Close it when done."""

    def __init__(self, runtime: Runtime, record: RunRecord) -> None:
        self._runtime = runtime
        self._run_id = record.run_id
        self._machine = runtime.reader.library.machine(record.definition)
        self._state = self._machine.begin()
        self._told: queue.SimpleQueue[Progress] = queue.SimpleQueue()
        self.fold = Fold(print_states(self._machine.document))
        drives = runtime.drives(record)
        self._subscription = runtime.engine.subscribe(record.run_id, self._told.put) if drives else None
        self._catch_up()

    def poll(self, seconds: float) -> RunRecord | None:
        """Take in what has happened, waiting up to `seconds` for something to; the run's record when it has ended or
        is paused."""
        record = self._listen(seconds) if self._subscription is not None else self._look(seconds)
        return record if record is not None and record.status in (*ENDED, "PAUSED") else None

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()

    def _listen(self, seconds: float) -> RunRecord | None:
        """Waits for one thing, then lets what comes right behind it gather: a wide map must not redraw per item."""
        try:
            last = self._told.get(timeout=seconds)
            self._take(last)
            while True:
                last = self._told.get_nowait()
                self._take(last)
        except queue.Empty:
            return self._runtime.journal.run(self._run_id)

    def _look(self, seconds: float) -> RunRecord | None:
        record = self._runtime.journal.run(self._run_id)
        self._catch_up()
        if record is not None and record.status not in ENDED:
            time.sleep(seconds)
        return record

    def _take(self, progress: Progress) -> None:
        if progress.entry.sequence > self._state.sequence:
            self._state.sequence = progress.entry.sequence
            self.fold.take(progress.entry, progress.commands, progress.history)

    def _catch_up(self) -> None:
        for entry in self._runtime.journal.entries(self._run_id, after=self._state.sequence):
            self._replay(entry)

    def _replay(self, entry: Entry) -> None:
        derived: list[HistoryEvent] = []
        commands = self._machine.advance(self._state, entry.event, entry.at_ms, derived)
        self.fold.take(entry, commands, derived)
