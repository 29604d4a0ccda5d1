"""The catalogue as it was known on a day: prices that are newer are not seen. Billing rules are today's."""

from __future__ import annotations

from skylift.pricing.catalogue import Advised, Catalogue, MachinePrice, Rate


class Dated(Catalogue):
    """What another one knows, up to the end of a day. Who names a date gets that one's answer."""

    def __init__(self, whole: Catalogue, day: str) -> None:
        """`day` is `2020-12-01`."""
        super().__init__(lambda cloud: whole.book(cloud).snapshots, whole.clouds)
        self.day = day

    def machine_price(
        self,
        service: str,
        type: str,
        region: str,
        market: str,
        as_of: str | None = None,
        cloud: str = "aws",
        term: str | None = None,
    ) -> MachinePrice | None:
        return super().machine_price(service, type, region, market, as_of or self.day, cloud, term)

    def spot_estimate(
        self, type: str, region: str, as_of: str | None = None, cloud: str = "aws"
    ) -> MachinePrice | None:
        return super().spot_estimate(type, region, as_of or self.day, cloud)

    def advised(self, type: str, region: str, as_of: str | None = None, cloud: str = "aws") -> Advised | None:
        return super().advised(type, region, as_of or self.day, cloud)

    def reserved(
        self, type: str, region: str, as_of: str | None = None, cloud: str = "aws"
    ) -> tuple[MachinePrice, ...]:
        return super().reserved(type, region, as_of or self.day, cloud)

    def tiers(
        self,
        service: str,
        item: str,
        region: str,
        cloud: str = "aws",
        market: str = "on-demand",
        as_of: str | None = None,
    ) -> tuple[Rate, ...]:
        return super().tiers(service, item, region, cloud, market, as_of or self.day)
