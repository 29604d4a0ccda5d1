"""Outcomes that come from outside: what a worker elsewhere says of itself is taken as far as it can be true.

The engine reckons with these figures and journals these texts, so neither may be endless.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from skylift.asl.events import Usage
from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, OutOfMemory

LONGEST_ERROR, LONGEST_CAUSE = 256, 32_768
"""As of SendTaskFailure."""
MOST_CLASSES = 64
_LONGEST_FACT = 256
_LARGEST = 2**53
_MOST_MIB = 2**31


def sound(outcome: Outcome) -> Outcome:
    """The same without what cannot be: a usage with a figure that is none is left out as a whole, texts are cut."""
    if isinstance(outcome, Cancelled):
        return outcome
    change: dict[str, Any] = {"usage": _usage(outcome.usage)}
    if type(outcome) is Failed:
        change |= {
            "error": outcome.error[:LONGEST_ERROR],
            "cause": outcome.cause[:LONGEST_CAUSE],
            "classes": tuple(name[:LONGEST_ERROR] for name in outcome.classes[:MOST_CLASSES]),
        }
    elif type(outcome) is Lost:
        change["reason"] = outcome.reason[:LONGEST_CAUSE]
    elif type(outcome) is OutOfMemory:
        change |= {"limit_mib": _mib(outcome.limit_mib), "peak_mib": _mib(outcome.peak_mib)}
    return msgspec.structs.replace(outcome, **change)


def _usage(usage: Usage | None) -> Usage | None:
    if usage is None or not all(_is_fact(value) for value in msgspec.structs.asdict(usage).values()):
        return None
    return msgspec.structs.replace(usage, cached_from=None)  # only the engine looks into the cache


def _is_fact(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return len(value) <= _LONGEST_FACT
    return math.isfinite(value) and 0 <= value <= _LARGEST


def _mib(value: Any) -> Any:
    return value if value is not None and math.isfinite(value) and 0 < value <= _MOST_MIB else None
