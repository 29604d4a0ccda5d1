"""The rules that change bills, as data with sources in `rules.json`: what a service charges for, how it was billed
before, free tiers, sustained use. How each class is billed now, its sizes and limits are rules of the catalogue."""

from __future__ import annotations

import difflib
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from skylift.ports.compute import ServiceClass
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.estimate.amounts import EstimateInvalid
from skylift.pricing.missing import NoPrice
from skylift.pricing.rows import Rate, Rule

Factor = Literal[
    "memory", "vcpus", "ghz", "time", "each", "requests", "reads", "writes", "transitions", "data", "months"
]


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a service charges for: the product of its factors, at the price of an item of the catalogue."""

    item: str
    """`{class}`, `{to}` and `{arch}` stand for what the use says."""
    of: tuple[Factor, ...]
    service: str | None = None
    """In the catalogue, where it is not the service's own."""
    say: str
    """What the line is called."""


class Billing(msgspec.Struct, frozen=True, kw_only=True):
    """What is begun of an increment is paid whole, and never less than the minimum."""

    increment_ms: int
    minimum_ms: int
    source: str = ""
    until: str | None = None
    """The first day on which it held no more."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Memory that can be had, all of it or with so many processors."""

    vcpus: Decimal | None = None
    least_mib: int
    most_mib: int
    step_mib: int


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One service, and what a use of it must and may say."""

    name: str
    cloud: str
    title: str
    aliases: tuple[str, ...] = ()
    catalogue: str
    """Its service in the catalogue."""
    machines: bool = False
    """Bought by type and hour."""
    prefix: str = ""
    """What the names of its machines begin with."""
    needs: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    """At least one of these."""
    may: tuple[str, ...] = ()
    charges: tuple[Charge, ...] = ()
    rule: ServiceClass | None = None
    """Whose rule of the catalogue it is billed by, and has its sizes and limit from."""
    before: tuple[Billing, ...] = ()
    """How it was billed before that, the oldest first."""
    billing: Billing | None = None
    """Of its own, as are these two, where the catalogue has no rule of it."""
    room: tuple[Room, ...] = ()
    longest_ms: int | None = None
    spot: bool = False
    """Its charges have prices of their own on spot."""
    rounds_memory: bool = False
    """Memory between two steps is billed as the next one; otherwise it cannot be had."""
    ghz: dict[int, Decimal] = {}
    """Processor that comes with so many MiB."""
    one: str = "use"
    """What cannot be longer than its limit."""
    classes: dict[str, str] = {}
    """What `class` may say, and the catalogue's word for it; the first one is meant where nothing is said."""
    to: dict[str, str] = {}
    arch: dict[str, str] = {}
    note: str = ""
    """What its price here does not contain, or is."""

    @property
    def takes(self) -> frozenset[str]:
        return frozenset((*self.needs, *self.one_of, *self.may, "name", "service", "cloud", "region"))


class Unpriced(msgspec.Struct, frozen=True, kw_only=True):
    """A service of which no public source of prices was found."""

    names: tuple[str, ...]
    title: str
    near: str
    """What is nearest to it."""


class Free(msgspec.Struct, frozen=True, kw_only=True):
    """An allowance a month for the whole account."""

    service: str
    item: str
    amount: Decimal
    seconds: bool = False
    """The amount is of something for a second, whatever time the price is for."""
    pool: str | None = None
    """What shares one allowance."""
    regions: tuple[str, ...] = ()
    """Only there; everywhere where none is named."""
    since: str | None = None
    """The first day of it; before that there was another, or none."""
    source: str


