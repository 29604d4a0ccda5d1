"""The bill of a run: its ledger by step, beside the same work on on-demand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from skylift.pricing.catalogue import Catalogue
from skylift.pricing.charge import cost_of, is_own, place_of
from skylift.pricing.deliveries import Delivery
from skylift.pricing.ledger import Ledger, Line, by_attempt
from skylift.pricing.places import whole_micro

__all__ = ["Bill", "Line", "bill", "by_attempt", "cost_of", "is_own", "place_of", "usd"]


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    lines: list[Line]
    region: str | None

    @property
    def cost(self) -> Fraction:
        return sum((line.cost for line in self.lines), Fraction(0))

    @property
    def on_demand(self) -> Fraction:
        return sum((line.on_demand for line in self.lines), Fraction(0))

    @property
    def unpriced(self) -> int:
        return sum(line.unpriced for line in self.lines)


def bill(given: Sequence[Delivery], catalogue: Catalogue) -> Bill:
    """One line a step, in the order in which steps first ended."""
    ledger = Ledger(catalogue)
    ledger.add(given, lambda delivery: delivery.step)
    regions = [d.usage.region for d in given if d.usage is not None and d.usage.region is not None]
    return Bill(lines=list(ledger.lines.values()), region=regions[0] if regions else None)


def usd(amount: Fraction) -> str:
    """`$1.234567`: exact to the micro-dollar."""
    sign, micro = ("-", -whole_micro(amount)) if amount < 0 else ("", whole_micro(amount))
    return f"{sign}${micro // 1_000_000}.{micro % 1_000_000:06d}"
