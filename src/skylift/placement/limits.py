"""Limits of a plan: whether they can be meant, what of an offer each looks at, and the same with some given up."""

from __future__ import annotations

import math
from collections.abc import Callable
from fnmatch import fnmatchcase

import msgspec

from skylift.errors import SetupError
from skylift.placement.model import Limits, Way

FACETS: dict[str, Callable[[Way], str]] = {
    "regions": lambda way: way.region,
    "clouds": lambda way: way.cloud,
    "markets": lambda way: way.market,
    "services": lambda way: way.service,
    "backends": lambda way: way.backend,
}
"""Limits on what is bought, and what of an offer they look at."""
Asked = list[tuple[Callable[[Way], str], tuple[str, ...]]]


def check_limits(limits: Limits) -> None:
    if limits.deadline_s is not None and not (limits.deadline_s > 0 and math.isfinite(limits.deadline_s)):
        raise SetupError(f"a deadline of {limits.deadline_s:g} s cannot be kept", hint="give a time above 0")
    if limits.budget is not None and limits.budget < 0:
        raise SetupError(f"a budget of {float(limits.budget) / 1e6:g} USD cannot be kept", hint="give 0 or more")
    if limits.confidence is not None and not 0 < limits.confidence < 1:
        raise SetupError(
            f"a confidence of {limits.confidence:g} is no probability", hint="give one between 0 and 1, such as 0.95"
        )


def allowed(way: Way, limits: Limits) -> bool:
    return kept_by(way, facets_of(limits))


def facets_of(limits: Limits) -> Asked:
    """What is limited, and to which patterns."""
    return [(of, getattr(limits, name)) for name, of in FACETS.items() if getattr(limits, name)]


def kept_by(way: Way, asked: Asked) -> bool:
    return all(any(fnmatchcase(of(way), pattern) for pattern in patterns) for of, patterns in asked)


def without(limits: Limits, *names: str) -> Limits:
    none = {name: () if name in FACETS else None for name in names}
    return msgspec.structs.replace(limits, **none)


def without_facets(limits: Limits) -> Limits:
    """Limits of time and money alone."""
    return Limits(deadline_s=limits.deadline_s, budget=limits.budget, confidence=limits.confidence)
