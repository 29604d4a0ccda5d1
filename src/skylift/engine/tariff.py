"""What an attempt that runs has cost by now: its backend's first offer, billed as the ledger will bill it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import msgspec

from skylift.ports.compute import Offer, Requirements

HOUR_MS = 3_600_000


class Tariff(msgspec.Struct, frozen=True):
    """How an attempt's time becomes money: what its backend would charge for it."""

    hour: int = 0
    """Micro-dollars."""
    minimum_ms: int = 0
    increment_ms: int = 1
    request: Fraction = Fraction(0)
    """Micro-dollars of having begun at all."""

    @property
    def least_ms(self) -> int:
        """What is billed of the shortest attempt."""
        return max(self.minimum_ms, self.increment_ms)

    def expected(self, work_ms: float) -> Fraction:
        """Of an attempt with so much declared work, which is none where nobody knows."""
        work = Fraction(self.hour * self.billed_ms(round(work_ms)), HOUR_MS)
        return work + self.request

    def billed_ms(self, elapsed_ms: int) -> int:
        """Of an attempt that has run so long, if it ended now."""
        begun = -(-elapsed_ms // self.increment_ms) * self.increment_ms
        return max(self.least_ms, begun)


FREE = Tariff()

TariffOf = Callable[[Offer, Requirements], Tariff]


def catalogue_tariff(offer: Offer, needs: Requirements) -> Tariff:
    """As the ledger will charge what is bought so, which knows nothing of minimums where the catalogue has no price."""
    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.places import Place, hourly

    known, cloud = catalogue(), "aws" if needs.place is None else needs.place.cloud
    place = Place(
        service=offer.service,
        instance_type=offer.instance_type,
        vcpus=offer.vcpus,
        memory_mib=offer.memory_mib,
        region=offer.region,
        market=offer.market,
        cloud=cloud,
    )
    rule = known.rules_of(cloud).get(offer.service)
    if rule is None or hourly(place, known) is None:
        return Tariff(offer.price_usd_micro_per_hour)
    fee = known.rate("function", "requests", offer.region, "on-demand", cloud=cloud)
    return Tariff(
        hour=offer.price_usd_micro_per_hour,
        minimum_ms=rule.minimum_ms,
        increment_ms=rule.increment_ms,
        request=Fraction(fee.usd) if fee is not None and offer.service == "function" else Fraction(0),
    )
