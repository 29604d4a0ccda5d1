"""Names of Map Runs and of their child executions: they look like the service's, and say which run they are part of."""

from __future__ import annotations

import base64
import re

_UNIQUE = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})")


def map_run_name(run_id: str, unique: str) -> str:
    """A name that looks like a UUID: 80 bits of the run's id, 48 of `unique`, which is hexadecimal. `unique` itself
    for a run whose id is not 16 characters of base 32."""
    try:
        digits = base64.b32decode(run_id.upper()).hex() if len(run_id) == 16 else ""
    except ValueError:
        digits = ""
    if not digits:
        return unique
    digits += unique[:12]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def run_of(name: str) -> str | None:
    """The id of the run that a Map Run, or a child execution, of this name is part of; None where it does not say."""
    match = _UNIQUE.match(name)
    if match is None:
        return None
    return base64.b32encode(bytes.fromhex("".join(match.groups())[:20])).decode("ascii").lower()
