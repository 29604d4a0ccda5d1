"""What moving a delivery's artifacts costs: bytes that leave a region, by the tiers of a month's volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction

import msgspec

from skylift.asl.events import Usage
from skylift.pricing.catalogue import Catalogue, Rate
from skylift.pricing.places import MICRO

GB = 10**9
"""Bytes, as transfer is sold."""
INTERNET = "internet"
"""A place of one's own, as `Moved.artifacts`; and what is sold to everywhere outside of a cloud."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """Where the artifacts lie, for what moving them costs: a region, or `internet` for a place of one's own."""

    artifacts: str


class Way(msgspec.Struct, frozen=True):
    """Bytes that leave a region, and what that is sold as there."""

    moving: int
    cloud: str
    origin: str
    item: str


class Volumes:
    """What has been moved in each month: the more that is, the cheaper is the next gigabyte."""

    def __init__(self) -> None:
        self._bytes: dict[tuple[str, str, str, str], int] = {}

    def take(self, way: Way, at_ms: int | None) -> int:
        """How much was moved so before, in that month."""
        month = "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m")
        key = (month, way.cloud, way.origin, way.item)
        before = self._bytes.get(key, 0)
        self._bytes[key] = before + way.moving
        return before


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    amount: Fraction = Fraction(0)
    """Micro-dollars."""
    rates: tuple[Rate, ...] = ()
    unpriced: int = 0
    """Bytes that have no price where they leave."""


NOTHING = Transfer()


def transfer(
    usage: Usage, region: str | None, at_ms: int | None, catalogue: Catalogue, moved: Moved | None, volumes: Volumes
) -> Transfer:
    """Of a delivery in that region; None for a machine of one's own."""
    if moved is None:
        return NOTHING
    amount, rates, unpriced = Fraction(0), list[Rate](), 0
    for way in _ways(usage, region, catalogue, moved):
        tiers = catalogue.tiers("transfer", way.item, way.origin, way.cloud)
        if not tiers:
            unpriced += way.moving
            continue
        cost, used = tiered(tiers, volumes.take(way, at_ms), way.moving)
        amount += cost
        rates += used
    return Transfer(amount=amount, rates=tuple(rates), unpriced=unpriced)


def tiered(tiers: Sequence[Rate], before: int, moving: int) -> tuple[Fraction, list[Rate]]:
    """Micro-dollars of so many bytes after others, and the rates that they fall under."""
    amount, used = Fraction(0), []
    for rate, following in zip(tiers, [*tiers[1:], None], strict=True):
        begin = max(Fraction(before), Fraction(rate.tier_from) * GB)
        end = Fraction(before + moving)
        if following is not None:
            end = min(end, Fraction(following.tier_from) * GB)
        if end > begin:
            amount += (end - begin) / GB * Fraction(rate.usd) * MICRO
            used.append(rate)
    return amount, used


def _ways(usage: Usage, region: str | None, catalogue: Catalogue, moved: Moved) -> Iterator[Way]:
    """What leaves a region is charged there. What comes in from outside of a cloud is free."""
    cloud, there = usage.cloud or "aws", _cloud_of(moved.artifacts, usage.cloud or "aws", catalogue)
    if region is None or there is None or there != cloud:
        found = [] if region is None else [Way(usage.out_bytes or 0, cloud, region, INTERNET)]
        found += [] if there is None else [Way(usage.in_bytes or 0, there, moved.artifacts, INTERNET)]
    elif region == moved.artifacts:
        return
    else:
        item = _between(region, moved.artifacts, catalogue, cloud)
        found = [Way(usage.out_bytes or 0, cloud, region, item), Way(usage.in_bytes or 0, cloud, moved.artifacts, item)]
    yield from (way for way in found if way.moving)


def _cloud_of(artifacts: str, likely: str, catalogue: Catalogue) -> str | None:
    """None for a place that is no cloud's."""
    if artifacts == INTERNET:
        return None
    clouds = (one for one in (likely, *catalogue.clouds) if artifacts in catalogue.regions(one))
    return next(clouds, likely)


def _between(one: str, other: str, catalogue: Catalogue, cloud: str) -> str:
    """Some neighbours are cheaper to each other: `region:us-east` is for two whose names begin so."""
    near = (item for item in catalogue.items("transfer", cloud) if item.startswith("region:"))
    for item in near:
        beginning = item.partition(":")[2]
        if one.startswith(beginning) and other.startswith(beginning) and catalogue.tiers("transfer", item, one, cloud):
            return item
    return "region"
