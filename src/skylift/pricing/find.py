"""Finds machines in the catalogue by what they have: a row of the answer is a machine in a region, with its prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from skylift.pricing import attached
from skylift.pricing.book import Book
from skylift.pricing.gpus import gpus_of, is_gpu, same_model
from skylift.pricing.rows import EVERYWHERE, MachinePrice, MachineType

Sort = Literal["price", "type", "region", "vcpus", "memory"]
NEVER = Decimal("Infinity")


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; what is None does not matter."""

    type: str | None = None
    """Name or pattern (`p3.*`), whatever its case."""
    cloud: str | None = None
    region: str | None = None
    """Name or pattern (`us-*`)."""
    gpu: str | None = None
    """`"1"`, `"V100"` or `"V100:2"`: so many whole ones at least."""
    vcpus: float | None = None
    memory_mib: int | None = None
    spot: bool = False
    """Only what has a spot price."""
    estimates: bool = False
    """An estimate counts as a spot price."""
    as_of: str | None = None
    services: tuple[str, ...] = ("batch",)
    """Of a machine that several sell the first that has a price of it."""
    sort: Sort = "price"


EVERYTHING = Query()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A machine in a region."""

    machine: MachineType
    region: str
    service: str
    on_demand: MachinePrice | None
    spot: MachinePrice | None
    """What was paid on the spot market when that was last recorded; None also where that is above on-demand today."""
    estimate: MachinePrice | None
    """Of the spot price, by the savings that the provider publishes."""

    @property
    def spot_or_estimate(self) -> MachinePrice | None:
        return self.spot or self.estimate


def rows(book: Book, query: Query) -> Iterator[Found]:
    for machine in candidates(book, query):
        for service in query.services:
            found = list(_of_service(book, machine, service, query))
            yield from found
            if found:  # Azure sells the same machine under the same name as a managed one
                break


def _of_service(book: Book, machine: MachineType, service: str, query: Query) -> Iterator[Found]:
    for region in sorted(_regions(book, service, machine, query)):
        found = _found(book, machine, service, region, query)
        if found is not None:
            yield found


def candidates(book: Book, query: Query) -> Iterator[MachineType]:
    """That have what is asked for, whatever their price."""
    wanted = None if query.type is None else query.type.lower()
    for machine in (*book.machines.values(), *(attached.pairs(book) if query.gpu or wanted else ())):
        named = wanted is None or matches(machine.name, wanted)
        if named and _sold_alone(machine, wanted) and has(machine, query):
            yield machine


def matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())


def regions_of(query: Query) -> tuple[str, ...]:
    """Names and patterns of regions that are asked for; none for all."""
    return () if query.region is None else tuple(one.strip() for one in query.region.split(","))


def _sold_alone(machine: MachineType, wanted: str | None) -> bool:
    """A GPU that is added to a host is found as the pair of both, or when it is asked for by its own name."""
    bare = machine.name.startswith(attached.PREFIX)
    return not bare or (wanted is not None and wanted.startswith(attached.PREFIX))


def has(machine: MachineType, query: Query) -> bool:
    if machine.vcpus < (query.vcpus or 0) or machine.memory_mib < (query.memory_mib or 0):
        return False
    model, count = gpus_of(query.gpu)
    if not count:
        return True
    whole = machine.gpus >= count and machine.gpu_share == 1
    return whole and (same_model(machine.gpu, model) if model is not None else is_gpu(machine.gpu))


def _regions(book: Book, service: str, machine: MachineType, query: Query) -> Iterable[str]:
    names = attached.parts_of(machine.name)
    if names is not None:
        return _regions_of(book, service, names[0], query) & _regions_of(book, service, names[1], query)
    return _regions_of(book, service, machine.name, query)


def _regions_of(book: Book, service: str, name: str, query: Query) -> set[str]:
    found = book.priced_regions(service, name, "on-demand", query.as_of)
    found |= book.priced_regions(service, name, "spot", query.as_of)
    if EVERYWHERE in found:
        found |= set(book.regions)
    wanted = regions_of(query)
    return {one for one in found - {EVERYWHERE} if not wanted or any(matches(one, name) for name in wanted)}


def _found(book: Book, machine: MachineType, service: str, region: str, query: Query) -> Found | None:
    asked = (service, machine.name, region)
    on_demand = price(book, *asked, "on-demand", query.as_of)
    spot = price(book, *asked, "spot", query.as_of)
    if spot is not None and on_demand is not None and spot.usd_per_hour > on_demand.usd_per_hour:
        spot = None  # on-demand has become cheaper since it was recorded
    estimate = book.estimate(machine.name, region, query.as_of) if service == "batch" else None
    if query.spot and spot is None and not (query.estimates and estimate is not None):
        return None
    if on_demand is None and spot is None:
        return None
    return Found(machine=machine, region=region, service=service, on_demand=on_demand, spot=spot, estimate=estimate)


def price(book: Book, service: str, name: str, region: str, market: str, as_of: str | None) -> MachinePrice | None:
    found = book.price(service, name, region, market, as_of, None)
    return found or attached.price(book, service, name, region, market, as_of)


def ordered(found: list[Found], query: Query) -> list[Found]:
    """By price those of the market that is asked for, the cheapest first; then by name, so that the order is one."""

    def cheapest(row: Found) -> Decimal:
        paid = row.spot_or_estimate if query.spot else row.on_demand
        return NEVER if paid is None else paid.usd_per_hour

    def by_name(row: Found) -> tuple[str, str, str, str]:
        return (row.machine.cloud, row.machine.name, row.region, row.service)

    first: dict[str, Callable[[Found], tuple[object, ...]]] = {
        "price": lambda row: (cheapest(row),),
        "type": by_name,
        "region": lambda row: (row.region, cheapest(row)),
        "vcpus": lambda row: (row.machine.vcpus, cheapest(row)),
        "memory": lambda row: (row.machine.memory_mib, cheapest(row)),
    }
    return sorted(found, key=lambda row: (*first[query.sort](row), *by_name(row)))
