"""Budgets: what runs may cost, and the project's runs in a month. Decides; the planner carries it out.

What is spent is derived from the journal and goes on with each event that is applied: ended deliveries count exactly,
by the ledger's prices. Running ones count by estimate: the price of the first offer of their backend for what they
ask for, times the time since they were given out, or since they were last seen to be queued. An alert is an event in
the run's journal, in the batch with what led to it, so that it is given once whoever drives the run. A budget that is
spent pauses runs before their next attempt. Several engines on one store see each other's spending every `LOOK_MS`:
together they may spend more than the budget by what they spend in that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

import msgspec

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
from skylift.engine.limits import BUDGET_ATTRIBUTE, BudgetPlan
from skylift.engine.names import split_token
from skylift.engine.redelivery import deliveries_of
from skylift.engine.router import WorkerRoute, placed
from skylift.engine.run import Attempt, LiveRun
from skylift.engine.spending import (
    Account,
    MonthAccount,
    PriceOf,
    account_of,
    catalogue_mark,
    catalogue_price,
    micro_of,
    month_of,
    usage_of,
)
from skylift.errors import SetupError
from skylift.ports.compute import Backend
from skylift.ports.journal import Journal, RunRecord
from skylift.units import dollars

LOOK_MS = 10_000
"""How often the journal is asked what other engines have spent."""
HOUR_MS = 3_600_000
_QUIET = (StopRequested, PauseRequested, ResumeRequested, RedriveRequested, MapRunUpdated, BudgetReached)
"""Events after which no attempt begins, or of which is decided before they are taken in."""


class BudgetSpent(SetupError):
    """The run is paused for its budget, which is still spent."""

    code = "BUDGET"


class Purse:
    """A budget, what is spent of it, and what is being spent."""

    def __init__(self, scope: str, account: Account) -> None:
        self.scope = scope
        self.account = account
        self.stale = False
        """A turn that it knows of was thrown away."""
        self.running: dict[str, tuple[Attempt, int, int]] = {}
        """By token: attempt, price an hour, since when."""
        self._slope = 0
        self._base = 0

    def given(self, attempt: Attempt, rate: int, since_ms: int) -> None:
        self.ended(attempt)
        self.running[attempt.token] = (attempt, rate, since_ms)
        self._slope += rate
        self._base += rate * since_ms

    def ended(self, attempt: Attempt) -> None:
        known = self.running.pop(attempt.token, None)
        if known is not None:
            self._slope -= known[1]
            self._base -= known[1] * known[2]

    def estimate(self, now_ms: int) -> Fraction:
        """Of all that is out, as if none of it were queued."""
        return max(Fraction(0), Fraction(self._slope * now_ms - self._base, HOUR_MS))


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
    ) -> None:
        self._book = book
        self._journal = journal
        self._backends = backends
        self._placement = placement
        self._plan = plan
        self._price = price
        self._purses: dict[str, Purse] = {}
        """By the run that was not started by another one."""
        self._thrown_away: set[str] = set()
        """Purses that are to be opened again once their runs are loaded."""
        self._roots: dict[str, str | None] = {}
        """Run → that of its purse; None for one without a budget."""
        self._month: MonthAccount | None = None
        self._month_purse: Purse | None = None
        self._looked_ms = 0
        self._now_ms = 0
        self._rates: dict[tuple[str, bytes, str], int] = {}

    # -- between turns -------------------------------------------------------------------------------------------------

    def begin_turn(self, now_ms: int) -> None:
        """All events that were applied are in the journal."""
        self._now_ms = now_ms
        plan = self._plan
        if plan.month is None:
            return
        month, known = month_of(now_ms), self._month
        if known is None or known.month != month:
            prices = "" if plan.kept is None else catalogue_mark()
            known = MonthAccount(self._journal, month, self._price, kept=plan.kept, prices=prices)
        elif now_ms - self._looked_ms < LOOK_MS and self._month_purse is not None and not self._month_purse.stale:
            return
        self._looked_ms = now_ms
        known.look()
        before, self._month = self._month_purse, known
        account = Account(limit=micro_of(plan.month), spent=known.spent, told=set(known.told))
        self._month_purse = Purse("month", account)
        if before is None or before.stale:
            self._count_all(self._month_purse, self._book.runs.values())
            return
        for attempt, rate, since_ms in before.running.values():
            self._month_purse.given(attempt, rate, since_ms)

    def undone(self) -> None:
        """What this turn did in memory is thrown away: all is told by the journal again."""
        self._thrown_away |= self._purses.keys()
        self._purses.clear()
        self._roots.clear()
        if self._month_purse is not None:
            self._month_purse.stale = True

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
        rate = self._rate(attempt)
        if rate:
            purse.given(attempt, rate, max(since_ms, attempt.command.scheduled_ms))

    def _count_all(self, purse: Purse, runs: Iterable[LiveRun]) -> None:
        """What backends have of them. When it was given out is not known any more: when it was asked for counts."""
        for run in runs:
            for attempt in run.attempts.values():
                if attempt.sent:
                    self._count(purse, attempt, 0)

    def ended(self, attempt: Attempt) -> None:
        """No backend has it any more."""
        root = self._roots.get(attempt.run.record.run_id)
        for purse in (self._month_purse, None if root is None else self._purses.get(root)):
            if purse is not None:
                purse.ended(attempt)

    def _rate(self, attempt: Attempt) -> int:
        """Micro-dollars an hour of the first offer for it, on its market where there is one: backends name first what
        they take."""
        route, backend = attempt.route, self._backends.get(attempt.backend or "")
        if type(route) is not WorkerRoute or backend is None:
            return 0
        needs, memory = route.spec.requirements, deliveries_of(attempt).memory_mib
        needs = needs if memory is None else msgspec.structs.replace(needs, memory_mib=memory)
        key = (attempt.backend or "", msgspec.json.encode(needs), attempt.market or "")
        if key not in self._rates:
            offers = backend.offers(needs)
            wanted = [one for one in offers if one.market == attempt.market] or offers
            self._rates[key] = wanted[0].price_usd_micro_per_hour if wanted else 0
        return self._rates[key]

    # -- events --------------------------------------------------------------------------------------------------------

    def before(self, run: LiveRun, event: AnyEvent, now_ms: int) -> list[tuple[LiveRun, AnyEvent]]:
        """What is to be applied before `event` is, which counts as applied from here on."""
        if type(event) is ResumeRequested:
            return self._resumed(run, event)
        if isinstance(event, _QUIET):
            return []
        purses = self._purses_of(run)
        if not purses:
            return []
        usage = usage_of(event)
        if usage is not None:
            cost = self._price(usage)
            for purse in purses:
                purse.account.spent += cost
        first: list[tuple[LiveRun, AnyEvent]] = []
        for purse in purses:
            first += self._alerts(purse, run, now_ms)
            if self._plan.stop and self._spent(purse, now_ms):
                first += self._pauses(purse, run, now_ms)
        return first

    def overdue(self, now_ms: int) -> list[tuple[LiveRun, AnyEvent]]:
        """What running attempts have led to since: alerts, and pauses of runs that would go on with other attempts."""
        found: list[tuple[LiveRun, AnyEvent]] = []
        for root in self._thrown_away & self._book.runs.keys():
            self._thrown_away.discard(root)
            if root not in self._purses:
                self._open(root)
        purses = [(purse, self._book.runs.get(root)) for root, purse in self._purses.items()]
        going_on = (run for run in self._book.runs.values() if run.state.status == "RUNNING")
        if self._month_purse is not None:
            purses.append((self._month_purse, next(going_on, None)))
        for purse, run in purses:
            if run is not None and purse.running and run.state.status == "RUNNING":
                found += self._alerts(purse, run, now_ms)
                if self._plan.stop and self._spent(purse, now_ms):
                    found += self._pauses(purse, run, now_ms)
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

    def holds(self, run: LiveRun) -> bool:
        """Whether another delivery of an attempt has to wait as a new attempt would."""
        if not self._plan.stop or run.state.status != "PAUSED":
            return False
        return any(self._spent(p, self._now_ms) and self._may_stop(p, run) for p in self._purses_of(run))

    def _resumed(self, run: LiveRun, event: ResumeRequested) -> list[tuple[LiveRun, AnyEvent]]:
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

    def _alerts(self, purse: Purse, run: LiveRun, now_ms: int) -> Iterator[tuple[LiveRun, AnyEvent]]:
        account = purse.account
        if account.limit is None:
            return
        limit_micro = _whole(account.limit)
        for share in self._plan.alerts:
            key, mark = (share, limit_micro), account.limit * Fraction(share)
            if key in account.told or not self._reached(purse, mark, now_ms):
                continue
            account.told.add(key)
            running = self._running(purse, now_ms)
            yield (
                run,
                BudgetReached(
                    scope="month" if purse.scope == "month" else "run",
                    share=share,
                    limit_usd_micro=limit_micro,
                    spent_usd_micro=_whole(account.spent + running),
                    running_usd_micro=_whole(running),
                    month=None if self._month is None or purse.scope == "run" else self._month.month,
                ),
            )

    def _pauses(self, purse: Purse, run: LiveRun, now_ms: int) -> list[tuple[LiveRun, AnyEvent]]:
        month = purse.scope == "month"
        runs = list(self._book.runs.values()) if month else self._family(self._root_of(run.record).run_id)
        limit = purse.account.limit or Fraction(0)
        event = PauseRequested(cause=self._said(purse, limit, now_ms))
        return [(one, event) for one in runs if one.state.status == "RUNNING" and self._may_stop(purse, one)]

    def _spent(self, purse: Purse, now_ms: int) -> bool:
        limit = purse.account.limit
        return limit is not None and self._reached(purse, limit, now_ms)

    def _reached(self, purse: Purse, mark: Fraction, now_ms: int) -> bool:
        """Whether so much is spent. What is out is asked after only where it decides."""
        spent = purse.account.spent
        if spent >= mark:
            return True
        return spent + purse.estimate(now_ms) >= mark and spent + self._running(purse, now_ms) >= mark

    def _running(self, purse: Purse, now_ms: int) -> Fraction:
        """What waits for a machine has cost nothing."""
        asked: dict[str, list[str]] = {}
        for token, (attempt, _, _) in purse.running.items():
            asked.setdefault(attempt.backend or "", []).append(token)
        for name, tokens in asked.items():
            for token, what in self._backends[name].poll(tokens).items():
                if what == "queued":
                    attempt, rate, _ = purse.running[token]
                    purse.given(attempt, rate, now_ms)
        return purse.estimate(now_ms)

    def _said(self, purse: Purse, limit: Fraction, now_ms: int) -> str:
        running = self._running(purse, now_ms)
        spent = purse.account.spent + running
        estimated = f", {dollars(_whole(running))} of it by running attempts, estimated" if running else ""
        whose = "its budget" if purse.scope == "run" else f"the project's budget for {month_of(now_ms)}"
        return f"{whose} of {dollars(_whole(limit))} is spent ({dollars(_whole(spent))}{estimated})"

    def _may_stop(self, purse: Purse, run: LiveRun) -> bool:
        """The month's budget stops no run that costs nothing, and no EXPRESS execution, whose caller waits."""
        if purse.scope == "run":
            return True
        return run.record.type != "EXPRESS" and self._costs(run)

    def _costs(self, run: LiveRun) -> bool:
        """Whether a task of it runs where there is a price."""
        for spec in run.table.tasks.values():
            backend = self._backends.get(placed(spec, run.record.attributes, self._placement) or "")
            if backend is not None and any(one.price_usd_micro_per_hour for one in backend.offers(spec.requirements)):
                return True
        return False

    # -- whose purse ---------------------------------------------------------------------------------------------------

    def _purses_of(self, run: LiveRun) -> list[Purse]:
        purses = []
        name = self._purse_name(run)
        if name is not None:
            purses.append(self._purses.get(name) or self._open(name))
        if self._month_purse is not None:
            purses.append(self._month_purse)
        return purses

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
        said = live.state.budget or root.attributes.get(BUDGET_ATTRIBUTE)
        return None if said is None else micro_of(said)

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
    return f"raise `month` of [budget] in skylift.toml, then: skylift resume {run_id}"


def _whole(amount: Fraction) -> int:
    return int((amount * 2 + 1) // 2)
