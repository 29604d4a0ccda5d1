"""When and how a delivery ends, once it is known what its function came to: by itself, at a limit, or with its machine.

Pure: the cloud's clock stands still while this is decided.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from skylift.asl.events import Usage
from skylift.compute.simulated.entry import Entry
from skylift.ports.compute import Cancelled, Lost, Outcome, OutOfMemory, Succeeded, TimedOut
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.places import cost, whole_micro

GONE = "the spot machine was taken away"
RELEASED = "it saved its state and left"
_NOTHING = Usage()

Ended = TypeVar("Ended", bound=Outcome)


class Ending(msgspec.Struct, frozen=True):
    """At that time, on the cloud's clock, with that."""

    at_ms: int
    outcome: Outcome
    duration_ms: float | None = None
    """How long its function took, where that is known better than by whole milliseconds."""


def ending(entry: Entry, left_ms: float | None, longest_ms: int | None) -> Ending:
    """The first of all ends that it could come to. `left_ms` is how much of the declared work is left; None for what
    was measured."""
    assert entry.result is not None
    measured = usage_in(entry.result)
    duration_ms = left_ms if left_ms is not None else measured.duration_ms or 0.0
    own = Ending(entry.began_ms + round(duration_ms), within_memory(entry, entry.result), duration_ms)
    ends = [own]
    for limit_ms in (entry.call.requirements.timeout_ms, longest_ms):
        if limit_ms is not None and duration_ms > limit_ms:
            ends.append(Ending(entry.began_ms + limit_ms, TimedOut()))
    if entry.lost_at_ms is not None:
        ends.append(Ending(entry.lost_at_ms, Lost(reason=GONE, preempted=True)))
    return min(ends, key=lambda end: end.at_ms)


def within_memory(entry: Entry, result: Outcome) -> Outcome:
    """What needed more memory than its place has would not have ended well there."""
    peak = usage_in(result).peak_memory_mib
    if peak is None or peak <= entry.place.memory_mib or not isinstance(result, Succeeded):
        return result
    return OutOfMemory(limit_mib=entry.place.memory_mib, peak_mib=peak)


def usage_in(outcome: Outcome) -> Usage:
    if isinstance(outcome, Cancelled):
        return _NOTHING
    return outcome.usage or _NOTHING


def metered(outcome: Outcome, usage: Usage) -> Outcome:
    return outcome if isinstance(outcome, Cancelled) else msgspec.structs.replace(outcome, usage=usage)


def usage_of(
    entry: Entry, end: Ending, measured: Usage, catalogue: Catalogue, *, backend: str, speed: float | None
) -> Usage:
    """What a delivery that ended like that used of its place, and what that costs. Processor time and saved work that
    were measured here are stretched with the time; where the work is only declared, processor time says nothing."""
    place = entry.place
    began_ms = min(entry.began_ms, end.at_ms)
    startup_ms = began_ms - entry.launched_ms
    duration_ms = float(end.at_ms - began_ms) if end.duration_ms is None else end.duration_ms
    price = cost(place, startup_ms, duration_ms, catalogue)
    stretch = _stretch(entry, duration_ms, measured, speed)
    cpu_ms = None if measured.cpu_ms is None or stretch is None else round(measured.cpu_ms * stretch, 3)
    saved_ms = None if measured.saved_ms is None else round(measured.saved_ms * (speed or 1.0), 3)
    return msgspec.structs.replace(
        measured,
        saved_ms=saved_ms,
        started_ms=began_ms,
        duration_ms=duration_ms,
        cpu_ms=cpu_ms,
        backend=backend,
        startup_ms=float(startup_ms),
        gpu_ms=None,
        vcpus=place.vcpus,
        memory_mib=place.memory_mib,
        service=place.service,
        instance_type=place.instance_type,
        region=place.region,
        cloud=None if place.cloud == "aws" else place.cloud,
        market=place.market,
        nodes=place.nodes,
        cost_usd_micro=None if price is None else whole_micro(price),
    )


def _stretch(entry: Entry, duration_ms: float, measured: Usage, speed: float | None) -> float | None:
    """How much of the cloud's time one of ours stands for; None where work that is declared says nothing of ours. Of
    what did not last to its end only a part was used."""
    if speed is not None:
        return speed
    if entry.call.requirements.work_ms is not None:
        return None
    return min(1.0, duration_ms / measured.duration_ms) if measured.duration_ms else 1.0
