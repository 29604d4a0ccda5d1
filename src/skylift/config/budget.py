"""`[budget]`: what the project's runs may cost in a month."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

DOLLARS = r"^\s*(?:USD|US\$|\$)?\s*(?=[0-9.]*[1-9])[0-9]+(?:\.[0-9]+)?\s*(?:USD|\$)?\s*$"
"""An amount of US dollars, more than none."""


class BudgetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the project; what one run may cost is said by `@pipeline(budget=...)`."""

    month: Annotated[str, Meta(pattern=DOLLARS)] | Annotated[float, Meta(gt=0, le=1e12)] | None = None
    """What all runs of the store may cost in a month (UTC): `"50 USD"` or 50. None for no bound."""
    alerts: tuple[Annotated[float, Meta(gt=0, le=10)], ...] = (0.5, 0.8, 1.0)
    """Shares at which is told that so much is spent, of the month's budget and of a run's own."""
    stop: bool = True
    """Whether a budget that is spent pauses runs before their next attempt."""

    rehearsals: bool = True
    """Whether runs in the simulated cloud are held to the month's budget too. They are counted apart: what they would
    have cost is never taken from what others may."""

    notify: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """A command and its arguments, run without a shell in the project's folder for each alert and each pause for a
    budget; it reads what is told as JSON from its standard input."""

    @staticmethod
    def wanted(problem: str) -> str | None:
        """What to write instead, for what a checker says in its own words."""
        if "$.month" in problem:
            return 'month is US dollars, such as "50 USD" or 50'
        if "$.notify" in problem:
            return 'notify is a command and its arguments, such as ["notify-me", "--budget"]'
        return "alerts are shares of a budget, such as [0.5, 0.8, 1.0]" if "$.alerts" in problem else None

    @property
    def shares(self) -> tuple[str, ...]:
        """In order, each once."""
        return tuple(f"{share:g}" for share in sorted(set(self.alerts)))
