"""The ledger of a project's runs: which runs a question is about, read one after the other and never all at once."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from skylift.asl.status import OPEN
from skylift.engine.names import split_token
from skylift.engine.views import history
from skylift.pricing.catalogue import DEFAULT_REGION, Catalogue
from skylift.pricing.charge import rate_price
from skylift.pricing.ledger import Ledger

if TYPE_CHECKING:
    from skylift.asl.events import BudgetReached
    from skylift.engine.views import RunView
    from skylift.ports.journal import Journal, RunRecord
    from skylift.pricing.deliveries import Delivery
    from skylift.reader import RunReader

By = Literal["step", "run", "pipeline", "day"]
QUOTE_ATTRIBUTE = "skylift.quote"
"""Of a run that was quoted before: JSON with low, expected and high, in micro-dollars."""
TRANSITIONS = "(transitions)"
PAGE = 200
_MONTH = re.compile("[0-9]{4}-[0-9]{2}")


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """When deliveries ended that count. UTC."""

    begin_ms: int = 0
    end_ms: int | None = None

    def has(self, at_ms: int | None) -> bool:
        return self.begin_ms <= (at_ms or 0) and (self.end_ms is None or (at_ms or 0) < self.end_ms)


class Quoted(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was expected to cost before it began, in micro-dollars. None is not known."""

    low: float | None = None
    expected: float | None = None
    high: float | None = None
    steps: dict[str, float] = {}
    """Expected, by step."""


def month_window(month: str) -> Window:
    """Raises ValueError for what is no month like `2026-11`."""
    if _MONTH.fullmatch(month) is None:
        raise ValueError(month)
    begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    after = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return Window(begin_ms=_ms(begin), end_ms=_ms(after))


def day_of(at_ms: int | None) -> str:
    """`2026-11-21`, UTC."""
    return datetime.fromtimestamp((at_ms or 0) / 1000, UTC).strftime("%Y-%m-%d")


def runs_in(journal: Journal, window: Window, pipeline: str | None = None) -> Iterator[RunRecord]:
    """Runs that were open in the window, newest first, without those that are in one of them that started them."""
    before: tuple[int, str] | None = None
    while True:
        page = journal.runs(pipeline=pipeline, before=before, limit=PAGE)
        for record in page:
            if _was_open(record, window) and not _is_in_its_caller(record, journal, window, pipeline):
                yield record
        if len(page) < PAGE:
            return
        before = (page[-1].created_ms, page[-1].run_id)


def _was_open(record: RunRecord, window: Window) -> bool:
    begun = window.end_ms is None or record.created_ms < window.end_ms
    return begun and (record.stopped_ms is None or record.stopped_ms >= window.begin_ms)


def _is_in_its_caller(record: RunRecord, journal: Journal, window: Window, pipeline: str | None) -> bool:
    """One that nobody waits for may outlive its caller, and go on into months in which that was no more. And of a
    pipeline's runs only those count as callers: what another one called is its own."""
    while record.parent is not None:
        caller = journal.run(split_token(record.parent)[0])
        if caller is None or not _was_open(caller, window):
            return False
        if pipeline in (None, caller.pipeline):
            return True
        record = caller
    return False


def transitions(reader: RunReader, record: RunRecord) -> Iterator[int]:
    """When the run made its state transitions, with those of the runs that it started: the start, each state that is
    entered and each retry."""
    machine = reader.library.machine(record.definition, record.limits)
    for event in history(machine, reader.entries(record.run_id)):
        if event.type == "ExecutionStarted" or event.type.endswith("StateEntered"):
            yield event.at_ms
    yield from (attempt.scheduled_ms for attempt in reader.view(record).attempts if attempt.number > 1)
    for _, called in reader.called(record):
        yield from transitions(reader, called)


