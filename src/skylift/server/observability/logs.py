"""What the server logs: one line an event, as text for people or JSON for programs. Never payloads, never secrets."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_QUIET = ("uvicorn.error", "uvicorn.access", "asyncio", "botocore", "urllib3")
"""They speak of each connection; their warnings are told."""


class Log:
    """Writes lines to standard error at once. Thread-safe: a line is one write."""

    def __init__(
        self, form: Literal["text", "json"] = "text", level: str = "info", descriptor: int | None = None
    ) -> None:
        self._as_json = form == "json"
        self._least = LEVELS[level]
        self._descriptor = descriptor
        self._encoder = msgspec.json.Encoder()

    @property
    def tells_info(self) -> bool:
        return self._least <= logging.INFO

    def info(self, event: str, **facts: Any) -> None:
        """`facts` that are None are left out."""
        if self._least <= logging.INFO:
            self.write("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self.write("warning", event, facts)

    def write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        given = {name: value for name, value in facts.items() if value is not None}
        if self._as_json:
            line = self._encoder.encode({"time": now, "level": level, "event": event, **given})
        else:
            shown = " ".join(f"{name}={_shown(value)}" for name, value in given.items())
            line = f"{now} {level} {event} {shown}".rstrip().encode("utf-8", "backslashreplace")
        descriptor = sys.stderr.fileno() if self._descriptor is None else self._descriptor
        with contextlib.suppress(OSError):  # nobody reads: no reason to stop serving
            os.write(descriptor, line + b"\n")

    def capture(self) -> logging.Handler:
        """Let the standard library's logging end here."""
        handler = _Handler(self)
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(min(root.level or logging.WARNING, self._least))
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        return handler


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(log._least)
        self._log = log
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info and self.formatter is not None:
            facts["trace"] = self.formatter.formatException(record.exc_info)
        self._log.write(record.levelname.lower(), "log", facts)


def _shown(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return (
        text
        if text and not any(sign.isspace() or sign in '"=' or not sign.isprintable() for sign in text)
        else (msgspec.json.encode(text).decode())
    )
