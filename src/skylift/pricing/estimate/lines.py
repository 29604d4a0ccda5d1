"""Lines of an estimate: an amount times a price, exact, with the formula in words; and the meter that a month's tiers
and free allowances count on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

import msgspec

from skylift.pricing.estimate.amounts import TIMES, dollars, written
from skylift.pricing.rows import MachinePrice, Rate

_UNIT = re.compile(r"(\d+)\s*(k|M)?\s+(.+)")
_SCALES = {None: 1, "k": 1000, "M": 10**6}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is paid."""

    use: str
    what: str
    amount: Fraction
    """In `unit`s."""
    unit: str
    usd_per_unit: Fraction
    """Less than nothing for what is let off."""
    usd: Fraction
    formula: str
    region: str
    market: str
    as_of: str
    source: str
    estimate: bool = False
    """Its price is reckoned from published savings, not a price that somebody has paid."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    """What was taken for granted, and what is not in it."""

    @property
    def usd(self) -> Fraction:
        return sum((line.usd for line in self.lines), Fraction(0))


class Meter:
    """What of each thing a bill has used so far: tiers and free allowances are those of a month and an account."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, ...], Fraction] = {}

    def take(self, key: tuple[str, ...], amount: Fraction) -> tuple[Fraction, Fraction]:
        """From where to where it now stands."""
        before = self._used.get(key, Fraction(0))
        self._used[key] = before + amount
        return before, before + amount


def scale_of(unit: str) -> tuple[int, str]:
    """`1M requests` is priced by the million: 1,000,000 and `requests`."""
    found = _UNIT.fullmatch(unit)
    return (int(found[1]) * _SCALES[found[2]], found[3]) if found else (1, unit)


def time_unit(unit: str) -> str:
    """`s`, `h` or `month` of `GB-second`, `vCPU-hour`, `GB-month`."""
    tail = unit.rpartition("-")[2]
    return {"second": "s", "hour": "h"}.get(tail, tail)


def by_tier(tiers: Sequence[Rate], start: Fraction, end: Fraction) -> Iterator[tuple[Rate, Fraction]]:
    """How much of what lies between two readings of the meter counts on which rate; nothing at all on the first."""
    ends = [Fraction(tier.tier_from) for tier in tiers[1:]] + [None]
    for tier, upto in zip(tiers, ends, strict=True):
        low = max(start, Fraction(tier.tier_from))
        high = end if upto is None else min(end, upto)
        if high > low or (tier is tiers[0] and end == start == 0):
            yield tier, high - low


def rate_line(rate: Rate, amount: Fraction, *, use: str, what: str, words: str, source: str, region: str) -> Line:
    """`amount` in the rate's unit without its scale: requests, not millions of them."""
    scale, unit = scale_of(rate.unit)
    per = Fraction(rate.usd) / scale
    return Line(
        use=use,
        what=what,
        amount=amount,
        unit=unit,
        usd_per_unit=per,
        usd=amount * per,
        formula=f"{words} {TIMES} ${rate.usd:f} per {rate.unit}",
        region=region,
        market=rate.market,
        as_of=rate.as_of,
        source=source,
    )


def machine_line(
    price: MachinePrice, machine_hours: Fraction, *, use: str, what: str, words: str, source: str, share: Fraction
) -> Line:
    hour = f"${price.usd_per_hour:f} an hour"
    return Line(
        use=use,
        what=what,
        amount=machine_hours,
        unit="hour",
        usd_per_unit=Fraction(price.usd_per_hour) * share,
        usd=machine_hours * Fraction(price.usd_per_hour) * share,
        formula=f"{words} {TIMES} {hour}" + ("" if share == 1 else f" {TIMES} {written(share * 100)} %"),
        region=price.region,
        market=price.market if price.term is None else f"{price.market} {price.term}",
        as_of=price.as_of,
        source=source,
        estimate=price.estimate,
    )


def free_line(line: Line, amount: Fraction, words: str, source: str) -> Line:
    """What an allowance lets off."""
    return Line(
        use=line.use,
        what=f"{line.what}, free",
        amount=amount,
        unit=line.unit,
        usd_per_unit=-line.usd_per_unit,
        usd=-amount * line.usd_per_unit,
        formula=f"{words} {TIMES} -{dollars(line.usd_per_unit)}",
        region=line.region,
        market=line.market,
        as_of=line.as_of,
        source=source,
    )
