"""Which prices cannot be true. The shipped catalogue and every new snapshot go through the same rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from statistics import median

from skylift.pricing.rows import MachinePrice, MachineType, Rate, SetAside

DEAREST_HOUR = Decimal(1_000)
"""US dollars. The dearest machine of any source is about $400 an hour."""
DEAREST_RATE = {"GB-month": Decimal(10), "GB": Decimal(1), "GB-second": Decimal("0.0002"), "vCPU-hour": Decimal(1)}
"""Units whose prices have a usual size: well above the dearest region's, and below the same amount in another unit."""
REGIONS_APART = 4
"""No machine costs that many times as much as in the middle one of its regions, or as small a part of it; other
currencies do (a price in yuan is some seven times the one in dollars)."""
FEW_REGIONS = 3

Cell = tuple[str, str, str]
"""Service, type, region."""


def sifted(
    prices: Iterable[MachinePrice], types: Mapping[str, MachineType]
) -> tuple[list[MachinePrice], list[SetAside]]:
    """What can be true, and what cannot."""
    rows = list(prices)
    faults = {id(row): why for row, why in machine_faults(rows, types)}
    aside = [_aside(row, faults[id(row)]) for row in rows if id(row) in faults]
    return [row for row in rows if id(row) not in faults], aside


def _aside(row: MachinePrice, why: str) -> SetAside:
    return SetAside(
        cloud=row.cloud,
        what=row.type,
        region=row.region,
        market=row.market,
        usd=row.usd_per_hour,
        as_of=row.as_of,
        source=row.source,
        why=why,
    )


def machine_faults(
    prices: Iterable[MachinePrice], types: Mapping[str, MachineType]
) -> Iterator[tuple[MachinePrice, str]]:
    """Prices that are to be set aside, each with the reason."""
    rows = list(prices)
    steady = _on_demand(rows)
    middles = _middles(rows)
    several = _several(rows)
    for row in rows:
        why = (
            several.get(_what(row))
            or _absurd(row.usd_per_hour)
            or _above(row, steady)
            or _apart(row, middles)
            or _unknown(row, types)
        )
        if why is not None:
            yield row, why


def rate_fault(row: Rate) -> str | None:
    if row.usd <= 0:
        return f"a price of {row.usd}: nothing is sold for nothing, free amounts are rules"
    most = DEAREST_RATE.get(row.unit)
    return f"{row.usd} a {row.unit} is above any price of that unit" if most is not None and row.usd > most else None


def _what(row: MachinePrice) -> tuple[object, ...]:
    return (row.service, row.type, row.region, row.market, row.term, row.as_of)


def _several(rows: Iterable[MachinePrice]) -> dict[tuple[object, ...], str]:
    """Of one thing, at one date: nobody can tell which of them is the price."""
    found: dict[tuple[object, ...], set[Decimal]] = {}
    for row in rows:
        found.setdefault(_what(row), set()).add(row.usd_per_hour)
    return {
        what: f"several prices of the same at the same date: {', '.join(f'{usd:f}' for usd in sorted(prices))}"
        for what, prices in found.items()
        if len(prices) > 1
    }


def _absurd(usd: Decimal) -> str | None:
    if usd <= 0:
        return f"a price of {usd}: nothing is sold for nothing"
    return f"{usd} an hour is above any machine's price" if usd > DEAREST_HOUR else None


def _on_demand(rows: Iterable[MachinePrice]) -> dict[Cell, Decimal]:
    """The dearest that each was, of the dates that are there."""
    found: dict[Cell, Decimal] = {}
    for row in rows:
        if row.market == "on-demand":
            cell = (row.service, row.type, row.region)
            found[cell] = max(row.usd_per_hour, found.get(cell, row.usd_per_hour))
    return found


def _above(row: MachinePrice, steady: Mapping[Cell, Decimal]) -> str | None:
    full = steady.get((row.service, row.type, row.region))
    if row.market == "on-demand" or full is None or row.usd_per_hour <= full:
        return None
    return f"{row.market} at {row.usd_per_hour} is above on-demand at {full}: one of the two is not what it says"


def _middles(rows: Iterable[MachinePrice]) -> dict[tuple[str, str], Decimal]:
    regions: dict[tuple[str, str], dict[str, Decimal]] = {}
    for row in rows:
        if row.market == "on-demand":
            regions.setdefault((row.service, row.type), {})[row.region] = row.usd_per_hour
    return {key: median(found.values()) for key, found in regions.items() if len(found) >= FEW_REGIONS}


def _apart(row: MachinePrice, middles: Mapping[tuple[str, str], Decimal]) -> str | None:
    middle = middles.get((row.service, row.type))
    if middle is None or row.market != "on-demand":
        return None
    if middle / REGIONS_APART < row.usd_per_hour < middle * REGIONS_APART:
        return None
    return (
        f"{row.usd_per_hour} is far from {middle}, its price in the middle one of its regions: another unit or currency"
    )


def _unknown(row: MachinePrice, types: Mapping[str, MachineType]) -> str | None:
    machine = types.get(row.type)
    if machine is None:
        return "a price of a machine that nothing is known of"
    if row.type.startswith("accelerator:") or (machine.vcpus > 0 and machine.memory_mib > 0):
        return None
    return f"a machine of {machine.vcpus:g} processors and {machine.memory_mib} MiB"
