"""Budgets: what runs may cost, and the project's runs in a month. Decides; the planner carries it out.

What is spent is derived from the journal and goes on with each event that is applied: ended deliveries count exactly,
by the ledger's prices. Running ones count by estimate: what the first offer of their backend would be billed if they
ended now, minimums and fees included. An alert is an event in the run's journal, in the batch with what led to it, so
that it is given once whoever drives the run. A budget that is spent pauses runs before their next attempt; one that
is committed, to attempts that will cost so much by their declared work or by what is billed at least, holds others back
until some have ended.
Rehearsals have a month of their own. Until it is known what the month has cost, attempts that cost something wait.
Several engines on one store see each other's spending every `LOOK_MS`: together they may spend more than the budget by
what they spend in that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from skylift.asl.events import (
    AnyEvent,
    BudgetReached,
    MapRunUpdated,
    PauseRequested,
    RedriveRequested,
    ResumeRequested,
    StopRequested,
)
from skylift.engine.book import Book
from skylift.engine.costs import Costs, pot_of, work_ms
from skylift.engine.limits import BudgetPlan
from skylift.engine.month import Pot
from skylift.engine.months import Months
from skylift.engine.names import split_token
from skylift.engine.purse import Purse
from skylift.engine.run import Attempt, LiveRun
from skylift.engine.spending import (
    Account,
    PriceOf,
    account_of,
    catalogue_price,
    limit_of,
    micro_of,
    month_of,
    usage_of,
)
from skylift.engine.tariff import FREE, TariffOf, catalogue_tariff
from skylift.errors import SetupError
from skylift.ports.compute import Backend
from skylift.ports.journal import Journal, RunRecord
from skylift.pricing.deliveries import is_rehearsal
from skylift.units import dollars

_QUIET = (StopRequested, PauseRequested, ResumeRequested, RedriveRequested, MapRunUpdated, BudgetReached)
"""Events after which no attempt begins, or of which is decided before they are taken in."""
First = list[tuple[LiveRun, AnyEvent]]


class BudgetSpent(SetupError):
    """The run is paused for its budget, which is still spent."""

    code = "BUDGET"


class Budgets:
    """Of an engine's runs. Touches memory only, but for what it reads of the journal."""

    def __init__(
        self,
        *,
        book: Book,
        journal: Journal,
        backends: Mapping[str, Backend],
        placement: Mapping[str, str],
        plan: BudgetPlan,
        price: PriceOf = catalogue_price,
        tariff: TariffOf = catalogue_tariff,
    ) -> None:
        self._book = book
        self._journal = journal
        self._costs = Costs(backends, placement, tariff)
        self._plan = plan
        self._price = price
        self._purses: dict[str, Purse] = {}
        """By the run that was not started by another one."""
        self._thrown_away: set[str] = set()
        """Purses that are to be opened again once their runs are loaded."""
        self._roots: dict[str, str | None] = {}
        """Run → that of its purse; None for one without a budget."""
        self._months = Months(journal, plan, price)
        self._now_ms = 0
        self._holding = False
        """Whether an attempt waits until something that is out has ended."""
        self._moved = False
        """Whether anything has happened since it was looked at."""

    # -- between turns -------------------------------------------------------------------------------------------------

    def begin_turn(self, now_ms: int) -> bool:
        """All events that were applied are in the journal. True when what was held may go: something may have ended, or
        it has just become known what the month has cost."""
        self._now_ms = now_ms
        held, self._holding, self._moved = self._holding, False, False
        return self._look(now_ms) or held

    def _look(self, now_ms: int) -> bool:
        before, months = self._months.pots, self._months
        if not months.look(now_ms):
            return False
        for pot, purse in months.pots.items():
            known = before.get(pot)
            if known is None:
                self._count_all(purse, self._book.runs.values())
            else:
                purse.take_over(known)
        return not before

    @property
    def due(self) -> bool:
        """Whether another turn is to follow at once."""
        return (self._holding and self._moved) or self._months.reading

    def undone(self) -> None:
        """What this turn did in memory is thrown away: all is told by the journal again."""
        self._thrown_away |= self._purses.keys()
        self._purses.clear()
        self._roots.clear()
        self._months.undone()

    def dropped(self, run: LiveRun) -> None:
        """It has ended."""
        root = self._roots.pop(run.record.run_id, None)
        if root is not None and root not in self._roots.values():
            self._purses.pop(root, None)

    # -- attempts ------------------------------------------------------------------------------------------------------

    def given(self, attempt: Attempt, since_ms: int | None = None) -> None:
        """A backend has it now, or has had it since then."""
        for purse in self._purses_of(attempt.run):
            self._count(purse, attempt, self._now_ms if since_ms is None else since_ms)

    def _count(self, purse: Purse, attempt: Attempt, since_ms: int) -> None:
        tariff = self._costs.tariff(attempt)
        if tariff != FREE and self._is_of(purse, attempt):
            purse.given(attempt, tariff, max(since_ms, attempt.command.scheduled_ms), work_ms(attempt))

    def _count_all(self, purse: Purse, runs: Iterable[LiveRun]) -> None:
        """What backends have of them. When it was given out is not known any more: when it was asked for counts."""
        for run in runs:
            for attempt in run.attempts.values():
                if attempt.sent:
                    self._count(purse, attempt, 0)

    def ended(self, attempt: Attempt) -> None:
        """No backend has it any more."""
        self._moved = True
        root = self._roots.get(attempt.run.record.run_id)
        for purse in (*self._months.pots.values(), None if root is None else self._purses.get(root)):
            if purse is not None:
                purse.ended(attempt)

    @staticmethod
    def _is_of(purse: Purse, attempt: Attempt) -> bool:
        return purse.scope in ("run", pot_of(attempt))

    # -- events --------------------------------------------------------------------------------------------------------

    def before(self, run: LiveRun, event: AnyEvent, now_ms: int) -> First:
        """What is to be applied before `event` is, which counts as applied from here on."""
        self._moved = True
        if type(event) is ResumeRequested:
            return self._resumed(run, event)
        if isinstance(event, _QUIET):
            return []
        purses = self._purses_of(run)
        usage = usage_of(event)
        if usage is not None and (purses or self._plan.month is not None):
            cost = self._price(usage)
            pot: Pot = "rehearsal" if is_rehearsal(usage) else "month"
            for purse in purses:
                if purse.scope in ("run", pot):
                    purse.account.spent += cost
            self._months.spent(run.record.run_id, pot, cost)
        first: First = []
        for purse in purses:
            first += self._decided(purse, run, now_ms)
        return first

    def overdue(self, now_ms: int) -> First:
        """What running attempts have led to since: alerts, and pauses of runs that would go on with other attempts."""
        found: First = []
        for root in self._thrown_away & self._book.runs.keys():
            self._thrown_away.discard(root)
            if root not in self._purses:
                self._open(root)
        purses = [(purse, self._book.runs.get(root)) for root, purse in self._purses.items()]
        for purse in self._months.pots.values():
            if purse.out:
                going_on = (run for run in self._book.runs.values() if run.state.status == "RUNNING")
                purses.append((purse, next((run for run in going_on if self._may_stop(purse, run)), None)))
        for purse, run in purses:
            if run is not None and purse.out and run.state.status == "RUNNING":
                found += self._decided(purse, run, now_ms)
        return found

    def refuses(self, run: LiveRun, event: AnyEvent) -> BudgetSpent | None:
        """Why the run cannot go on. Raises InvalidAmount for a budget that is none."""
        if not self._plan.stop or not isinstance(event, ResumeRequested | RedriveRequested):
            return None
        raised = event.budget if type(event) is ResumeRequested else None
        for purse in self._purses_of(run):
            account = purse.account
            limit = micro_of(raised) if raised is not None and purse.scope == "run" else account.limit
            if limit is not None and account.spent >= limit and self._may_stop(purse, run):
                return BudgetSpent(
                    f"run {run.record.run_id} cannot go on: {self._said(purse, limit, self._now_ms)}",
                    hint=_way_on(purse.scope, run.record.run_id),
                )
        return None

    def holds(self, attempt: Attempt) -> bool:
        """Whether an attempt, or another delivery of one, has to wait: its run is paused for a budget that is spent,
        what is out takes all that is left of one until some of it has ended, or nobody knows yet what the month has
        cost."""
        run = attempt.run
        tariff = self._costs.tariff(attempt) if self._plan.stop else FREE
        if not self._plan.stop or (tariff == FREE and run.state.status != "PAUSED"):
            return False
        if tariff != FREE and self._months.is_unknown(pot_of(attempt)) and run.record.type != "EXPRESS":
            return True
        purses = [one for one in self._purses_of(run) if self._is_of(one, attempt)]
        for purse in purses:
            if self._holds(purse, attempt):
                return True
        if tariff != FREE:
            for purse in purses:
                purse.promised(attempt, tariff, work_ms(attempt))
        return False

    def _holds(self, purse: Purse, attempt: Attempt) -> bool:
        run, now_ms = attempt.run, self._now_ms
        if run.state.status == "PAUSED" and self._spent(purse, now_ms) and self._may_stop(purse, run):
            return True
        if self._costs.tariff(attempt) == FREE or not purse.is_committed(now_ms, self._costs.poll):
            return False
        self._holding = self._may_stop(purse, run) or self._holding
        return self._may_stop(purse, run)

    def _resumed(self, run: LiveRun, event: ResumeRequested) -> First:
        """The runs that it started go on with it: they were paused for the same budget."""
        root = self._root_of(run.record).run_id
        family = self._family(root)
        if event.budget is not None:
            for one in family:
                self._roots[one.record.run_id] = root
            purse = self._purses.get(root) or self._open(root)
            purse.account.limit = micro_of(event.budget)
        if self._roots.get(run.record.run_id) is None:
            return []
        return [(one, ResumeRequested()) for one in family if one is not run and one.state.status == "PAUSED"]

    # -- one purse -----------------------------------------------------------------------------------------------------

    def _decided(self, purse: Purse, run: LiveRun, now_ms: int) -> First:
        found: First = list(self._alerts(purse, run, now_ms))
        if self._plan.stop and self._spent(purse, now_ms):
            found += self._pauses(purse, run, now_ms)
        return found

    def _alerts(self, purse: Purse, run: LiveRun, now_ms: int) -> Iterator[tuple[LiveRun, AnyEvent]]:
        account = purse.account
        if account.limit is None:
            return
        limit_micro = _whole(account.limit)
        for share in self._plan.alerts:
            key, mark = (share, limit_micro), account.limit * Fraction(share)
            if key in account.told or not purse.reached(mark, now_ms, self._costs.poll):
                continue
            if purse.scope == "rehearsal" and not self._costs.of_run(run, purse.scope):
                return  # somebody else's
            account.told.add(key)
            running = purse.running(now_ms, self._costs.poll)
            yield (
                run,
                BudgetReached(
                    scope=purse.scope,
                    share=share,
                    limit_usd_micro=limit_micro,
                    spent_usd_micro=_whole(account.spent + running),
                    running_usd_micro=_whole(running),
                    month=None if purse.scope == "run" else self._months.month,
                ),
            )

    def _pauses(self, purse: Purse, run: LiveRun, now_ms: int) -> First:
        family = purse.scope == "run"
        runs = self._family(self._root_of(run.record).run_id) if family else list(self._book.runs.values())
        limit = purse.account.limit or Fraction(0)
        going_on = [one for one in runs if one.state.status == "RUNNING" and self._may_stop(purse, one)]
        cause = self._said(purse, limit, now_ms) if going_on else ""
        return [(one, PauseRequested(cause=cause)) for one in going_on]

    def _spent(self, purse: Purse, now_ms: int) -> bool:
        limit = purse.account.limit
        return limit is not None and purse.reached(limit, now_ms, self._costs.poll)

    def _said(self, purse: Purse, limit: Fraction, now_ms: int) -> str:
        running, spent = purse.running(now_ms, self._costs.poll), purse.account.spent
        estimated = f", {dollars(_whole(running))} of it by running attempts, estimated" if running else ""
        month = f"the project's budget for {month_of(now_ms)}"
        whose = {"run": "its budget", "month": month, "rehearsal": f"{month}, of rehearsals alone,"}[purse.scope]
        return f"{whose} of {dollars(_whole(limit))} is spent ({dollars(_whole(spent + running))}{estimated})"

    def _may_stop(self, purse: Purse, run: LiveRun) -> bool:
        """The month's budget stops no run that costs nothing, and no EXPRESS execution, whose caller waits."""
        if purse.scope == "run":
            return True
        return run.record.type != "EXPRESS" and self._costs.of_run(run, purse.scope)

    # -- whose purse ---------------------------------------------------------------------------------------------------

    def _purses_of(self, run: LiveRun) -> list[Purse]:
        purses = []
        name = self._purse_name(run)
        if name is not None:
            purses.append(self._purses.get(name) or self._open(name))
        return [*purses, *self._months.pots.values()]

    def _purse_name(self, run: LiveRun) -> str | None:
        """The run whose budget it spends; None where there is none."""
        run_id = run.record.run_id
        if run_id not in self._roots:
            root = self._root_of(run.record)
            self._roots[run_id] = None if self._limit_of(root) is None else root.run_id
        return self._roots[run_id]

    def _limit_of(self, root: RunRecord) -> Fraction | None:
        live = self._book.runs.get(root.run_id)
        if live is None:
            return account_of(self._journal, root, self._price).limit
        return limit_of(root) if live.state.budget is None else micro_of(live.state.budget)

    def _open(self, root_id: str) -> Purse:
        """From the journal, where the run is in it; one that is being created has spent nothing."""
        record = self._journal.run(root_id)
        live = self._book.runs.get(root_id)
        account = Account(told=set()) if record is None else account_of(self._journal, record, self._price)
        if live is not None:
            account.limit = self._limit_of(live.record)
        purse = self._purses[root_id] = Purse("run", account)
        self._count_all(purse, self._family(root_id))
        return purse

    def _root_of(self, record: RunRecord) -> RunRecord:
        while record.parent is not None:
            above = split_token(record.parent)[0]
            live = self._book.runs.get(above)
            found = live.record if live is not None else self._journal.run(above)
            if found is None:
                break
            record = found
        return record

    def _family(self, root: str) -> list[LiveRun]:
        return [run for run in self._book.runs.values() if self._root_of(run.record).run_id == root]


def _way_on(scope: str, run_id: str) -> str:
    if scope == "run":
        return f"raise it: skylift resume {run_id} --budget AMOUNT"
    other = " (or leave rehearsals out of it: `rehearsals = false`)" if scope == "rehearsal" else ""
    return f"raise `month` of [budget] in skylift.toml{other}, then: skylift resume {run_id}"


def _whole(amount: Fraction) -> int:
    return int((amount * 2 + 1) // 2)
