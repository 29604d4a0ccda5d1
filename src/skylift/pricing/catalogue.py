"""The catalogue: what can be bought where, at which price, by which rules. Every row has its date and source.

Prices are exact decimals in US dollars. Several rows of one thing stand side by side by their dates: the newest counts,
or the newest that is not later than the date that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Protocol, TypeVar

import msgspec

from skylift.ports.compute import Market, ServiceClass

DEFAULT_REGION = "us-east-1"
_FILE = "aws.json"


class MachineType(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine has."""

    name: str
    vcpus: float
    memory_mib: int
    gpu: str | None = None
    gpus: int = 0


class MachinePrice(msgspec.Struct, frozen=True, kw_only=True):
    """Of a machine for an hour."""

    type: str
    region: str
    market: Market
    service: ServiceClass = "batch"
    usd_per_hour: Decimal
    as_of: str
    source: str
    """Key in the catalogue's sources."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Of what is bought by the amount: GB-seconds, requests, gigabytes moved."""

    service: str
    item: str
    unit: str
    region: str
    market: Market = "on-demand"
    usd: Decimal
    as_of: str
    source: str


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Processors, and the memory that can be had with them."""

    vcpus: float
    least_mib: int
    most_mib: int
    step_mib: int


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """How a service class is billed and what its limits are."""

    service: ServiceClass
    startup_ms: tuple[int, int]
    """How long a place takes to come: shortest and longest, as users of these services see it."""
    increment_ms: int
    """What is begun of it is paid whole."""
    minimum_ms: int
    bills_startup: bool
    longest_ms: int | None = None
    sizes: tuple[Size, ...] = ()
    mib_per_vcpu: float | None = None
    """Where processors come in proportion to memory."""
    as_of: str
    source: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The catalogue as it is stored."""

    cloud: str
    sources: Mapping[str, str]
    types: tuple[MachineType, ...]
    prices: tuple[MachinePrice, ...]
    rates: tuple[Rate, ...]
    rules: tuple[Rule, ...]


class _Dated(Protocol):
    @property
    def as_of(self) -> str: ...


Row = TypeVar("Row", bound=_Dated)


class Catalogue:
    """Answers from a snapshot. A price that is not in it is None, never a guess."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.types = {machine.name: machine for machine in snapshot.types}
        self.rules = {rule.service: rule for rule in snapshot.rules}
        self._prices: dict[tuple[str, str, str, str], list[MachinePrice]] = {}
        for price in snapshot.prices:
            self._prices.setdefault((price.service, price.type, price.region, price.market), []).append(price)
        self._rates: dict[tuple[str, str, str, str], list[Rate]] = {}
        for rate in snapshot.rates:
            self._rates.setdefault((rate.service, rate.item, rate.region, rate.market), []).append(rate)

    def machine_price(
        self, service: str, type: str, region: str, market: str, as_of: str | None = None
    ) -> MachinePrice | None:
        return newest(self._prices.get((service, type, region, market), ()), as_of)

    def rate(self, service: str, item: str, region: str, market: str, as_of: str | None = None) -> Rate | None:
        return newest(self._rates.get((service, item, region, market), ()), as_of)

    def source(self, row: MachinePrice | Rate | Rule) -> str:
        """Where a row is from, for people."""
        return f"{self.snapshot.sources[row.source]} ({row.as_of})"

    def regions(self) -> list[str]:
        return sorted({row.region for row in self.snapshot.prices} | {row.region for row in self.snapshot.rates})


def newest(rows: Sequence[Row] | Iterable[Row], as_of: str | None) -> Row | None:
    """A date that is a year or a month only counts as its first day."""
    known = [row for row in rows if as_of is None or row.as_of <= as_of]
    return max(known, key=lambda row: row.as_of, default=None)


@cache
def catalogue() -> Catalogue:
    """The one that is shipped."""
    text = files("skylift.pricing").joinpath(_FILE).read_bytes()
    return Catalogue(msgspec.json.decode(text, type=Snapshot))
