"""A `logging` handler that writes to the log of the attempt that is running."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skylift.compute.worker.capture import LogFile


class AttemptLogHandler(logging.Handler):
    """`LEVEL logger: message`, every line of a record by itself."""

    def __init__(self, log: Callable[[], LogFile]) -> None:
        super().__init__()
        self._log = log
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    @classmethod
    def install(cls, log: Callable[[], LogFile]) -> None:
        """On the root logger, with INFO as its level unless user code has set one up."""
        root = logging.getLogger()
        if not root.handlers and root.level == logging.WARNING:
            root.setLevel(logging.INFO)
        root.addHandler(cls(log))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log().note("log", self.format(record))
        except Exception:  # noqa: BLE001 - a record whose arguments do not fit its format must not fail the task
            self.handleError(record)
