"""A `logging` handler that writes to the log of the attempt that is running."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skylift.compute.worker.attempt import Notes


class AttemptLogHandler(logging.Handler):
    """`LEVEL logger: message`, every line of a record by itself."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    @classmethod
    def install(cls, notes: Notes) -> None:
        """As the handler of last resort, from INFO on. Code that sets up handlers of its own (`basicConfig`) finds
        `logging` untouched, and what those print is caught as standard output or error."""
        logging.lastResort = cls(notes)
        root = logging.getLogger()
        if root.level == logging.WARNING:
            root.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._notes.note("log", self.format(record))
        except Exception:  # noqa: BLE001 - a record whose arguments do not fit its format must not fail the task
            self.handleError(record)
