"""No price: said with the nearest that there is, never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import takewhile

from skylift.pricing.catalogue import Catalogue, MachinePrice, Rate
from skylift.pricing.estimate.amounts import written
from skylift.pricing.estimate.lines import scale_of
from skylift.pricing.estimate.rules import Rules
from skylift.pricing.estimate.uses import Use
from skylift.pricing.missing import NoPrice
from skylift.pricing.rows import EVERYWHERE

_SHOWN = 3


def no_rate(
    use: Use, what: str, service: str, item: str, market: str, catalogue: Catalogue, as_of: str | None
) -> NoPrice:
    cloud = use.service.cloud
    rows = [
        row
        for (one, name, _, _), rates in catalogue.book(cloud).rates.items()
        if (one, name) == (service, item)
        for row in rates
        if not row.tier_from
    ]
    rows.sort(key=lambda row: (row.market != market, *_apart(row.region, use.region), row.as_of))
    near = [f"${row.usd:f} per {row.unit}, {_where(row)}" for row in rows]
    near = near or [f"prices of {', '.join(catalogue.items(service, cloud))}"]
    return _none(f"{use.name}: {what}", use, market, as_of, near)


def no_further_rate(use: Use, what: str, last: Rate, known: Fraction, wanted: Fraction) -> NoPrice:
    """More than the source has prices of."""
    _, unit = scale_of(last.unit)
    return NoPrice(
        f"{use.name}: {what}: no price in {use.region} of what is beyond {written(known)} {unit} a month, and this "
        f"comes to {written(wanted)}",
        hint=f"the nearest there is: ${last.usd:f} per {last.unit} up to there ({last.as_of})",
    )


def no_machine_price(use: Use, catalogue: Catalogue, rules: Rules, as_of: str | None) -> NoPrice:
    rows = sorted(
        _machine_rows(use, catalogue),
        key=lambda row: (row.market != use.market, *_apart(row.region, use.region), row.as_of),
    )
    near = [f"${row.usd_per_hour:f} an hour, {_where(row)}" for row in rows]
    near = near or list(_in_other_services(use, catalogue, rules))
    market = use.market if use.term is None else f"{use.market} {use.term}"
    return _none(use.type or use.name, use, market, as_of, near)


def _apart(region: str, wanted: str) -> tuple[bool, int, str]:
    """Smallest for the region itself, then for those whose names begin most like it: near us-west-1 lies us-west-2."""
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(region, wanted, strict=False)))
    return region != wanted, -alike, region


def _in_other_services(use: Use, catalogue: Catalogue, rules: Rules) -> Iterator[str]:
    for service in rules.services:
        if service.machines and service.cloud == use.service.cloud:
            found = catalogue.machine_price(
                service.catalogue, use.type or "", use.region, "on-demand", None, service.cloud
            )
            if found is not None:
                yield f"${found.usd_per_hour:f} an hour as --service {service.name}, {_where(found)}"


def _machine_rows(use: Use, catalogue: Catalogue) -> Iterator[MachinePrice]:
    """Of other dates, ways to buy and regions."""
    book, service, cloud = catalogue.book(use.service.cloud), use.service.catalogue, use.service.cloud
    type = use.type or ""
    for market in ("on-demand", "spot"):
        for region in {use.region, *book.priced_regions(service, type, market)}:
            found = catalogue.machine_price(service, type, region, market, None, cloud)
            if found is not None:
                yield found
        for date in book.dates(service, type, use.region, market)[:1]:
            found = catalogue.machine_price(service, type, use.region, market, date, cloud)
            if found is not None:
                yield found
    if use.market == "reserved":
        yield from catalogue.reserved(type, use.region, None, cloud)
    estimate = catalogue.spot_estimate(type, use.region, None, cloud)
    if estimate is not None and use.market == "spot":
        yield estimate


def _none(what: str, use: Use, market: str, as_of: str | None, near: list[str]) -> NoPrice:
    when = "" if as_of is None else f" of {as_of} or before"
    several = list(dict.fromkeys(near))[:_SHOWN]
    hint = f"the nearest there is: {'; '.join(several)}" if several else "`skylift prices find` shows what there is"
    return NoPrice(f"{what}: no price in {use.region}, {market}{when}", hint=hint)


def _where(row: MachinePrice | Rate) -> str:
    kind: str = row.market
    if isinstance(row, MachinePrice):
        kind += f" {row.term}" if row.term else ""
        kind += " (an estimate)" if row.estimate else ""
    region = "every region" if row.region == EVERYWHERE else row.region
    return f"{region} {kind} {row.as_of}"
