"""Azure's retail prices API: pages of meters, of which those of Linux machines count. No key is needed.

The API says what a machine costs and nothing of what it has: prices of machines that the catalogue does not know are
left out and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from skylift.pricing.rows import MachinePrice, MachineType
from skylift.pricing.update.fetch import UpdateFailed
from skylift.pricing.update.machines import Harvest, Priced, amount

URL = "https://prices.azure.com/api/retail/prices?$filter="


def url(regions: Iterable[str]) -> str:
    """All regions unless some are named."""
    named = " or ".join(f"armRegionName eq '{region}'" for region in regions)
    words = "serviceName eq 'Virtual Machines' and priceType eq 'Consumption'" + (f" and ({named})" if named else "")
    return URL + quote(words)


def read_page(
    page: dict[str, Any], known: Mapping[str, MachineType], harvest: Harvest, *, today: str, source: str
) -> str | None:
    """Adds what is on the page; where the next is."""
    items = page.get("Items")
    if not isinstance(items, list):
        raise UpdateFailed(f"{source} is no page of Azure's retail prices: it has no Items")
    if page.get("BillingCurrency", "USD") != "USD":
        raise UpdateFailed(f"{source} has prices in {page['BillingCurrency']}, not in USD", hint="ask for USD")
    for item in items:
        found = _priced(item, known, harvest, today, source) if isinstance(item, dict) else None
        if found is not None:
            harvest.rows.append(found)
    following = page.get("NextPageLink")
    return str(following) if following else None


def _priced(
    item: Mapping[str, Any], known: Mapping[str, MachineType], harvest: Harvest, today: str, source: str
) -> Priced | None:
    if not _is_linux_machine(item) or str(item.get("effectiveStartDate", ""))[:10] > today:
        return None
    name, usd = str(item.get("armSkuName", "")), amount(item.get("retailPrice"))
    region = str(item.get("armRegionName", ""))
    if not name or not region or usd is None:
        return None
    if name not in known:
        harvest.unknown.add(name)
        return None
    price = MachinePrice(
        type=name,
        region=region,
        market="spot" if str(item.get("skuName", "")).endswith(" Spot") else "on-demand",
        usd_per_hour=usd,
        as_of=today,
        source=source,
        cloud="azure",
    )
    return Priced(price=price, machine=known[name])


def _is_linux_machine(item: Mapping[str, Any]) -> bool:
    """Low priority is what spot was before; Cloud Services and dedicated hosts are sold under the same service."""
    words = f"{item.get('productName', '')} {item.get('skuName', '')} {item.get('meterName', '')}"
    left_out = ("Windows", "Low Priority", "Cloud Services", "CloudServices", "Dedicated Host")
    return (
        item.get("serviceName") == "Virtual Machines"
        and item.get("type", item.get("priceType")) == "Consumption"
        and item.get("unitOfMeasure") == "1 Hour"
        and item.get("currencyCode", "USD") == "USD"
        and item.get("isPrimaryMeterRegion", True) is True
        and not any(word in words for word in left_out)
    )
