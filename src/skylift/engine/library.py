"""Compiled definitions and task tables, kept by digest: a definition is compiled once, however many runs use it."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from skylift.asl.limits import LOCAL, SERVICE, Limits
from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.errors import JournalDamaged
from skylift.ports.journal import Journal, LimitsName
from skylift.ports.tasks import TaskTable

LIMITS: dict[LimitsName, Limits] = {"local": LOCAL, "service": SERVICE}
_NO_TASKS = TaskTable(bundle=None, tasks={})

MOST = 256
"""Definitions kept compiled."""


class Library:
    """Reads through to the journal. What was not used for longest goes first."""

    def __init__(self, journal: Journal, most: int = MOST) -> None:
        self._journal = journal
        self._most = most
        self._machines: OrderedDict[tuple[str, LimitsName], Machine] = OrderedDict()
        self._tables: OrderedDict[str, TaskTable] = OrderedDict()

    def machine(self, digest: str, limits: LimitsName = "local") -> Machine:
        """Compiled, under the limits of that name. Raises InvalidDefinition for a document that is none,
        JournalDamaged for one that is not there."""
        key = digest, limits
        known = self._machines.get(key)
        if known is None:
            known = self._machines[key] = Machine(load(self._journal.document(digest)), LIMITS[limits])
            _trim(self._machines, self._most)
        else:
            self._machines.move_to_end(key)
        return known

    def table(self, digest: str | None) -> TaskTable:
        if digest is None:
            return _NO_TASKS
        known = self._tables.get(digest)
        if known is None:
            known = self._tables[digest] = self._read_table(digest)
            _trim(self._tables, self._most)
        else:
            self._tables.move_to_end(digest)
        return known

    def _read_table(self, digest: str) -> TaskTable:
        try:
            return msgspec.json.decode(self._journal.document(digest), type=TaskTable)
        except msgspec.DecodeError as problem:
            raise JournalDamaged(f"task table {digest} cannot be read: {problem}") from problem


def _trim(kept: OrderedDict[tuple[str, LimitsName], Machine] | OrderedDict[str, TaskTable], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
