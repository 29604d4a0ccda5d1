"""What a price file yields, and what is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation

import msgspec

from skylift.pricing.rows import MachinePrice, MachineType

MOST_DIGITS = 15
"""Before or behind the point."""


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """A price, and the machine as the file describes it, where it does."""

    price: MachinePrice
    machine: MachineType | None = None


class Harvest(msgspec.Struct, kw_only=True):
    """Rows of a file, and what was left out of it."""

    rows: list[Priced] = []
    unknown: set[str] = set()
    """Names of machines with a price of which nothing else is known."""

    def add(self, found: Iterable[Priced]) -> None:
        self.rows += found


def amount(text: object) -> Decimal | None:
    """Exact; None for what is no amount, and for one of more digits than anything here has: `1e999999` is one short
    text and a million digits."""
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        return None
    if not found.is_finite() or abs(found.adjusted()) > MOST_DIGITS:
        return None
    return found


def numbers(text: str) -> Iterator[Decimal]:
    """The first number of `1,952 GiB`."""
    found = amount(text.split(" ")[0].replace(",", "")) if text else None
    if found is not None:
        yield found
