"""What a month has cost: the deliveries that ended in it, of all runs of the journal, real ones and rehearsals apart.

Read in steps, so that nobody has to wait for a journal with many runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal

import msgspec

from skylift.asl.events import AnyEvent, BudgetReached
from skylift.asl.status import OPEN
from skylift.engine.spending import PriceOf, begin_of, month_of, usage_of
from skylift.ports.journal import Journal, RunRecord
from skylift.pricing.deliveries import is_rehearsal

Pot = Literal["month", "rehearsal"]
"""What is really spent, and what would have been, had the simulated cloud been one."""
POTS: tuple[Pot, ...] = ("month", "rehearsal")
Told = tuple[str, str, int]
"""Pot, share and limit of an alert."""

PAGE = 500
STEP = 2_000
"""Entries read between two looks at anything else: some 50 ms."""
_OF_A_RUN = 20
"""Asking for a run's entries takes as long as reading so many."""
_BACK_MS = 3_600_000
"""Clocks of engines on one store differ by less."""
_MOST_OPEN = 10_000
"""Redriven runs are among the open ones; of more than these the newest are looked at."""


class _Read(msgspec.Struct, kw_only=True):
    """How far a run's entries were added to a month, and what came of them."""

    sequence: int = 0
    stopped_ms: int | None = None
    spent: dict[Pot, str] = {}
    told: list[Told] = []


class _Kept(msgspec.Struct, kw_only=True):
    """A month's account as it is kept between processes, to be gone on from. The journal stays the truth: a run whose
    record has changed is read on, and another catalogue begins anew."""

    prices: str
    pots: bool
    """Older files have no such thing: rehearsals were in one sum with the rest."""
    runs: dict[str, _Read] = {}


class MonthAccount:
    """What was spent in one month, and which alerts were given. `look` brings it up to date."""

    def __init__(
        self,
        journal: Journal,
        month: str,
        price: PriceOf,
        *,
        kept: Path | None = None,
        prices: str = "",
        on_read: Callable[[str], None] = lambda run_id: None,
    ) -> None:
        """`kept` is a folder for what need not be read again, by the `catalogue_mark` that it was priced with.
        `on_read` is told of each run that is up to date now."""
        self.month = month
        self.spent: dict[Pot, Fraction] = dict.fromkeys(POTS, Fraction(0))
        self.told: set[Told] = set()
        self._journal = journal
        self._price = price
        self._on_read = on_read
        self._file = None if kept is None else kept / f"{month}.json"
        self._runs = _load(self._file, prices).runs
        self._prices = prices
        self._newest_ms = 0
        for read in self._runs.values():
            for pot, amount in read.spent.items():
                self.spent[pot] += Fraction(amount)
            self.told.update(read.told)

    def look(self) -> None:
        """Add what has come to the journal since: all runs at first, then those that are new, open, or were open."""
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """The same with pauses, in which the journal may grow. What was read of a run stays read when it is left."""
        begin_ms, changed, done = begin_of(self.month), False, 0
        for record in self._candidates():
            done += 1
            if done >= STEP:
                done = 0
                yield
            read = self._runs.get(record.run_id)
            if record.stopped_ms is not None and (
                record.stopped_ms < begin_ms or (read is not None and read.stopped_ms == record.stopped_ms)
            ):
                continue
            changed = True
            done += _OF_A_RUN + self._read_on(record)
        if changed:
            self._keep()

    def _candidates(self) -> Iterator[RunRecord]:
        looked = self._newest_ms
        open_before = [run_id for run_id, read in self._runs.items() if read.stopped_ms is None]
        before: tuple[int, str] | None = None
        newest_ms = looked
        while True:
            page = self._journal.runs(before=before, limit=PAGE)
            yield from page
            if page:
                newest_ms = max(newest_ms, page[0].created_ms)
            if len(page) < PAGE or page[-1].created_ms < looked - _BACK_MS:
                break
            before = (page[-1].created_ms, page[-1].run_id)
        self._newest_ms = newest_ms  # not before: who is left half-way begins anew
        yield from (record for run_id in open_before if (record := self._journal.run(run_id)) is not None)
        yield from self._journal.runs(status=OPEN, limit=_MOST_OPEN)

    def _read_on(self, record: RunRecord) -> int:
        """How many entries that were."""
        read = self._runs.setdefault(record.run_id, _Read(spent={}, told=[]))
        begin_ms, before = begin_of(self.month), read.sequence
        gained: dict[Pot, Fraction] = {}
        for entry in self._journal.entries(record.run_id, after=read.sequence):
            read.sequence = entry.sequence
            if entry.at_ms >= begin_ms and month_of(entry.at_ms) == self.month:
                self._take(entry.event, gained, read.told)
        for pot, amount in gained.items():
            read.spent[pot] = str(Fraction(read.spent.get(pot, "0")) + amount)
            self.spent[pot] += amount
        read.stopped_ms = record.stopped_ms
        self.told.update(read.told)
        self._on_read(record.run_id)
        return read.sequence - before

    def _take(self, event: AnyEvent, gained: dict[Pot, Fraction], told: list[Told]) -> None:
        usage = usage_of(event)
        if usage is not None:
            pot: Pot = "rehearsal" if is_rehearsal(usage) else "month"
            gained[pot] = gained.get(pot, Fraction(0)) + self._price(usage)
        elif type(event) is BudgetReached and event.scope != "run":
            told.append((event.scope, event.share, event.limit_usd_micro))

    def _keep(self) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._file.with_suffix(f".{os.getpid()}-{id(self)}.new")
            fresh.write_bytes(msgspec.json.encode(_Kept(prices=self._prices, pots=True, runs=self._runs)))
            fresh.replace(self._file)
        except OSError:
            return  # it is only there to be quicker


def _load(file: Path | None, prices: str) -> _Kept:
    nothing = _Kept(prices=prices, pots=True, runs={})
    try:
        kept = nothing if file is None else msgspec.json.decode(file.read_bytes(), type=_Kept)
        for read in kept.runs.values():
            _ = [Fraction(amount) for amount in read.spent.values()]
    except (OSError, ValueError, ZeroDivisionError):  # msgspec's are ValueErrors
        return nothing
    return kept if kept.prices == prices and file is not None else nothing
