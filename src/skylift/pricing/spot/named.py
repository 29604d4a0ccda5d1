"""The policies by name, as `skylift spot evaluate` and the compute layer know them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import msgspec

from skylift.errors import SetupError
from skylift.pricing.spot.model import Job, Policy, PolicyMaker
from skylift.pricing.spot.policies import (
    SLICES,
    TimeSliced,
    greedy,
    on_demand,
    uniform_progress,
    uniform_progress_from,
)
from skylift.pricing.spot.skylift_policy import skylift


class PolicyUnknown(SetupError):
    """No spot policy has this name."""

    code = "SPOT-POLICY"


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a policy. Of a policy with several, the best in hindsight counts, for each configuration."""

    make: PolicyMaker
    slices: int | None = None
    stays: bool | None = None


def _time_sliced(slices: int, stays: bool) -> Variant:
    def make(job: Job) -> Policy:
        return TimeSliced(slices, stays=stays)

    return Variant(make=make, slices=slices, stays=stays)


Policies = Mapping[str, tuple[Variant, ...]]

POLICIES: Policies = {
    "skylift": (Variant(make=skylift),),
    "greedy": (Variant(make=greedy),),
    "time_sliced": tuple(_time_sliced(slices, stays) for slices in SLICES for stays in (False, True)),
    "uniform_progress": (Variant(make=uniform_progress),),
    "uniform_progress_from_0.7": (Variant(make=uniform_progress_from),),
    "on_demand": (Variant(make=on_demand),),
}
"""The order is that of reports."""

OMNISCIENT = "omniscient"
"""No policy: the least cost with the whole market known."""

PUBLISHED = ("greedy", "time_sliced", "uniform_progress", "uniform_progress_from_0.7")
"""The best of them, chosen in hindsight for each configuration, is the bar for a new one."""


def policies_named(wanted: str) -> Policies:
    """One policy, or all; none for the optimum, which no evaluation is without. Raises PolicyUnknown, which names the
    nearest."""
    name = wanted.strip().lower().replace("-", "_")
    if name == "all":
        return POLICIES
    if name == OMNISCIENT:
        return {}
    if name in POLICIES:
        return {name: POLICIES[name]}
    known = ("all", *POLICIES, OMNISCIENT)
    near = difflib.get_close_matches(name, known, n=1)
    raise PolicyUnknown(
        f"there is no spot policy {wanted!r}" + (f". Did you mean {near[0]}?" if near else ""),
        hint=f"known: {', '.join(known)}",
    )
