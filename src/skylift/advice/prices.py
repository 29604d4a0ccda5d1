"""Prices as inputs of figures: each with the catalogue's row it is from, or with what is lacking and what is near."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from skylift.advice.figures import Input, Lack, show
from skylift.pricing.attached import PREFIX
from skylift.pricing.catalogue import Catalogue, MachinePrice, MachineType, Rate
from skylift.pricing.estimate.rules import rules
from skylift.pricing.gpus import nearest_models, same_model
from skylift.pricing.missing import models_of

_UNITS = {"1M": 1_000_000, "1k": 1_000, "10k": 10_000}
"""Of how many a rate is: `1M requests`."""


class Rented(NamedTuple):
    """Machines that would do: the price of an hour of one, and how many there must be."""

    hourly: Input | Lack
    machines: Input | Lack
    machine: MachineType | None


class Prices:
    """Of one region of one cloud."""

    def __init__(self, catalogue: Catalogue, cloud: str, region: str) -> None:
        self.catalogue = catalogue
        self.cloud = cloud
        self.region = region

    def machine(self, type: str, market: str, name: str) -> Input | Lack:
        """An hour of a machine."""
        if self.catalogue.machine(type, cloud=self.cloud) is None:
            return Lack(why=f"no machine type {type} of {self.cloud} in the catalogue{self._near(type)}")
        price = self._price(type, market)
        if price is None:
            there = [one for one in self._others() if self._price(type, market, one) is not None]
            return Lack(why=f"no price of {type} ({market}) of {self.cloud} in {self.region}{_nearest(there)}")
        what = "estimate of the price" if price.estimate else "price"
        return Input(
            name=name,
            value=Fraction(price.usd_per_hour),
            unit="USD/h",
            source=f"{what} of {type}, {price.term or market}, {self.region}: {self.catalogue.source(price)}",
        )

    def rate(self, service: str, item: str, name: str, unit: str) -> Input | Lack:
        """What is bought by the amount, of one."""
        row = self.catalogue.rate(service, item, self.region, "on-demand", cloud=self.cloud)
        if row is None:
            return self.no_rate(service, item)
        return self._input(row, name, unit)

    def no_rate(self, service: str, item: str) -> Lack:
        """That there is none here, and where there is one."""
        there = [one for one in self._others() if self.catalogue.tiers(service, item, one, self.cloud)]
        return Lack(why=f"no price of {service} {item} of {self.cloud} in {self.region}{_nearest(there)}")

    def tiers(self, service: str, item: str) -> tuple[Rate, ...]:
        return tuple(
            sorted(self.catalogue.tiers(service, item, self.region, self.cloud), key=lambda row: row.tier_from)
        )

    def end(self, last: Rate) -> Fraction | None:
        """Up to where the source has prices; None where the last tier has no end."""
        return rules().end_of(last, self.region)

    def tier(self, row: Rate, name: str, unit: str) -> Input:
        return self._input(row, name, unit)

    def with_gpus(self, gpu: str, gpus: int, market: str, name: str) -> Rented:
        """The machines with so many GPUs of a model that cost least together."""
        found = [
            (ceil(gpus / one.gpus) * price.usd_per_hour, ceil(gpus / one.gpus), one)
            for one in self._machines(gpu)
            if (price := self._price(one.name, market)) is not None
        ]
        if not found:
            what = f"a machine of {self.cloud} with {gpu} ({market}) in {self.region}"
            lack = Lack(why=f"no price of {what}{self._gpus(gpu)}")
            return Rented(lack, lack, None)
        _, count, one = min(found, key=lambda each: (each[0], each[1], each[2].name))
        what = f"{gpus} x {gpu}: {count} x {one.name} with {one.gpus}, the cheapest in {self.region}"
        machines = Input(
            name="machines", value=Fraction(count), unit="", source=what, answers=("hardware.gpu", "hardware.gpus")
        )
        return Rented(self.machine(one.name, market, name), machines, one)

    def discount(self, type: str) -> str:
        """What a machine that runs all month is let off, where the price of an hour does not say so."""
        found = rules().sustained_of(type) if self.cloud == "gcp" else None
        if found is None:
            return ""
        least = 1 - sum((Fraction(one) for one in found.shares), Fraction(0)) / len(found.shares)
        return f"without Google's discount for sustained use: {show(least, 'share')} less in a month of 730 h"

    def _machines(self, gpu: str) -> Iterator[MachineType]:
        for one in self.catalogue.machines(self.cloud).values():
            alone = one.name.startswith(PREFIX)  # a GPU without a host, which is sold as a pair with one
            if one.gpus and one.gpu_share == 1 and not alone and same_model(one.gpu, gpu):
                yield one

    def _price(self, type: str, market: str, region: str | None = None) -> MachinePrice | None:
        """Spot prices that nobody has recorded are estimated from the savings that the provider publishes."""
        region = region or self.region
        found = self.catalogue.machine_price("batch", type, region, market, cloud=self.cloud)
        if found is None and market == "spot":
            return self.catalogue.spot_estimate(type, region, cloud=self.cloud)
        return found

    def _others(self) -> list[str]:
        """Other regions of the cloud, those of the same part of the world first."""
        part = self.region.split("-")[0]
        others = [one for one in self.catalogue.regions(cloud=self.cloud) if one not in (self.region, "*")]
        return sorted(others, key=lambda one: (one.split("-")[0] != part, one))

    def _gpus(self, gpu: str) -> str:
        """Models that may have been meant, or who else has it."""
        clouds = [one for one in self.catalogue.clouds if one != self.cloud and self._has(one, gpu)]
        if self._has(self.cloud, gpu):
            return ""
        near = nearest_models(gpu, models_of([self.cloud], self.catalogue))
        if clouds:
            return f"; {' and '.join(clouds)} {'has' if len(clouds) == 1 else 'have'} it"
        return f": did you mean {near[0]}?" if near else ""

    def _has(self, cloud: str, gpu: str) -> bool:
        return any(same_model(one, gpu) for one in models_of([cloud], self.catalogue))

    def _input(self, row: Rate, name: str, unit: str) -> Input:
        each = _UNITS.get(row.unit.split(" ")[0], 1)
        where = f"price of {row.service} {row.item}, {row.region}: {self.catalogue.source(row)}"
        return Input(name=name, value=Fraction(row.usd) / each, unit=unit, source=where)

    def _near(self, type: str) -> str:
        near = self.catalogue.nearest_type(type, cloud=self.cloud)
        return f": did you mean {near[0]}?" if near else ""


def _nearest(regions: list[str]) -> str:
    return f"; the nearest there is: {regions[0]}" if regions else ""
