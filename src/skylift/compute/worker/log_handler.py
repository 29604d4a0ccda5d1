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
        """On the root logger, with INFO as its level unless user code has set one up."""
        root = logging.getLogger()
        if not root.handlers and root.level == logging.WARNING:
            root.setLevel(logging.INFO)
        root.addHandler(cls(notes))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._notes.note("log", self.format(record))
        except Exception:  # noqa: BLE001 - a record whose arguments do not fit its format must not fail the task
            self.handleError(record)