class End(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where a source has prices of what has tiers: there is a further one, and nobody told its price."""

    cloud: str
    service: str
    item: str
    amount: Decimal
    """A month, in the unit of the price."""
    regions: tuple[str, ...] = ()
    """Only there; everywhere where none is named."""


class Sustained(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of the price for each quarter of a month that a machine runs."""

    families: tuple[str, ...]
    shares: tuple[Decimal, Decimal, Decimal, Decimal]
    source: str


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """A way to reserve."""

    name: str
    years: int
    upfront: Literal["no", "partial", "all"]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    sources: dict[str, str]
    regions: dict[str, str]
    """Where a cloud's prices are taken from if nobody says."""
    services: tuple[Service, ...]
    unpriced: tuple[Unpriced, ...]
    free: tuple[Free, ...]
    ends: tuple[End, ...]
    sustained: tuple[Sustained, ...]
    terms: tuple[Term, ...]

    def service(self, name: str, key: str) -> Service:
        wanted = name.strip().lower().replace("_", "-").replace(" ", "-")
        for service in self.services:
            if wanted in (service.name, *service.aliases):
                return service
        for missing in self.unpriced:
            if wanted in missing.names:
                raise NoPrice(
                    f"{key} {name!r}: there is no price of {missing.title}: no public source of them was found",
                    hint=f"the nearest there is: {missing.near}",
                )
        known = [name for service in self.services for name in (service.name, *service.aliases)]
        near = difflib.get_close_matches(wanted, known, n=1)
        names = ", ".join(service.name for service in self.services)
        hint = f"did you mean {near[0]}?" if near else f"there are: {names}"
        raise EstimateInvalid(f"{key} {name!r}: there is no such service", hint=hint)

    def machines_of(self, cloud: str) -> Service:
        """The service that lends plain machines of a cloud."""
        return next(one for one in self.services if one.cloud == cloud and one.machines and one.catalogue == PLAIN)

    def free_of(self, service: Service, item: str, region: str, as_of: str | None) -> Free | None:
        """`item` is a type where the service is of machines."""
        for free in self.free:
            there = not free.regions or region in free.regions
            then = free.since is None or as_of is None or as_of >= free.since
            if (free.service, free.item) == (service.name, item) and there and then:
                return free
        return None

    def end_of(self, rate: Rate, region: str) -> Fraction | None:
        for end in self.ends:
            if (end.cloud, end.service, end.item) == (rate.cloud, rate.service, rate.item):
                return Fraction(end.amount) if not end.regions or region in end.regions else None
        return None

    def sustained_of(self, type: str) -> Sustained | None:
        family = type.split("-")[0]
        return next((one for one in self.sustained if family in one.families or type in one.families), None)


PLAIN: ServiceClass = "batch"
"""The catalogue's word for machines by the hour."""


def billing_of(service: Service, catalogue: Catalogue, as_of: str | None) -> Billing | None:
    """Of a day, or as it is now; None for what is not bought by time."""
    for old in service.before:
        if as_of is not None and old.until is not None and as_of < old.until:
            return old
    rule = _rule(service, catalogue)
    return service.billing if rule is None else Billing(increment_ms=rule.increment_ms, minimum_ms=rule.minimum_ms)


def longest_ms_of(service: Service, catalogue: Catalogue) -> int | None:
    rule = _rule(service, catalogue)
    return service.longest_ms if rule is None else rule.longest_ms


def room_of(service: Service, catalogue: Catalogue) -> tuple[Room, ...]:
    """Where memory alone is chosen, processors come with it."""
    rule = _rule(service, catalogue)
    if rule is None:
        return service.room
    chosen = "vcpus" in service.needs
    return tuple(
        Room(
            vcpus=Decimal(str(size.vcpus)) if chosen else None,
            least_mib=size.least_mib,
            most_mib=size.most_mib,
            step_mib=size.step_mib,
        )
        for size in rule.sizes
    )


def _rule(service: Service, catalogue: Catalogue) -> Rule | None:
    return None if service.rule is None else catalogue.rules_of(service.cloud)[service.rule]


def billed_ms(billing: Billing, ms: Fraction) -> Fraction:
    begun = -(-ms // billing.increment_ms) * billing.increment_ms
    return Fraction(max(begun, billing.minimum_ms))


@cache
def rules() -> Rules:
    text = files("skylift.pricing.estimate").joinpath("rules.json").read_bytes()
    return msgspec.json.decode(text, type=Rules)
