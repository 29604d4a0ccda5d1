"""The rules that change bills, as data: what a service charges for, increments and minimums, sizes and limits, free
tiers, GCP's sustained use. Each with the date from which it holds and its source, in `rules.json`."""

from __future__ import annotations

import difflib
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from skylift.ports.compute import ServiceClass
from skylift.pricing.estimate.amounts import EstimateInvalid

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

    since: str
    increment_ms: int
    minimum_ms: int
    source: str


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Memory that can be had, all of it or with so many processors."""

    vcpus: Decimal | None = None
    least_mib: int
    most_mib: int
    step_mib: int
    source: str = ""


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
    needs: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    """At least one of these."""
    may: tuple[str, ...] = ()
    charges: tuple[Charge, ...] = ()
    billing: tuple[Billing, ...] = ()
    """The oldest first."""
    room: tuple[Room, ...] = ()
    spot: bool = False
    """Its charges have prices of their own on spot."""
    rounds_memory: bool = False
    """Memory between two steps is billed as the next one; otherwise it cannot be had."""
    ghz: dict[int, Decimal] = {}
    """Processor that comes with so many MiB."""
    longest_ms: int | None = None
    one: str = "use"
    """What cannot be longer than that."""
    classes: dict[str, str] = {}
    """What `class` may say, and the catalogue's word for it; the first one is meant where nothing is said."""
    to: dict[str, str] = {}
    arch: dict[str, str] = {}
    note: str = ""
    """What its price here does not contain, or is."""

    @property
    def takes(self) -> frozenset[str]:
        return frozenset((*self.needs, *self.one_of, *self.may, "name", "service", "cloud", "region"))


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
    source: str


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
    free: tuple[Free, ...]
    sustained: tuple[Sustained, ...]
    terms: tuple[Term, ...]

    def service(self, name: str, key: str) -> Service:
        wanted = name.strip().lower().replace("_", "-").replace(" ", "-")
        for service in self.services:
            if wanted in (service.name, *service.aliases):
                return service
        known = [name for service in self.services for name in (service.name, *service.aliases)]
        near = difflib.get_close_matches(wanted, known, n=1)
        names = ", ".join(service.name for service in self.services)
        hint = f"did you mean {near[0]}?" if near else f"there are: {names}"
        raise EstimateInvalid(f"{key} {name!r}: there is no such service", hint=hint)

    def machines_of(self, cloud: str) -> Service:
        """The service that lends plain machines of a cloud."""
        return next(one for one in self.services if one.cloud == cloud and one.machines and one.catalogue == PLAIN)

    def free_of(self, service: Service, item: str, region: str) -> Free | None:
        for free in self.free:
            if (free.service, free.item) == (service.name, item) and (not free.regions or region in free.regions):
                return free
        return None

    def sustained_of(self, type: str) -> Sustained | None:
        family = type.split("-")[0]
        return next((one for one in self.sustained if family in one.families or type in one.families), None)


PLAIN: ServiceClass = "batch"
"""The catalogue's word for machines by the hour."""


def billing_of(service: Service, as_of: str | None) -> Billing:
    """The rule of a day, or the newest one."""
    known = [one for one in service.billing if as_of is None or one.since <= as_of]
    return known[-1] if known else service.billing[0]


def billed_ms(billing: Billing, ms: Fraction) -> Fraction:
    begun = -(-ms // billing.increment_ms) * billing.increment_ms
    return Fraction(max(begun, billing.minimum_ms))


@cache
def rules() -> Rules:
    text = files("skylift.pricing.estimate").joinpath("rules.json").read_bytes()
    return msgspec.json.decode(text, type=Rules)
