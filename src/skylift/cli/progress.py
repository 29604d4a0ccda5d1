"""Live progress of a run: bars and lit-up states on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import click

from skylift.asl.status import ENDED
from skylift.cli.output import duration, shorten
from skylift.engine.views import Delivery, Fold, Step
from skylift.units import dollars

if TYPE_CHECKING:
    from skylift.asl.events import BudgetReached
    from skylift.ports.journal import RunRecord
    from skylift.runtime import Runtime

REFRESH_S = 0.1
QUIET_CHECK_S = 2.0
CHECK_S = 0.3
"""How often to look whether the run can still go on."""
REASONS_S = 2.0
"""How often to ask the backends why something waits."""
QUIET_S = 2.0
"""How long a step may take before a person wants to know how long."""
MOST_REASONS = 3
"""Told at once: a wide map waits for one reason a thousand times."""


class Display(Protocol):
    """Shows the fold of a run whenever it has changed."""

    def update(self, fold: Fold) -> None: ...

    def waits(self, reasons: dict[str, str]) -> None:
        """Say why attempts wait, by label."""
        ...

    def close(self) -> None: ...


def follow(runtime: Runtime, record: RunRecord, *, quiet: bool, interrupted: threading.Event) -> RunRecord:
    """Wait until the run has ended or paused, showing how it goes on. Returns its record.

    Raises RunInterrupted when the process that drives it dies, InternalError when ours cannot go on with it.
    """
    trouble = _Trouble(runtime)
    if quiet:
        return _wait(runtime, record, trouble, interrupted)
    watch = runtime.watch(record)
    display: Display = _Bars() if sys.stderr.isatty() else _Lines()
    checked = asked = time.monotonic()
    try:
        while True:
            stopped = watch.poll(REFRESH_S)
            display.update(watch.fold)
            if time.monotonic() - asked > REASONS_S:
                asked = time.monotonic()
                display.waits(runtime.reasons(record))
            if stopped is not None and (stopped.status in ENDED or runtime.is_quiet(stopped)):
                return stopped
            if time.monotonic() - checked > CHECK_S:
                checked = time.monotonic()
                trouble.tell()
                runtime.check(runtime.reader.record(record.run_id))
    finally:
        watch.close()
        display.close()


def _wait(runtime: Runtime, record: RunRecord, trouble: _Trouble, interrupted: threading.Event) -> RunRecord:
    while True:
        try:
            return runtime.wait(record.run_id, timeout_s=QUIET_CHECK_S, pausing=interrupted)
        except TimeoutError:
            trouble.tell()


class _Trouble:
    """Says once that the journal cannot be used, and once that it can again: the engine tries until then."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._told = False

    def tell(self) -> None:
        problem = self._runtime.trouble
        if problem is not None and not self._told:
            click.echo(f"warning[{problem.code}]: {problem.message}; trying again until it works", err=True)
            if problem.hint:
                click.echo(f"  help: {problem.hint}", err=True)
        if problem is None and self._told:
            click.echo("the journal works again", err=True)
        self._told = problem is not None


