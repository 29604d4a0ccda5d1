"""`[budget]`: what the project's runs may cost in a month."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from skylift.units import InvalidAmount, parse_usd


class BudgetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the project; what one run may cost is said by `@pipeline(budget=...)`."""

    month: str | float | None = None
    """What all runs of the store may cost in a month (UTC): `"50 USD"` or 50. None for no bound."""
    alerts: tuple[Annotated[float, Meta(gt=0, le=10)], ...] = (0.5, 0.8, 1.0)
    """Shares at which is told that so much is spent, of the month's budget and of a run's own."""
    stop: bool = True
    """Whether a budget that is spent pauses runs before their next attempt."""

    @property
    def month_usd(self) -> str | None:
        """Decimal text. Raises InvalidAmount."""
        return None if self.month is None else parse_usd(self.month, "month")

    @property
    def shares(self) -> tuple[str, ...]:
        """In order, each once."""
        return tuple(f"{share:g}" for share in sorted(set(self.alerts)))


def problem_of(settings: BudgetSettings) -> InvalidAmount | None:
    """Why the settings cannot be used."""
    try:
        _ = settings.month_usd
    except InvalidAmount as problem:
        return problem
    return None
