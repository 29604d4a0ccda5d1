"""Asks the budgets, for those runs that have one. All others pass at no cost, and nothing of budgets is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skylift.asl.events import AnyEvent, ResumeRequested
from skylift.engine.book import Book
from skylift.engine.limits import BUDGET_ATTRIBUTE, BudgetPlan
from skylift.engine.names import split_token
from skylift.engine.run import Attempt, LiveRun
from skylift.errors import SkyliftError
from skylift.ports.compute import Backend
from skylift.ports.journal import Journal, RunRecord

if TYPE_CHECKING:
    from skylift.engine.budgets import Budgets

First = Sequence[tuple[LiveRun, AnyEvent]]


class Guard:
    """What the engine tells and asks about money. See `skylift.engine.budgets`, which decides."""

    def __init__(
        self,
        *,
        book: Book,
        journal: Journal,
        backends: Mapping[str, Backend],
        placement: Mapping[str, str],
        plan: BudgetPlan,
    ) -> None:
        self._book = book
        self._journal = journal
        self._parts: dict[str, Any] = {
            "book": book,
            "journal": journal,
            "backends": backends,
            "placement": placement,
            "plan": plan,
        }
        self._always = plan.month is not None
        self._watched: dict[str, bool] = {}
        self._budgets: Budgets | None = None
        self._now_ms = 0

    def begin_turn(self, now_ms: int) -> bool:
        """Everything that was applied before is in the journal. True when attempts that were held may go now."""
        self._now_ms = now_ms
        if self._budgets is None:
            return self._always and self._asked().begin_turn(now_ms)
        return self._budgets.begin_turn(now_ms)

    @property
    def due(self) -> bool:
        """Whether another turn is to follow at once."""
        return self._budgets is not None and self._budgets.due

    def before(self, run: LiveRun, event: AnyEvent, now_ms: int) -> First:
        """What is to be applied before the event."""
        if type(event) is ResumeRequested and event.budget is not None:
            self._watched.clear()
            self._watched[run.record.run_id] = True
        if not self._watches(run):
            return ()
        return self._asked().before(run, event, now_ms)

    def overdue(self, now_ms: int) -> First:
        return () if self._budgets is None else self._budgets.overdue(now_ms)

    def refuses(self, run: LiveRun, event: AnyEvent) -> SkyliftError | None:
        """Why the run cannot go on, if its budget says so."""
        if not isinstance(event, ResumeRequested) and not self._watches(run):
            return None
        given = type(event) is ResumeRequested and event.budget is not None
        return self._asked().refuses(run, event) if given or self._watches(run) else None

    def holds(self, attempt: Attempt) -> bool:
        """Whether an attempt that is to be given out has to wait until its run goes on."""
        return self._watches(attempt.run) and self._asked().holds(attempt)

    def given(self, attempt: Attempt, since_ms: int | None = None) -> None:
        """A backend has it now, or has had it since then."""
        if self._watches(attempt.run):
            self._asked().given(attempt, since_ms)

    def ended(self, attempt: Attempt) -> None:
        """No backend has it any more."""
        if self._budgets is not None:
            self._budgets.ended(attempt)

    def dropped(self, run: LiveRun) -> None:
        """The run has ended."""
        self._watched.pop(run.record.run_id, None)
        if self._budgets is not None:
            self._budgets.dropped(run)

    def undone(self) -> None:
        """What the turn did in memory is thrown away."""
        self._watched.clear()
        if self._budgets is not None:
            self._budgets.undone()

    def _asked(self) -> Budgets:
        if self._budgets is None:
            from skylift.engine.budgets import Budgets

            self._budgets = Budgets(**self._parts)
            if not self._always:
                self._budgets.begin_turn(self._now_ms)
        return self._budgets

    def _watches(self, run: LiveRun) -> bool:
        """Whether it spends a budget: the month's, its own, or that of the run that started it."""
        if self._always:
            return True
        run_id = run.record.run_id
        known = self._watched.get(run_id)
        if known is None:
            known = self._watched[run_id] = _has_budget(run) or self._is_below(run.record)
        return known

    def _is_below(self, record: RunRecord) -> bool:
        """Where the run above is not ours, its budget may be in its journal: that is for the budgets to find out."""
        while record.parent is not None:
            above = split_token(record.parent)[0]
            live = self._book.runs.get(above)
            if live is None:
                return self._journal.run(above) is not None
            if _has_budget(live):
                return True
            record = live.record
        return False


def _has_budget(run: LiveRun) -> bool:
    return run.state.budget is not None or BUDGET_ATTRIBUTE in run.record.attributes
