"""How large a value is as JSON text."""

from __future__ import annotations

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


def size_of(value: Any) -> int:
    """Bytes of a value's compact JSON text in UTF-8."""
    return len(_encoder.encode(value))


def too_large(value: Any, most_bytes: int) -> bool:
    """Whether a value's compact JSON text in UTF-8 has more bytes than that.

    The text is made only if it is not much longer: a few references to one value, and to lists of such references, can
    stand for more than there is memory.
    """
    if value.__class__ not in _CONTAINERS:
        return len(_encoder.encode(value)) > most_bytes
    least = most = 0
    left = [value]
    while left:
        one = left.pop()
        parts = one
        texts = 0
        if one.__class__ is dict:
            texts, parts = sum(map(len, one)), one.values()
        for part in parts:
            if part.__class__ is str:
                texts += len(part)
            elif part.__class__ in _CONTAINERS:
                left.append(part)
        least += texts + len(one) + 1
        if least > most_bytes:
            return True
        most += texts * _LONGEST_CHARACTER + 2 * len(one) * _LONGEST + 2
    return most > most_bytes and len(_encoder.encode(value)) > most_bytes


_CONTAINERS = frozenset({dict, list})
_LONGEST = 30
"""Bytes of a number with what stands around it."""
_LONGEST_CHARACTER = 6
"""Bytes of a character with its escapes."""


def too_large_cause(what: str) -> str:
    """The service's words for a state or task whose result is too large."""
    return f"The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service limit."
