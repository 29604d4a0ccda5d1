"""What spot costs over on-demand for a machine, from the catalogue."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec

from skylift.errors import SetupError
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.find import Query
from skylift.pricing.missing import NoPrice, reason


class RatioUnknown(SetupError):
    """The price of spot is neither given nor to be found."""

    code = "SPOT-RATIO"


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Of an hour, both ways."""

    type: str
    region: str
    cloud: str
    on_demand: Decimal
    spot: Decimal
    as_of: str
    estimate: bool
    """Of the spot price, by the savings that the provider publishes: nobody has recorded one."""

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.spot) / Fraction(self.on_demand)


def price_of(type: str, region: str, cloud: str, catalogue: Catalogue) -> Price:
    """Raises what says why there is none, and what is nearest."""
    query = Query(type=type, region=region, cloud=cloud)
    found = catalogue.find(query)
    if not found:
        raise reason(query, catalogue)
    row = found[0]
    spot = row.spot_or_estimate or catalogue.spot_estimate(row.machine.name, row.region, cloud=cloud)
    if row.on_demand is None or spot is None:
        missing = "on-demand" if row.on_demand is None else "spot"
        raise NoPrice(
            f"no {missing} price of {row.machine.name} in {row.region}",
            hint=f"see what there is with skylift prices find --type {row.machine.name}, or give --spot-ratio",
        )
    if spot.usd_per_hour > row.on_demand.usd_per_hour:
        raise NoPrice(
            f"spot of {row.machine.name} in {row.region} was {spot.usd_per_hour:f} USD an hour, above on-demand at"
            f" {row.on_demand.usd_per_hour:f}",
            hint="there is nothing to save on it; name another type or region, or give --spot-ratio",
        )
    return Price(
        type=row.machine.name,
        region=row.region,
        cloud=cloud,
        on_demand=row.on_demand.usd_per_hour,
        spot=spot.usd_per_hour,
        as_of=min(spot.as_of, row.on_demand.as_of),
        estimate=spot.estimate,
    )
