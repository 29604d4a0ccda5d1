"""Values as JSON text, compact, whatever the size of their numbers."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""What may be one half of a surrogate pair, as JSON escapes it."""


def json_text(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (OverflowError, TypeError, msgspec.MsgspecError):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_json(text: str) -> Any:
    """Raises ValueError. Integers keep all their digits; half a surrogate pair becomes U+FFFD."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
        return json.loads(_whole(value)) if _HALF.search(text) else value
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
