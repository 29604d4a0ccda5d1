"""What runs have spent, as the journal tells: folded from its entries, never remembered anywhere else.

A run's account follows the run's entries and can go on from where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from hashlib import sha256

import msgspec

from skylift.asl.events import (
    AnyEvent,
    BudgetReached,
    ResumeRequested,
    TaskFailed,
    TaskGivenUp,
    TaskRedelivered,
    TaskSubmitted,
    TaskSucceeded,
    TaskTimedOut,
    Usage,
)
from skylift.engine.limits import BUDGET_ATTRIBUTE
from skylift.engine.names import child_run_id, global_token
from skylift.ports.journal import Entry, Journal, RunRecord
from skylift.units import InvalidAmount, parse_usd

_NESTED = b"states:startExecution"

PriceOf = Callable[[Usage], Fraction]
"""Micro-dollars of an ended delivery; 0 for what is free or has no price."""


def catalogue_price(usage: Usage) -> Fraction:
    """By the shipped catalogue, as the ledger has it."""
    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.charge import cost_of

    return cost_of(usage, catalogue()) or Fraction(0)


def catalogue_mark() -> str:
    """Another one for every other set of price files."""
    from skylift.pricing.files import PRICES, SHIPPED, user_home

    found = sorted(path for folder in (SHIPPED, user_home() / PRICES) for path in folder.rglob("*.json"))
    stamps = [(str(path), status.st_size, status.st_mtime_ns) for path in found for status in (path.stat(),)]
    return sha256(msgspec.json.encode(stamps)).hexdigest()


def usage_of(event: AnyEvent) -> Usage | None:
    """Of a delivery that ended with this event."""
    if isinstance(event, TaskSucceeded | TaskFailed | TaskTimedOut | TaskRedelivered | TaskGivenUp):
        return event.usage
    return None


class Account(msgspec.Struct, kw_only=True):
    """Of one run and the runs that it started."""

    limit: Fraction | None = None
    """In micro-dollars; None where it may cost what it costs."""
    spent: Fraction = Fraction(0)
    told: set[tuple[str, int]] = set()
    """Share and limit of each alert that was given."""

    def take(self, event: AnyEvent, price: PriceOf) -> None:
        usage = usage_of(event)
        if usage is not None:
            self.spent += price(usage)
        elif type(event) is BudgetReached and event.scope == "run":
            self.told.add((event.share, event.limit_usd_micro))
        elif type(event) is ResumeRequested and event.budget is not None:
            self.limit = micro_of(event.budget)


def account_of(journal: Journal, root: RunRecord, price: PriceOf) -> Account:
    """From the journal: the run's own entries, and those of the runs that it started."""
    account = Account(limit=limit_of(root), told=set())
    for entry in entries_below(journal, root):
        account.take(entry.event, price)
    return account


def entries_below(journal: Journal, record: RunRecord) -> Iterator[Entry]:
    """Of the run, and of those that it started."""
    nests, told = _NESTED in journal.document(record.definition), set[str]()
    for entry in journal.entries(record.run_id):
        yield entry
        event = entry.event
        if not nests or not isinstance(event, TaskSubmitted | TaskSucceeded) or event.token in told:
            continue
        told.add(event.token)  # of those that are awaited the beginning comes before the end
        child = journal.run(child_run_id(global_token(record.run_id, event.token)))
        if child is not None:
            yield from entries_below(journal, child)


def limit_of(root: RunRecord) -> Fraction | None:
    """What it says of itself. Older versions let words into the journal that are no amount: they are no budget."""
    said = root.attributes.get(BUDGET_ATTRIBUTE)
    try:
        return None if said is None else micro_of(parse_usd(said))
    except InvalidAmount:
        return None


def micro_of(usd: str) -> Fraction:
    """Of an amount as it stands in events."""
    return Fraction(usd) * 1_000_000


def month_of(at_ms: int) -> str:
    """`2026-11`, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m")


def begin_of(month: str) -> int:
    """Its first millisecond."""
    return int(datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).timestamp() * 1000)