class Accounts:
    """Folds runs into a ledger, one at a time."""

    def __init__(
        self,
        reader: RunReader,
        catalogue: Catalogue,
        ledger: Ledger,
        *,
        transitions: bool = False,
        quoted: Quoted | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """With `transitions` the state transitions of a run are charged as an orchestrator of the cloud would. `quoted`
        is what the runs were quoted, where that is not kept with them."""
        self._given = quoted
        self._now_ms = now_ms
        self._reader = reader
        self._catalogue = catalogue
        self._transitions = transitions
        self.ledger = ledger
        self.quoted: Quoted | None = None
        """Of all runs together; None unless each of them has a quote."""
        self.runs = 0
        self.alerts: list[BudgetReached] = []
        """That budgets gave in these runs."""
        self.cancelled = 0
        """Attempts that were given up, and nobody told what they had used: free ones, and those that had not begun."""
        self.going_on = 0
        """Attempts that have not ended: what they use is known when they do."""

    def add(self, record: RunRecord, by: By, window: Window) -> None:
        """One run, with those that it started."""
        view = self._reader.view(record)
        given = [one for one in self._reader.deliveries(record, view) if window.has(one.ended_ms)]
        now = window.has(self._now_ms())
        moves = self._transitions_of(record, by, window)
        if window.end_ms is not None and not given and not moves and not (now and record.status in OPEN):
            return  # nothing of it was in that month
        self.ledger.add(given, _names(by, record))
        cancelled = [one for one in view.attempts if one.status == "CANCELLED" and one.usage is None]
        self.cancelled += sum(window.has(one.ended_ms) for one in cancelled)
        if now and record.status in OPEN:
            self.going_on += sum(attempt.status == "RUNNING" for attempt in view.attempts)
        self._charge_transitions(moves, given)
        quoted = self._given or quote_of(record)
        if self.runs and (self.quoted is None or quoted is None):
            self.quoted = None
        elif quoted is not None:
            self.quoted = quoted if self.quoted is None else _sum(self.quoted, quoted)
        self.alerts += self._alerts(record, view)
        self.runs += 1

    def _alerts(self, record: RunRecord, view: RunView) -> list[BudgetReached]:
        """Its own, and those of the runs that it started."""
        found = list(view.alerts)
        if any("Execution" in attempt.resource for attempt in view.attempts):
            for _, called in self._reader.called(record):
                found += self._alerts(called, self._reader.view(called))
        return found

    def _transitions_of(self, record: RunRecord, by: By, window: Window) -> Counter[str]:
        """How many there are, by the name of the line that they are in."""
        if not self._transitions:
            return Counter()
        name = {"step": TRANSITIONS, "run": record.run_id, "pipeline": record.pipeline}.get(by)
        moments = (at_ms for at_ms in transitions(self._reader, record) if window.has(at_ms))
        return Counter(name or day_of(at_ms) for at_ms in moments)

    def _charge_transitions(self, moves: Counter[str], given: Sequence[Delivery]) -> None:
        region = next((one.usage.region for one in given if one.usage and one.usage.region), DEFAULT_REGION)
        rate = self._catalogue.rate("orchestrator", "transition", region)
        price = None if rate is None else rate_price(rate, self._catalogue)
        for name, count in moves.items():
            self.ledger.add_requests(name, count, price, 1)


def quote_of(record: RunRecord) -> Quoted | None:
    """What the run was quoted, where it was and that can be read."""
    try:
        return msgspec.json.decode(record.attributes.get(QUOTE_ATTRIBUTE, ""), type=Quoted)
    except msgspec.DecodeError:
        return None


def read_quote(text: bytes) -> Quoted:
    """Of what `skylift quote --json` prints. Raises ValueError for anything else."""
    try:
        found = msgspec.json.decode(text, type=_Printed)
    except msgspec.DecodeError as problem:
        raise ValueError(str(problem)) from problem
    known = [(step.step, step.cost_usd_micro) for step in found.steps]
    return Quoted(
        low=found.cost_usd_micro.p10,
        expected=found.cost_usd_micro.expected,
        high=found.cost_usd_micro.p90,
        steps={step: cost.expected for step, cost in known if cost is not None and cost.expected is not None},
    )


class _Range(msgspec.Struct, frozen=True, kw_only=True):
    p10: float | None = None
    expected: float | None = None
    p90: float | None = None


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    step: str
    cost_usd_micro: _Range | None = None


class _Printed(msgspec.Struct, frozen=True, kw_only=True):
    cost_usd_micro: _Range
    steps: list[_Step]


def _names(by: By, record: RunRecord) -> Callable[[Delivery], str]:
    if by == "step":
        return lambda delivery: delivery.step
    if by == "day":
        return lambda delivery: day_of(delivery.ended_ms)
    name = record.run_id if by == "run" else record.pipeline
    return lambda _: name


def _sum(one: Quoted, other: Quoted) -> Quoted:
    """Ends of ranges add up to more than the range of the sum: it is widest."""
    both = [(getattr(one, name), getattr(other, name)) for name in ("low", "expected", "high")]
    low, expected, high = [None if first is None or second is None else first + second for first, second in both]
    steps = {step: one.steps.get(step, 0.0) + other.steps.get(step, 0.0) for step in (*one.steps, *other.steps)}
    return Quoted(low=low, expected=expected, high=high, steps=steps)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
