"""What a price file yields, and what is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation

import msgspec

from skylift.pricing.rows import MachinePrice, MachineType


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
    """Exact; None for what is no amount."""
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def numbers(text: str) -> Iterator[Decimal]:
    """The first number of `1,952 GiB`."""
    found = amount(text.split(" ")[0].replace(",", "")) if text else None
    if found is not None:
        yield found
