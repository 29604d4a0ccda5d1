"""Which artifacts and documents an account may read: those that it put, and those that its runs refer to.

Both are kept once for all accounts, by the SHA-256 of their content. An account that has neither put one nor has a run
that needs it is told that there is none, so that nobody can find out what others hold. See decision record 0170.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from skylift.engine.library import Library
from skylift.ports.journal import RunRecord
from skylift.server.context import ServerContext
from skylift.stores.gc import run_blobs

GRANT = "grant"
"""Kind in the ResourceStore; the key is `ACCOUNT/DIGEST`."""
MOST_RUNS = 8
"""Runs that a request may name."""
MOST_KEPT = 64


class Visible:
    """Blocking: ask it on a thread for that."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._library = Library(context.journal)
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, frozenset[str]]] = OrderedDict()

    def grant(self, account: str, digest: str) -> None:
        """The account has put it."""
        self._context.resources.put(GRANT, f"{account}/{digest}", b"")

    def was_put(self, account: str, digest: str) -> bool:
        return self._context.resources.get(GRANT, f"{account}/{digest}") is not None

    def document(self, account: str, digest: str, runs: str | None) -> bool:
        """Whether the account may read it; `runs` are ids, joined by commas, that may refer to it."""
        return self.was_put(account, digest) or any(
            digest in self._documents_of(record) for record in self._own(account, runs)
        )

    def blob(self, account: str, digest: str, runs: str | None) -> bool:
        return self.was_put(account, digest) or any(
            digest in self._blobs_of(record) for record in self._own(account, runs)
        )

    def _own(self, account: str, runs: str | None) -> Iterable[RunRecord]:
        for run_id in (runs or "").split(",")[:MOST_RUNS]:
            record = self._context.journal.run(run_id) if run_id else None
            if record is not None and record.account == account:
                yield record

    def _documents_of(self, record: RunRecord) -> set[str]:
        found = {record.definition}
        if record.tasks is not None:
            found |= {record.tasks, *self._library.table(record.tasks).machines.values()}
        return found

    def _blobs_of(self, record: RunRecord) -> frozenset[str]:
        """Read anew only when something was journaled since."""
        with self._lock:
            known, found = self._kept.get(record.run_id, (-1, frozenset()))
        last = known
        for entry in self._context.journal.entries(record.run_id, after=max(known, 0)):
            last = entry.sequence
        if last != known:
            found = frozenset(run_blobs(self._context.journal, self._context.blobs, record))
            with self._lock:
                self._kept[record.run_id] = (last, found)
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
        return found
