"""What a run's record does not say of it: its input as it was given, and how often it was redriven.

Read from the run's journal, and remembered: an execution that is asked for again costs what was added since.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import msgspec

from skylift.asl.events import RedriveRequested, RunStarted
from skylift.asl.json_text import json_text
from skylift.ports.journal import Journal, RunRecord
from skylift.server.context import ServerContext

MOST = 10_000
"""Runs remembered."""
SHORT_MS = 2_000
"""A run's journal does not grow by much in that time."""
MOST_TEXT = 4_096
"""Longer inputs are read again each time."""


class RunFacts(msgspec.Struct, frozen=True):
    input: str | None = None
    """JSON text; None where nothing was asked of it or it was too long to be remembered."""
    redrives: int = 0
    redriven_ms: int | None = None
    sequence: int = 0
    """The last entry that was looked at."""


class FactsReader:
    """Thread-safe. Reading blocks."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._guard = threading.Lock()
        self._known: OrderedDict[str, RunFacts] = OrderedDict()
        self._looked_ms: dict[str, int] = {}

    def is_short(self, record: RunRecord, now_ms: int) -> bool:
        """Whether little can have been added since the run began or was last looked at."""
        looked_ms = self._looked_ms.get(record.run_id, 0)
        return now_ms - max(record.created_ms, looked_ms) < SHORT_MS

    def read(self, record: RunRecord) -> RunFacts:
        """With the input."""
        facts = self.redrives(record)
        return facts if facts.input is not None else msgspec.structs.replace(facts, input=self._input(record))

    def redrives(self, record: RunRecord) -> RunFacts:
        """The input may be missing."""
        with self._guard:
            facts = self._known.get(record.run_id, RunFacts())
        for entry in self._journal.entries(record.run_id, facts.sequence):
            if isinstance(entry.event, RunStarted):
                text = _text(entry.event)
                kept = text if len(text) <= MOST_TEXT else None
                facts = RunFacts(kept, sequence=entry.sequence)
            elif isinstance(entry.event, RedriveRequested):
                facts = RunFacts(facts.input, facts.redrives + 1, entry.at_ms, entry.sequence)
            else:
                facts = RunFacts(facts.input, facts.redrives, facts.redriven_ms, entry.sequence)
        self._remember(record.run_id, facts)
        return facts

    def _input(self, record: RunRecord) -> str:
        for entry in self._journal.entries(record.run_id):
            if isinstance(entry.event, RunStarted):
                return _text(entry.event)
        return "{}"

    def _remember(self, run_id: str, facts: RunFacts) -> None:
        with self._guard:
            self._known[run_id] = facts
            self._known.move_to_end(run_id)
            self._looked_ms[run_id] = time.time_ns() // 1_000_000
            if len(self._known) > MOST:
                dropped, _ = self._known.popitem(last=False)
                del self._looked_ms[dropped]


def run_facts(context: ServerContext) -> FactsReader:
    """For `ServerContext.part`."""
    return FactsReader(context.journal)


def _text(event: RunStarted) -> str:
    return event.input_text if event.input_text is not None else json_text(event.input)
