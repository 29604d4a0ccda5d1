"""What is known of the place of an attempt, and its part of what the machine costs."""

from __future__ import annotations

import msgspec

from skylift.asl.events import Usage
from skylift.compute.batch.provider import Held, Kind

_HOUR_MS = 3_600_000


def place_usage(usage: Usage, kind: Kind, machine: str, held: Held, asked_ms: int) -> Usage:
    """`usage` with machine, share of it, start-up and cost."""
    startup_ms = None if usage.started_ms is None else float(max(0, usage.started_ms - asked_ms))
    billed_ms = (startup_ms or 0.0) + (usage.duration_ms or 0.0)
    return msgspec.structs.replace(
        usage,
        worker=machine,
        startup_ms=startup_ms,
        vcpus=held.vcpus,
        memory_mib=held.memory_mib or None,
        service="batch",
        instance_type=kind.name,
        region=kind.region,
        market=kind.market,
        cost_usd_micro=round(kind.usd_micro_per_hour * part_of(held, kind) * billed_ms / _HOUR_MS),
    )


def part_of(held: Held, kind: Kind) -> float:
    """Which part of the machine an attempt takes: the largest of its shares."""
    shares = [held.vcpus / kind.vcpus, held.memory_mib / max(1, kind.memory_mib)]
    if kind.gpus:
        shares.append(held.gpus / kind.gpus)
    return min(1.0, max(shares))
