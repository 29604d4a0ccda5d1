"""Which runs are being looked at: a server gives artifacts and documents only to whoever has a run that needs them."""

from __future__ import annotations

import threading
from collections import OrderedDict

from skylift.ports.journal import RunRecord

MOST_RUNS = 8
MOST_DIGESTS = 4_096


class RecentRuns:
    """Thread-safe. The newest run first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, None] = OrderedDict()
        self._by_document: OrderedDict[str, str] = OrderedDict()

    def met(self, record: RunRecord) -> None:
        """A record was read: its documents may be asked for."""
        with self._lock:
            for digest in filter(None, (record.definition, record.tasks)):
                self._by_document[digest] = record.run_id
                self._by_document.move_to_end(digest)
            while len(self._by_document) > MOST_DIGESTS:
                self._by_document.popitem(last=False)

    def opened(self, run_id: str) -> None:
        """A run was looked into: its artifacts may be asked for."""
        with self._lock:
            self._runs[run_id] = None
            self._runs.move_to_end(run_id)
            while len(self._runs) > MOST_RUNS:
                self._runs.popitem(last=False)

    def hint(self, document: str | None = None) -> str | None:
        """Ids of the runs that may refer to an artifact or document, for a query."""
        with self._lock:
            known = self._by_document.get(document) if document is not None else None
            runs = [*filter(None, (known,)), *reversed(self._runs)]
        return ",".join(dict.fromkeys(runs)) or None
