"""Timestamps of the States Language: RFC 3339 with a capital T and a capital Z or an offset."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

_SHAPE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


@lru_cache(maxsize=1024)
def parse_timestamp(text: str) -> tuple[int, int] | None:
    """Seconds since 1970 and nanoseconds: two of them compare as the moments do. None if it is no timestamp."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    moment, fraction, zone = match.groups()
    try:
        at = datetime.fromisoformat(moment + ("+00:00" if zone == "Z" else zone))
        seconds = int(at.timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds, int((fraction or "")[:9].ljust(9, "0"))
