"""Values as JSON text, compact, whatever the size of their numbers."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def json_text(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (OverflowError, TypeError, msgspec.MsgspecError):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_json(text: str) -> Any:
    """Raises ValueError. Integers keep all their digits."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
