"""The bill of a run: what its deliveries cost step by step, lost ones included, beside the same work on on-demand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import msgspec

from skylift.asl.events import Usage
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.deliveries import Delivery
from skylift.pricing.places import Place, cost, whole_micro

OWN = ("process", None)
"""Service classes of places that nobody sends a bill for."""


class Line(msgspec.Struct, kw_only=True):
    """One step. Amounts in micro-dollars, exact."""

    step: str
    attempts: int = 0
    deliveries: int = 0
    preemptions: int = 0
    lost: int = 0
    out_of_memory: int = 0
    failed: int = 0
    """Attempts that ended in a failure of their own."""
    startup_ms: float = 0.0
    run_ms: float = 0.0
    cost: Fraction = Fraction(0)
    on_demand: Fraction = Fraction(0)
    """The same attempts, each delivered once on machines that nobody takes away."""
    unpriced: int = 0
    """Deliveries that have no price here: they are in neither amount."""
    free: int = 0
    """Deliveries on machines of one's own."""
    places: list[str] = []


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    lines: list[Line]
    region: str | None

    @property
    def cost(self) -> Fraction:
        return sum((line.cost for line in self.lines), Fraction(0))

    @property
    def on_demand(self) -> Fraction:
        return sum((line.on_demand for line in self.lines), Fraction(0))

    @property
    def unpriced(self) -> int:
        return sum(line.unpriced for line in self.lines)


def bill(given: Sequence[Delivery], catalogue: Catalogue) -> Bill:
    """One line a step, in the order in which steps first ended."""
    lines: dict[str, Line] = {}
    for delivery in given:
        line = lines.setdefault(delivery.step, Line(step=delivery.step, places=[]))
        _add(line, delivery, catalogue)
    for attempt in by_attempt(given):
        line = lines[attempt[-1].step]
        line.attempts += 1
        line.on_demand += _uninterrupted(attempt, catalogue)
    regions = [d.usage.region for d in given if d.usage is not None and d.usage.region is not None]
    return Bill(lines=list(lines.values()), region=regions[0] if regions else None)


def by_attempt(given: Iterable[Delivery]) -> list[list[Delivery]]:
    """The deliveries of each attempt, in order."""
    attempts: dict[str, list[Delivery]] = {}
    for delivery in given:
        attempts.setdefault(delivery.token, []).append(delivery)
    return list(attempts.values())


def cost_of(usage: Usage, catalogue: Catalogue) -> Fraction | None:
    """What one delivery cost by the catalogue; without a row of it what its backend said; None if nobody knows."""
    place = place_of(usage)
    exact = None if place is None else cost(place, usage.startup_ms or 0.0, usage.duration_ms or 0.0, catalogue)
    if exact is None and usage.cost_usd_micro is not None:
        return Fraction(usage.cost_usd_micro)
    return exact


def place_of(usage: Usage) -> Place | None:
    """Where it was, if the usage says it all."""
    if usage.service in OWN or usage.region is None or usage.instance_type is None:
        return None
    return msgspec.convert(
        {
            "service": usage.service,
            "instance_type": usage.instance_type,
            "vcpus": usage.vcpus or 0.0,
            "memory_mib": usage.memory_mib or 0,
            "region": usage.region,
            "market": usage.market or "on-demand",
            "nodes": usage.nodes,
        },
        Place,
    )


def _add(line: Line, delivery: Delivery, catalogue: Catalogue) -> None:
    line.deliveries += 1
    line.preemptions += delivery.ended == "preempted"
    line.lost += delivery.ended == "lost"
    line.out_of_memory += delivery.ended == "out-of-memory"
    line.failed += delivery.ended in ("failed", "timed-out")
    usage = delivery.usage
    if usage is None:
        line.unpriced += 1
        return
    line.startup_ms += usage.startup_ms or 0.0
    line.run_ms += usage.duration_ms or 0.0
    if usage.service in OWN and usage.cost_usd_micro is None:
        line.free += 1
        return
    exact = cost_of(usage, catalogue)
    if exact is None:
        line.unpriced += 1
    else:
        line.cost += exact
    where = f"{usage.service} {usage.instance_type or ''} {usage.market or ''}".strip()
    if where not in line.places:
        line.places.append(where)


def _uninterrupted(attempt: Sequence[Delivery], catalogue: Catalogue) -> Fraction:
    """The last delivery, which has done what checkpoints had not kept, and the work that they had."""
    last = attempt[-1].usage
    place = None if last is None else place_of(last)
    if last is None or place is None:
        return Fraction(0)
    kept = max((d.usage.saved_ms or 0.0 for d in attempt[:-1] if d.usage is not None), default=0.0)
    steady = msgspec.structs.replace(place, market="on-demand")
    exact = cost(steady, last.startup_ms or 0.0, (last.duration_ms or 0.0) + kept, catalogue)
    return Fraction(0) if exact is None else exact


def usd(amount: Fraction) -> str:
    """`$1.234567`: exact to the micro-dollar."""
    micro = whole_micro(amount)
    return f"${micro // 1_000_000}.{micro % 1_000_000:06d}"
