"""Errors that a client gets, in the shape of the service's: a code, a message, an HTTP status."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """Answered as `{"__type": code, "message": message}` with `status`; `details` are further members (`reason`)."""

    def __init__(self, code: str, message: str, *, status: int = 400, details: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.details = details or {}
