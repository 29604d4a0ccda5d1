"""Values of a file of answers, in messages: as YAML writes them, whatever they have become in Python."""

from __future__ import annotations

import math
from typing import Any

LONGEST = 80


def told(value: Any) -> str:
    """`nothing`, `true`, `[a, b]`, `'3 parsec'`: in one line, and no longer than can be read."""
    text = "nothing" if value is None else _flow(value) if isinstance(value, (list, dict)) else _scalar(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(held)}" for key, held in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(one) for one in value)}]"
    return ascii(value)[1:-1] if isinstance(value, str) and not value.isprintable() else _bare(value)


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    if isinstance(value, (bytes, set)):
        return "binary data" if isinstance(value, bytes) else f"a set of {len(value)}"
    return repr(value) if isinstance(value, str) else str(value)
