"""How large a value is as JSON text."""

from __future__ import annotations

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


def size_of(value: Any) -> int:
    """Bytes of a value's compact JSON text in UTF-8."""
    return len(_encoder.encode(value))


def too_large(value: Any, most_bytes: int) -> bool:
    """Whether a value's compact JSON text in UTF-8 has more bytes than that."""
    return len(_encoder.encode(value)) > most_bytes


def too_large_cause(what: str) -> str:
    """The service's words for a state or task whose result is too large."""
    return f"The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service limit."