class _Lines:
    """One line when a step begins and one when it ends; a line now and then for long maps; every print."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._ended: dict[str, int] = {}
        self._printed = 0
        self._lost = 0
        self._alerts = 0
        self._said: set[str] = set()
        self._last_count = time.monotonic()

    def update(self, fold: Fold) -> None:
        for step in shown_steps(fold):
            if step.name not in self._begun:
                self._begun.add(step.name)
                click.echo(f"{step.name}: started", err=True)
            done = step.entered == step.exited
            if done and self._ended.get(step.name) != step.exited:
                self._ended[step.name] = step.exited
                if step.exited == 1 or step.type in ("Map", "Parallel"):
                    click.echo(f"{step.name}: done{_detail(step)}", err=True)
        self._counts(fold)
        for delivery in fold.lost[self._lost :]:
            click.echo(given_again(delivery), err=True)
        self._lost = len(fold.lost)
        for alert in fold.alerts[self._alerts :]:
            click.echo(budget_line(alert), err=True)
        self._alerts = len(fold.alerts)
        for _, text in fold.prints[self._printed :]:
            click.echo(f"| {text}", err=True)
        self._printed = len(fold.prints)

    def waits(self, reasons: dict[str, str]) -> None:
        for text, labels in by_reason(reasons).items():
            if text not in self._said:
                click.echo(f"{shortly(labels)}: {text}", err=True)
        self._said = set(by_reason(reasons))

    def _counts(self, fold: Fold) -> None:
        if time.monotonic() - self._last_count < 5:
            return
        self._last_count = time.monotonic()
        for step in fold.steps.values():
            if step.type == "Map" and step.entered != step.exited:
                click.echo(f"{step.name}: {step.items_done}/{step.items or '?'} items", err=True)

    def close(self) -> None:
        pass


class _Bars:
    """A table of steps that redraws itself: a spinner while a step runs, a bar for a map, a mark when it is done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=10, transient=False)
        self._live.start()
        self._printed = 0
        self._lost = 0
        self._alerts = 0
        self._reasons: dict[str, list[str]] = {}
        self._spinners: dict[str, Any] = {}
        self._fold: Fold | None = None
        self._clock = clock
        self._since: dict[str, float] = {}
        """When a step that runs was first seen to."""

    def update(self, fold: Fold) -> None:
        for _, text in fold.prints[self._printed :]:
            self._live.console.print(f"│ {text}", markup=False, highlight=False)
        self._printed = len(fold.prints)
        for delivery in fold.lost[self._lost :]:
            self._live.console.print(given_again(delivery), markup=False, highlight=False, style="yellow")
        self._lost = len(fold.lost)
        for alert in fold.alerts[self._alerts :]:
            self._live.console.print(budget_line(alert), markup=False, highlight=False, style="yellow")
        self._alerts = len(fold.alerts)
        self._fold = fold
        self._live.update(self._table(fold))

    def close(self) -> None:
        """What stays on the screen no longer waits for anything, nor turns."""
        self._reasons = {}
        if self._fold is not None:
            self._live.update(self._table(self._fold, over=True))
        self._live.stop()

    def _table(self, fold: Fold, *, over: bool = False) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        rows = max(3, self._console.size.height - 3)
        for step in shown_steps(fold)[-rows:]:
            detail = Text(_detail(step, "" if over else self._so_far(step)), style="dim")
            table.add_row(self._mark(step, over=over), Text(step.name), self._bar(step), detail)
        for text, labels in list(self._reasons.items())[:MOST_REASONS]:
            table.add_row("", Text(shortly(labels), style="dim"), "", Text(text, style="yellow"))
        return table

    def waits(self, reasons: dict[str, str]) -> None:
        self._reasons = by_reason(reasons)

    def _so_far(self, step: Step) -> str:
        """How long a step goes on by now; nothing for the quick ones."""
        if step.entered == step.exited:
            self._since.pop(step.name, None)
            return ""
        spent = self._clock() - self._since.setdefault(step.name, self._clock())
        return f"{duration(int(spent) * 1000)} so far" if spent >= QUIET_S else ""

    def _mark(self, step: Step, *, over: bool) -> Any:
        from rich.spinner import Spinner
        from rich.text import Text

        if step.entered > step.exited and over:
            return Text("✗", style="red") if step.failed else Text("-")
        if step.entered > step.exited:
            return self._spinners.setdefault(step.name, Spinner("dots", style="cyan"))
        return Text("!", style="yellow") if step.caught else Text("✓", style="green")

    def _bar(self, step: Step) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        if step.type != "Map" or not step.items:
            return Text("")
        return ProgressBar(total=step.items, completed=step.items_done, width=30)


def by_reason(reasons: dict[str, str]) -> dict[str, list[str]]:
    """Labels by reason, the most frequent first."""
    found: dict[str, list[str]] = {}
    for name, text in reasons.items():
        found.setdefault(text, []).append(name)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def shortly(labels: list[str]) -> str:
    """`train[3]`, or `train[3] and 12 more`."""
    return labels[0] if len(labels) == 1 else f"{labels[0]} and {len(labels) - 1} more"


def shown_steps(fold: Fold) -> list[Step]:
    """The steps that do or await something; the graph's own bookkeeping is left out."""
    return [step for step in fold.steps.values() if step.type not in ("Pass", "Choice", "Succeed", "Fail")]


def given_again(delivery: Delivery) -> str:
    """One line for an attempt that goes on somewhere else, or with more."""
    said = {
        "lost": "lost its worker",
        "preempted": "was preempted",
        "moved": "was taken back",
        "out-of-memory": "ran out of memory",
    }
    return f"{delivery.label}: {said.get(delivery.reason, delivery.reason)}, goes on ({shorten(delivery.cause, 200)})"


def budget_line(alert: BudgetReached) -> str:
    """`budget: 80 % of $5.00 is spent ($4.10)`."""
    month = f"budget of {alert.month}"
    whose = {"run": "budget", "month": month, "rehearsal": f"{month}, rehearsals"}[alert.scope]
    share = f"{float(alert.share) * 100:g} %"
    running = f", {dollars(alert.running_usd_micro)} of it estimated" if alert.running_usd_micro else ""
    return f"{whose}: {share} of {dollars(alert.limit_usd_micro)} is spent ({dollars(alert.spent_usd_micro)}{running})"


def lost_detail(step: Step) -> list[str]:
    """`2 preempted`, `1 out of memory`."""
    return [f"{count} {reason.replace('-', ' ')}" for reason, count in step.lost.items()]


def _detail(step: Step, so_far: str = "") -> str:
    parts = []
    if step.type == "Map" and step.items is not None:
        parts.append(f"{step.items_done}/{step.items} items")
    if step.attempts and (step.busy_ms or step.entered == step.exited):
        parts.append(duration(step.busy_ms))
    if step.cached:
        parts.append(f"{step.cached} from the cache")
    parts += lost_detail(step)
    if step.failed:
        parts.append(f"{step.failed} failed ({step.error})")
    if so_far:
        parts.append(so_far)
    return f" ({', '.join(parts)})" if parts else ""
