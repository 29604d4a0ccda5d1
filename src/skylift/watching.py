"""Following a run event by event: told by our own engine, or read from the journal when another process drives it."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING

from skylift.asl.history import HistoryEvent
from skylift.asl.status import ENDED
from skylift.engine.views import Fold
from skylift.reader import print_states

if TYPE_CHECKING:
    from collections.abc import Callable

    from skylift.asl.machine import Machine
    from skylift.engine.observe import Progress, Subscription
    from skylift.ports.journal import Entry, Journal, RunRecord


_SETTLED = (*ENDED, "PAUSED")


class Watch:
    """A fold of the run that `poll` keeps up to date. Close it when done.

    `subscribe` is the `subscribe` of the engine that drives the run, when that is ours.
    """

    def __init__(
        self, journal: Journal, machine: Machine, run_id: str, subscribe: Callable[..., Subscription] | None
    ) -> None:
        self._journal = journal
        self._run_id = run_id
        self._machine = machine
        self._told: queue.SimpleQueue[Progress] = queue.SimpleQueue()
        self._subscription = subscribe(run_id, self._told.put) if subscribe is not None else None
        self._start_over()

    def poll(self, seconds: float) -> RunRecord | None:
        """Take in what has happened, waiting up to `seconds` for something to; the run's record when it has ended or
        is paused."""
        record = self._listen(seconds) if self._subscription is not None else self._look(seconds)
        return record if record is not None and record.status in _SETTLED else None

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
            record = self._journal.run(self._run_id)
            if record is not None and record.status in _SETTLED and self._is_behind():
                self._start_over()
            return record

    def _is_behind(self) -> bool:
        """The journal knows an event before its listeners are told of it."""
        return next(self._journal.entries(self._run_id, after=self._state.sequence), None) is not None

    def _start_over(self) -> None:
        """From the journal's first event: what we are told changes the fold only, not the state it could go on from."""
        self._state = self._machine.begin()
        self.fold = Fold(print_states(self._machine.document))
        self._catch_up()

    def _look(self, seconds: float) -> RunRecord | None:
        record = self._journal.run(self._run_id)
        self._catch_up()
        if record is not None and record.status not in ENDED:
            time.sleep(seconds)
        return record

    def _take(self, progress: Progress) -> None:
        if progress.entry.sequence > self._state.sequence:
            self._state.sequence = progress.entry.sequence
            self.fold.take(progress.entry, progress.commands, progress.history)

    def _catch_up(self) -> None:
        for entry in self._journal.entries(self._run_id, after=self._state.sequence):
            self._replay(entry)

    def _replay(self, entry: Entry) -> None:
        derived: list[HistoryEvent] = []
        commands = self._machine.advance(self._state, entry.event, entry.at_ms, derived)
        self.fold.take(entry, commands, derived)
