"""What runs have spent, as the journal tells: folded from its entries, never remembered anywhere else.

A run's account follows the run's entries and can go on from where it was; the account of a month adds up the deliveries
that ended in it, of all runs of the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import msgspec

from skylift.asl.events import (
    AnyEvent,
    BudgetReached,
    ResumeRequested,
    TaskFailed,
    TaskRedelivered,
    TaskSubmitted,
    TaskSucceeded,
    TaskTimedOut,
    Usage,
)
from skylift.asl.status import OPEN
from skylift.engine.limits import BUDGET_ATTRIBUTE
from skylift.engine.names import child_run_id, global_token
from skylift.ports.journal import Entry, Journal, RunRecord

PAGE = 500
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
    if isinstance(event, TaskSucceeded | TaskFailed | TaskTimedOut | TaskRedelivered):
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
    budget = root.attributes.get(BUDGET_ATTRIBUTE)
    account = Account(limit=None if budget is None else micro_of(budget), told=set())
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


def micro_of(usd: str) -> Fraction:
    """Of an amount as it stands in attributes and events."""
    return Fraction(usd) * 1_000_000


def month_of(at_ms: int) -> str:
    """`2026-11`, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m")


def begin_of(month: str) -> int:
    """Its first millisecond."""
    return int(datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).timestamp() * 1000)


class _Read(msgspec.Struct, kw_only=True):
    """How far a run's entries were added to a month, and what came of them."""

    sequence: int = 0
    stopped_ms: int | None = None
    spent: str = "0"
    told: list[tuple[str, int]] = []


class _Kept(msgspec.Struct, kw_only=True):
    """A month's account as it is kept between processes, to be gone on from. The journal stays the truth: a run whose
    record has changed is read on, and another catalogue begins anew."""

    prices: str
    runs: dict[str, _Read] = {}


class MonthAccount:
    """What was spent in one month, and which alerts were given. `look` brings it up to date."""

    def __init__(
        self, journal: Journal, month: str, price: PriceOf, *, kept: Path | None = None, prices: str = ""
    ) -> None:
        """`kept` is a folder for what need not be read again, by the `catalogue_mark` that it was priced with."""
        self.month = month
        self.spent = Fraction(0)
        self.told: set[tuple[str, int]] = set()
        self._journal = journal
        self._price = price
        self._file = None if kept is None else kept / f"{month}.json"
        self._runs = _load(self._file, prices).runs
        self._prices = prices
        self._newest_ms = 0
        for read in self._runs.values():
            self._count(read)

    def look(self) -> None:
        """Add what has come to the journal since: all runs at first, then those that are new, open, or were open."""
        begin_ms, changed = begin_of(self.month), False
        for record in self._candidates():
            read = self._runs.get(record.run_id)
            ended = record.stopped_ms is not None
            if ended and (record.stopped_ms < begin_ms or (read is not None and read.stopped_ms == record.stopped_ms)):  # type: ignore[operator]  # it has ended
                continue
            self._read_on(record)
            changed = True
        if changed:
            self._keep()

    def _candidates(self) -> Iterator[RunRecord]:
        looked, open_before = (
            self._newest_ms,
            [run_id for run_id, read in self._runs.items() if read.stopped_ms is None],
        )
        before: tuple[int, str] | None = None
        while True:
            page = self._journal.runs(before=before, limit=PAGE)
            yield from page
            if page:
                self._newest_ms = max(self._newest_ms, page[0].created_ms)
            if len(page) < PAGE or page[-1].created_ms < looked - _BACK_MS:
                break
            before = (page[-1].created_ms, page[-1].run_id)
        yield from (record for run_id in open_before if (record := self._journal.run(run_id)) is not None)
        yield from self._journal.runs(status=OPEN, limit=_MOST_OPEN)

    def _read_on(self, record: RunRecord) -> None:
        read = self._runs.setdefault(record.run_id, _Read(told=[]))
        spent, begin_ms = Fraction(read.spent), begin_of(self.month)
        gained, told = Fraction(0), []
        for entry in self._journal.entries(record.run_id, after=read.sequence):
            read.sequence = entry.sequence
            if entry.at_ms < begin_ms or month_of(entry.at_ms) != self.month:
                continue
            usage = usage_of(entry.event)
            if usage is not None:
                gained += self._price(usage)
            elif type(entry.event) is BudgetReached and entry.event.scope == "month":
                told.append((entry.event.share, entry.event.limit_usd_micro))
        read.spent = str(spent + gained)
        read.told += told
        read.stopped_ms = record.stopped_ms
        self.spent += gained
        self.told.update(told)

    def _count(self, read: _Read) -> None:
        self.spent += Fraction(read.spent)
        self.told.update((share, limit) for share, limit in read.told)

    def _keep(self) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._file.with_suffix(f".{id(self)}.new")
            fresh.write_bytes(msgspec.json.encode(_Kept(prices=self._prices, runs=self._runs)))
            fresh.replace(self._file)
        except OSError:
            return  # it is only there to be quicker


_BACK_MS = 3_600_000
"""Clocks of engines on one store differ by less."""
_MOST_OPEN = 10_000
"""Redriven runs are among the open ones; of more than these the newest are looked at."""


def _load(file: Path | None, prices: str) -> _Kept:
    try:
        kept = _Kept(prices=prices) if file is None else msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return _Kept(prices=prices, runs={})
    return kept if kept.prices == prices and file is not None else _Kept(prices=prices, runs={})
