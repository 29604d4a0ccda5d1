"""The `context` that a Lambda-style `handler(event, context)` gets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

_LONGEST_MS = 900_000
"""What Lambda allows; told to handlers that have no timeout of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaContext:
    """The attributes AWS Lambda documents for its Python context object."""

    function_name: str
    aws_request_id: str
    deadline_ms: int
    memory_limit_in_mb: int = 0
    function_version: str = "$LATEST"
    log_group_name: str = "skylift"
    log_stream_name: str = ""
    identity: Any = None
    client_context: Any = None

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:local:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.deadline_ms - int(time.time() * 1000))


def deadline(started_ms: int, timeout_ms: int | None) -> int:
    return started_ms + (_LONGEST_MS if timeout_ms is None else timeout_ms)
