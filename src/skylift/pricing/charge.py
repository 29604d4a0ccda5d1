"""What one delivery is charged, by which price, and what the money went into: work, or a kind of waste with a name.

The parts of an amount do not overlap and add up to it, exactly. Each micro-dollar goes to the first of these that it
fits: request, transfer, start-up, idle, then by what became of the delivery failed, lost or given up, then memory; the
rest is work.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from skylift.asl.events import Usage
from skylift.pricing.catalogue import Catalogue, MachinePrice, Rate
from skylift.pricing.dated import Dated
from skylift.pricing.deliveries import Delivery
from skylift.pricing.places import GIB, HOUR_MS, MICRO, Place, billed_ms, cost, hourly
from skylift.pricing.transfer import Moved, Volumes, transfer

_OWN = ("process", None)
_HERE = "local"
"""Service classes and the region of places that nobody sends a bill for."""
LOST = ("lost", "preempted", "moved")
"""Ends through no fault of the task; what else is no success has failed."""

Known = Literal["priced", "told", "own", "unpriced"]
"""By a row of the catalogue; by its backend alone; no bill comes for it; nobody knows."""


class Parts(msgspec.Struct, kw_only=True, frozen=True):
    """Of an amount, in micro-dollars."""

    work: Fraction = Fraction(0)
    requests: Fraction = Fraction(0)
    transfer: Fraction = Fraction(0)
    startup: Fraction = Fraction(0)
    idle: Fraction = Fraction(0)
    failed: Fraction = Fraction(0)
    lost: Fraction = Fraction(0)
    given_up: Fraction = Fraction(0)
    memory: Fraction = Fraction(0)

    @property
    def amount(self) -> Fraction:
        return sum((getattr(self, name) for name in self.__struct_fields__), Fraction(0))

    @property
    def waste(self) -> Fraction:
        return self.amount - self.work - self.requests

    def __add__(self, other: Parts) -> Parts:
        return Parts(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


FORMULAS = {
    "requests": "price of a request, for each delivery",
    "transfer": "bytes read and written across a boundary that is charged / 10^9 x price of a GB, in tiers of what was"
    " moved so in the month",
    "startup": "price of the place x time from when it was asked for until the code began, where that is billed",
    "idle": "price of the place x (time billed - start-up billed - time the code ran): minimums and increments",
    "failed": "price of the place x (time - work that a checkpoint kept) of what failed, timed out or lacked memory",
    "lost": "price of the place x (time - work that a checkpoint kept) of what was preempted, lost or moved",
    "given_up": "price of the place x (time - work that a checkpoint kept) of what was cancelled",
    "memory": "price of the memory that was given and not needed x time: needed is the peak in the service's steps, and"
    " where processors come with memory also what their use takes",
    "work": "the rest: time of the code whose result or checkpoint counts",
}
"""In words, by part, in the order in which an amount is taken apart."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A row that an amount was computed with."""

    what: str
    usd: Decimal
    unit: str
    as_of: str
    source: str


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery, metered and charged."""

    delivery: Delivery
    known: Known
    place: Place | None = None
    parts: Parts = Parts()
    prices: tuple[Price, ...] = ()
    requests: int = 0
    unpriced_bytes: int = 0
    """Moved where the catalogue has no price for it."""

    @property
    def amount(self) -> Fraction:
        return self.parts.amount


def charge(
    delivery: Delivery,
    kept_before_ms: float,
    catalogue: Catalogue,
    moved: Moved | None = None,
    volumes: Volumes | None = None,
) -> Charge:
    """`kept_before_ms` is the work that checkpoints had kept when the delivery was given out, `volumes` what was moved
    before it."""
    usage = delivery.usage
    if usage is None:
        return Charge(delivery=delivery, known="unpriced")
    found = _placed(delivery, usage, kept_before_ms, catalogue)
    region = None if found.known == "own" else usage.region
    way = transfer(usage, region, delivery.ended_ms, catalogue, moved, volumes or Volumes())
    return msgspec.structs.replace(
        found,
        parts=found.parts + Parts(transfer=way.amount) if way.amount else found.parts,
        prices=(*found.prices, *(rate_price(rate, catalogue) for rate in way.rates)),
        unpriced_bytes=way.unpriced,
    )


def _placed(delivery: Delivery, usage: Usage, kept_before_ms: float, catalogue: Catalogue) -> Charge:
    """What its place costs."""
    if is_own(usage):
        return Charge(delivery=delivery, known="own")
    place = place_of(usage)
    exact = None if place is None else cost(place, usage.startup_ms or 0.0, usage.duration_ms or 0.0, catalogue)
    if place is None or exact is None:
        if usage.cost_usd_micro is None or isinstance(catalogue, Dated):  # it was told at the prices of another day
            return Charge(delivery=delivery, known="unpriced", place=place)
        parts = _told(delivery, usage, Fraction(usage.cost_usd_micro), kept_before_ms)
        return Charge(delivery=delivery, known="told", place=place, parts=parts)
    return Charge(
        delivery=delivery,
        known="priced",
        place=place,
        parts=_priced(delivery, usage, place, exact, kept_before_ms, catalogue),
        prices=prices_of(place, catalogue),
        requests=int(place.service == "function"),
    )


def cost_of(usage: Usage, catalogue: Catalogue) -> Fraction | None:
    """What one delivery cost by the catalogue; without a row of it what its backend said; None if nobody knows."""
    found = charge(Delivery(step="", token="", ended="succeeded", usage=usage), 0.0, catalogue)
    return found.amount if found.known in ("priced", "told") else None


def is_own(usage: Usage) -> bool:
    """Whether it was on a machine of one's own (a worker or a container there) for which no price is set."""
    return usage.cost_usd_micro is None and (usage.service in _OWN or usage.region == _HERE)


