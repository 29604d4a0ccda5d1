"""Google's list of SKUs of Compute Engine (Cloud Billing Catalog API): prices of a processor and of a GiB by family.

A machine's price is processors times the one plus memory times the other; so it is told for the predefined machines of
families that are sold like that. GPUs that are added to N1 machines have SKUs of their own. The API wants a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from skylift.ports.compute import Market
from skylift.pricing.attached import MOST_VCPUS, PREFIX
from skylift.pricing.rows import MachinePrice, MachineType
from skylift.pricing.update.fetch import UpdateFailed
from skylift.pricing.update.machines import Harvest, Priced

SERVICE = "6F81-5844-456A"
URL = f"https://cloudbilling.googleapis.com/v1/services/{SERVICE}/skus?currencyCode=USD&pageSize=5000"
MARKETS: Mapping[str, Market] = {"OnDemand": "on-demand", "Preemptible": "spot"}

_PART = re.compile(
    r"(?:Spot Preemptible )?(?P<family>[A-Z]\d{1,2}[A-Z]?|Compute optimized)(?: Predefined)?(?: AMD| Arm)?"
    r"(?: Instance)? (?P<part>Core|Ram) running in .+"
)
_GPU = re.compile(r"Nvidia (?:Tesla )?(?P<model>[A-Z]\d+) GPU (?:attached to Spot Preemptible VMs )?running in .+")
_PREDEFINED = re.compile(r"(?P<family>[a-z]\d{1,2}[a-z]?)-(?:standard|highmem|highcpu)-\d+")
_COMPUTE_OPTIMIZED = "c2"

Key = TypeVar("Key")
_Row = tuple[MachineType, str, Market, Decimal]
"""Machine, region, market, US dollars an hour."""

Parts = dict[tuple[str, str, Market, str], Decimal | None]
"""Family, `Core` or `Ram`, market and region → US dollars of one for an hour; None where SKUs contradict each other."""


class Skus:
    """What pages have told."""

    def __init__(self) -> None:
        self.parts: Parts = {}
        self.gpus: dict[tuple[str, Market, str], Decimal | None] = {}

    def read_page(self, page: dict[str, Any], source: str) -> str | None:
        """Adds what is on the page; the token of the next."""
        skus = page.get("skus")
        if not isinstance(skus, list):
            raise UpdateFailed(f"{source} is no page of Google's SKUs: it has no skus")
        for sku in skus:
            if isinstance(sku, dict):
                self._add(sku)
        return str(page.get("nextPageToken") or "") or None

    def _add(self, sku: Mapping[str, Any]) -> None:
        category, text = _dict(sku.get("category")), str(sku.get("description", ""))
        market = MARKETS.get(str(category.get("usageType")))
        usd = _hourly(sku)
        if market is None or usd is None or category.get("resourceFamily") != "Compute":
            return
        part, gpu = _PART.fullmatch(text), _GPU.fullmatch(text)
        regions = sku.get("serviceRegions")
        for region in regions if isinstance(regions, list) else ():
            if part is not None:
                family = _COMPUTE_OPTIMIZED if " " in part["family"] else part["family"].lower()
                _tell(self.parts, (family, part["part"], market, str(region)), usd)
            elif gpu is not None and gpu["model"] in MOST_VCPUS:
                _tell(self.gpus, (gpu["model"], market, str(region)), usd)

    def harvest(self, known: Mapping[str, MachineType], *, today: str, source: str) -> Harvest:
        harvest = Harvest()
        for machine, region, market, usd in (*self._machines(known), *self._gpus(known)):
            price = MachinePrice(
                type=machine.name,
                region=region,
                market=market,
                usd_per_hour=usd,
                as_of=today,
                source=source,
                cloud="gcp",
            )
            harvest.rows.append(Priced(price=price, machine=machine))
        return harvest

    def _machines(self, known: Mapping[str, MachineType]) -> Iterator[_Row]:
        places = sorted({(market, region) for _, _, market, region in self.parts})
        for name, machine in known.items():
            named = _PREDEFINED.fullmatch(name)
            family = "" if named is None or machine.gpu is not None else named["family"]
            for market, region in places if family else ():
                core = self.parts.get((family, "Core", market, region))
                ram = self.parts.get((family, "Ram", market, region))
                if core is not None and ram is not None:
                    usd = core * Decimal(str(machine.vcpus)) + ram * machine.memory_mib / 1024
                    yield machine, region, market, usd

    def _gpus(self, known: Mapping[str, MachineType]) -> Iterator[_Row]:
        for (model, market, region), usd in self.gpus.items():
            if usd is not None and PREFIX + model in known:
                yield known[PREFIX + model], region, market, usd


def _tell(told: dict[Key, Decimal | None], key: Key, usd: Decimal) -> None:
    told[key] = usd if told.get(key, usd) == usd else None


def _hourly(sku: Mapping[str, Any]) -> Decimal | None:
    """Of the last tier: a first one at no cost is a free tier."""
    infos = sku.get("pricingInfo")
    expression = _dict(_dict(infos[-1]).get("pricingExpression")) if isinstance(infos, list) and infos else {}
    tiers = expression.get("tieredRates")
    if expression.get("usageUnit") not in ("h", "GiBy.h") or not isinstance(tiers, list) or not tiers:
        return None
    price = _dict(_dict(tiers[-1]).get("unitPrice"))
    if price.get("currencyCode", "USD") != "USD":
        return None
    try:
        return Decimal(int(price.get("units") or 0)) + Decimal(int(price.get("nanos") or 0)) / 10**9
    except (TypeError, ValueError):
        return None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
