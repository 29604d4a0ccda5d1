"""The purses of the month, and the reading of the journal that they come from: a step in each turn."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from skylift.engine.limits import BudgetPlan
from skylift.engine.month import MonthAccount, Pot
from skylift.engine.purse import Purse
from skylift.engine.spending import Account, PriceOf, catalogue_mark, micro_of, month_of
from skylift.ports.journal import Journal

LOOK_MS = 10_000
"""How often the journal is asked what other engines have spent."""


class Months:
    """Not thread-safe. Without a month's budget nothing is read."""

    def __init__(self, journal: Journal, plan: BudgetPlan, price: PriceOf) -> None:
        self._journal = journal
        self._plan = plan
        self._price = price
        self.pots: dict[Pot, Purse] = {}
        """Empty while it is not known what the month has cost."""
        self.month: str | None = None
        """That of the pots."""
        self._kinds: tuple[Pot, ...] = ("month", "rehearsal") if plan.rehearsals else ("month",)
        self._account: MonthAccount | None = None
        self._steps: Iterator[None] | None = None
        self._looked_ms: int | None = None
        self._meanwhile: dict[str, dict[Pot, Fraction]] = {}
        """By run, what was spent since the reading began and is not read yet."""

    def look(self, now_ms: int) -> bool:
        """A step on, where one is due. True when the pots are new."""
        if self._plan.month is None:
            return False
        month = month_of(now_ms)
        if self._account is None or self._account.month != month:
            self._begin(month)
        elif self._steps is None:
            if self._looked_ms is not None and now_ms - self._looked_ms < LOOK_MS:
                return False
            self._steps = self._account.steps()
        self._looked_ms = now_ms
        assert self._steps is not None  # begun above
        try:
            next(self._steps)
        except StopIteration:
            self._finish()
            return True
        return False

    @property
    def reading(self) -> bool:
        return self._steps is not None

    def is_unknown(self, pot: Pot) -> bool:
        """Whether it is being found out what was spent of it."""
        return self._plan.month is not None and pot in self._kinds and pot not in self.pots

    def spent(self, run_id: str, pot: Pot, cost: Fraction) -> None:
        """By an event that is applied now, and that the reading may have passed by."""
        if self._steps is not None and cost:
            of_run = self._meanwhile.setdefault(run_id, {})
            of_run[pot] = of_run.get(pot, Fraction(0)) + cost

    def undone(self) -> None:
        """What was applied last was not: nothing is known until the journal has told."""
        self.pots, self._meanwhile = {}, {}
        self._steps = self._looked_ms = None

    def _begin(self, month: str) -> None:
        kept = self._plan.kept
        prices = "" if kept is None else catalogue_mark()
        self._account = MonthAccount(
            self._journal, month, self._price, kept=kept, prices=prices, on_read=lambda run_id: self._was_read(run_id)
        )
        self.pots, self._meanwhile = {}, {}
        self.month, self._steps = month, self._account.steps()

    def _was_read(self, run_id: str) -> None:
        self._meanwhile.pop(run_id, None)

    def _finish(self) -> None:
        known, before = self._account, self.pots
        assert known is not None and self._plan.month is not None  # it was read for that
        self._steps, self.pots = None, {}
        for pot in self._kinds:
            spent = sum((of_run.get(pot, Fraction(0)) for of_run in self._meanwhile.values()), known.spent[pot])
            told = {(share, limit) for scope, share, limit in known.told if scope == pot}
            if pot in before:
                told |= before[pot].account.told
            self.pots[pot] = Purse(pot, Account(limit=micro_of(self._plan.month), spent=spent, told=told))
        self._meanwhile = {}