def place_of(usage: Usage) -> Place | None:
    """Where it was, if the usage says it all."""
    if usage.service in _OWN or usage.region is None or usage.instance_type is None:
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
            "cloud": usage.cloud or "aws",
        },
        Place,
    )


# The parts -----------------------------------------------------------------------------------------------------------


def _priced(
    delivery: Delivery, usage: Usage, place: Place, exact: Fraction, kept_before_ms: float, catalogue: Catalogue
) -> Parts:
    hour = hourly(place, catalogue)
    assert hour is not None  # else there was no cost
    rule = catalogue.rules_of(place.cloud)[place.service]
    startup, ran = _ms(usage.startup_ms), _ms(usage.duration_ms)
    billed = Fraction(billed_ms(rule, usage.startup_ms or 0.0, usage.duration_ms or 0.0))
    paid_startup = startup if rule.bills_startup else Fraction(0)
    rate = hour / HOUR_MS
    fate = _by_fate(delivery, usage, rate * ran, kept_before_ms)
    over = _oversized(usage, place, catalogue) * fate.work
    return fate + Parts(
        requests=exact - rate * billed,
        startup=rate * paid_startup,
        idle=rate * (billed - paid_startup - ran),
        memory=over,
        work=-over,
    )


def _told(delivery: Delivery, usage: Usage, amount: Fraction, kept_before_ms: float) -> Parts:
    """Only the whole is known: start-up and run share it by their times."""
    startup, ran = _ms(usage.startup_ms), _ms(usage.duration_ms)
    share = startup / (startup + ran) if startup + ran else Fraction(0)
    return _by_fate(delivery, usage, amount * (1 - share), kept_before_ms) + Parts(startup=amount * share)


def _by_fate(delivery: Delivery, usage: Usage, run: Fraction, kept_before_ms: float) -> Parts:
    """The time of the code: all of it is work if it succeeded, else what a checkpoint kept of it."""
    if delivery.ended == "succeeded":
        return Parts(work=run)
    ran, kept = _ms(usage.duration_ms), _ms(usage.saved_ms) - _ms(kept_before_ms)
    share = min(Fraction(1), max(Fraction(0), kept) / ran) if ran else Fraction(0)
    work = run * share
    if delivery.ended == "given-up":
        return Parts(work=work, given_up=run - work)
    return Parts(work=work, lost=run - work) if delivery.ended in LOST else Parts(work=work, failed=run - work)


def _oversized(usage: Usage, place: Place, catalogue: Catalogue) -> Fraction:
    """Which share of the price of the place is of memory that was given and not needed. Nothing where the peak was
    not measured, and where memory is not bought by its amount."""
    if not usage.peak_memory_mib or not place.memory_mib or place.service not in ("function", "container"):
        return Fraction(0)
    spare = max(0, place.memory_mib - _needed_mib(usage, place, catalogue))
    if place.service == "function":
        return Fraction(spare, place.memory_mib)
    memory, hour = (
        catalogue.rate("container", "memory", place.region, place.market, cloud=place.cloud),
        hourly(place, catalogue),
    )
    return Fraction(spare, GIB) * Fraction(memory.usd) * MICRO / hour if memory and hour else Fraction(0)


def _needed_mib(usage: Usage, place: Place, catalogue: Catalogue) -> int:
    rule = catalogue.rules_of(place.cloud)[place.service]
    needed = _ms(usage.peak_memory_mib)
    if rule.mib_per_vcpu is not None:  # less memory is less processor
        busy = _ms(usage.cpu_ms) / _ms(usage.duration_ms) if usage.duration_ms else Fraction(0)
        needed = max(needed, busy * Fraction(str(rule.mib_per_vcpu)))
    fitting = (size for size in rule.sizes if rule.mib_per_vcpu is not None or size.vcpus == place.vcpus)
    sizes = (
        max(size.least_mib, int(-(-needed // size.step_mib)) * size.step_mib)
        for size in fitting
        if needed <= size.most_mib
    )
    return min(sizes, default=place.memory_mib)


# The rows ------------------------------------------------------------------------------------------------------------


def prices_of(place: Place, catalogue: Catalogue) -> tuple[Price, ...]:
    """Every row that the price of the place is made of."""
    wanted: tuple[tuple[str, str], ...]
    if place.service == "function":
        wanted = (("memory", place.market), ("cpu", place.market), ("requests", "on-demand"))
    elif place.service == "container":
        wanted = (("vcpus", place.market), ("memory", place.market))
    else:
        row = catalogue.machine_price(place.service, place.instance_type, place.region, place.market, cloud=place.cloud)
        return () if row is None else (_machine_price(row, catalogue),)
    rates = [catalogue.rate(place.service, item, place.region, market, cloud=place.cloud) for item, market in wanted]
    return tuple(rate_price(rate, catalogue) for rate in rates if rate is not None)


def _machine_price(row: MachinePrice, catalogue: Catalogue) -> Price:
    what = f"{row.type} {row.market} in {row.region}"
    return Price(what=what, usd=row.usd_per_hour, unit="hour", as_of=row.as_of, source=catalogue.source(row))


def rate_price(row: Rate, catalogue: Catalogue) -> Price:
    what = f"{row.service} {row.item} {row.market} in {row.region}"
    return Price(what=what, usd=row.usd, unit=row.unit, as_of=row.as_of, source=catalogue.source(row))


def _ms(amount: float | None) -> Fraction:
    """As it is written, not as a binary fraction nearby."""
    return Fraction(str(amount)) if amount else Fraction(0)
