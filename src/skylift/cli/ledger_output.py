"""How a ledger is shown: table, CSV, JSON, picture. Rounding happens here, once, and nowhere before."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from skylift.cli.output import counted, duration, print_table, size

if TYPE_CHECKING:
    from skylift.accounting import Accounts, Quoted
    from skylift.asl.events import BudgetReached
    from skylift.pricing.ledger import Line

WORDS = {
    "startup": "start-up",
    "idle": "idle",
    "failed": "failed attempts",
    "lost": "lost to preemption",
    "transfer": "transfer",
    "memory": "over-sized memory",
    "given_up": "given up",
}
QUOTE = '"'
PARTS = ("work", "requests", *WORDS)
_RISKY = tuple("=+-@\t\r\n|%＝＋－＠")  # noqa: RUF001  # wide ones are meant
"""With one of these at its beginning a cell is a formula to some spreadsheet, whatever its quotes."""
_QUOTED = frozenset(',;"\t\r\n|')
"""With one of these in it a cell is quoted: some spreadsheets part cells there."""
_COUNTS = (
    "runs", "attempts", "deliveries", "preemptions", "lost", "out_of_memory", "failed", "unpriced", "free", "requests",
    "in_bytes", "out_bytes",
)  # fmt: skip


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger was asked for."""

    by: str
    run: str | None = None
    month: str | None = None
    budget: str | float | None = None
    """Of that month, where all of it is shown."""
    as_of: str | None = None

    def alerts(self, accounts: Accounts) -> list[BudgetReached]:
        """Those of what is shown: a run's own budget is its own business."""
        if self.month is not None:
            given = (one for one in accounts.alerts if one.month == self.month)
            return sorted(given, key=lambda one: (one.scope, one.spent_usd_micro))
        return accounts.alerts if self.run is not None else []


def print_table_of(accounts: Accounts, by: str) -> None:
    """Lines, and the total below them."""
    from skylift.pricing.bill import usd

    given = accounts.ledger
    words = ("work", *WORDS.values(), "requests")
    head = (by.upper(), "ATTEMPTS", "LOST", "RAN", "COST", *(word.upper() for word in words))
    rows = [_row(line) for line in (*given.lines.values(), given.total)]
    print_table(head, rows if given.lines else [], empty="nothing has ended: there is nothing to charge")
    asked = given.total.own_on_demand
    if asked or given.total.own_unknown:
        click.echo(f"\nown machines, on demand: {usd(asked)}", err=True)
        if given.total.own_unknown:
            click.echo(f"  {counted(given.total.own_unknown, 'delivery')} of which nothing fits or is known", err=True)


def _row(line: Line) -> tuple[str, ...]:
    from skylift.pricing.bill import usd

    own = line.free and line.free == line.deliveries and not line.cost
    amounts = [usd(getattr(line.parts, name)) for name in ("work", *WORDS, "requests")]  # all: they add up to the cost
    return (
        "".join(sign if sign.isprintable() else " " for sign in line.name),
        str(line.attempts),
        str(line.preemptions + line.lost),
        duration(line.run_ms),
        "own machine" if own else usd(line.cost),
        *(("-",) * len(amounts) if own else amounts),
    )


def print_notes(accounts: Accounts, shown: Shown) -> None:
    """What the amounts rest on, and what is not in them."""
    from skylift.pricing.bill import usd

    total = accounts.ledger.total
    for price in total.prices:
        click.echo(f"price: {price.what}: ${price.usd} per {price.unit}, {price.source}", err=True)
    if shown.as_of is not None:
        click.echo(f"prices as they were known on {shown.as_of}", err=True)
    if total.rehearsed:
        click.echo(
            f"{usd(total.rehearsed)} of it in rehearsals: nobody is sent a bill for the simulated cloud", err=True
        )
    if total.unpriced:
        click.echo(f"{total.unpriced} without a price: in no amount", err=True)
    if total.unpriced_bytes:
        click.echo(f"{size(total.unpriced_bytes)} moved where there is no price for it: in no amount", err=True)
    if accounts.going_on:
        click.echo(f"{counted(accounts.going_on, 'attempt')} not ended: in no amount yet", err=True)
    if accounts.cancelled:
        click.echo(f"{counted(accounts.cancelled, 'attempt')} given up, of which nobody told what they used", err=True)
    if accounts.quoted is not None:
        _print_quote(accounts, accounts.quoted)
    _print_budget(accounts, shown)


def _print_budget(accounts: Accounts, shown: Shown) -> None:
    from skylift.cli.progress import budget_line
    from skylift.pricing.bill import usd
    from skylift.units import dollars, parse_usd

    for alert in shown.alerts(accounts):
        click.echo(budget_line(alert), err=True)
    if shown.budget is not None:
        spent = accounts.ledger.total.cost - accounts.ledger.total.rehearsed
        limit = dollars(round(Fraction(parse_usd(shown.budget, "month")) * 1_000_000))
        click.echo(f"budget of {shown.month}: {usd(spent)} of {limit} is spent", err=True)


def _print_quote(accounts: Accounts, quoted: Quoted) -> None:
    """What was expected beside what it cost: in all, and of each step that has a line."""
    from skylift.pricing.bill import usd

    cost = accounts.ledger.total.cost
    expected = "not known" if quoted.expected is None else _usd(quoted.expected)
    ends = [] if quoted.low is None else [f"at least {_usd(quoted.low)}"]
    ends += [] if quoted.high is None else [f"at most {_usd(quoted.high)}"]
    span = f" (likely {', '.join(ends)})" if ends else ""
    ratio = f", {float(cost) / quoted.expected:.0%} of it" if quoted.expected else ""
    click.echo(f"quoted before: {expected}{span}; it cost {usd(cost)}{ratio}", err=True)
    for name, line in accounts.ledger.lines.items():
        if name in quoted.steps:
            click.echo(f"  {name}: quoted {_usd(quoted.steps[name])}, cost {usd(line.cost)}", err=True)


def _usd(micro: float) -> str:
    from skylift.units import dollars

    return dollars(round(micro))


def document(accounts: Accounts, shown: Shown) -> dict[str, Any]:
    """For programs: amounts in whole micro-dollars, each rounded once from an exact one."""
    from skylift.pricing.charge import FORMULAS

    given = accounts.ledger
    return {
        "by": shown.by,
        "as_of": shown.as_of,
        "runs": accounts.runs,
        "lines": [_line(line) for line in given.lines.values()],
        "total": _line(given.total),
        "cancelled_attempts": accounts.cancelled,
        "open_attempts": accounts.going_on,
        "quoted_usd_micro": accounts.quoted,
        "alerts": shown.alerts(accounts),
        "formulas": FORMULAS,
    }


def _line(line: Line) -> dict[str, Any]:
    from skylift.pricing.places import whole_micro

    return {
        "name": line.name,
        **{name: getattr(line, name) for name in (*_COUNTS, "given_up")},
        "startup_ms": round(line.startup_ms, 3),
        "run_ms": round(line.run_ms, 3),
        "memory_gib_seconds": round(line.gib_seconds, 6),
        "unpriced_bytes": line.unpriced_bytes,
        "cost_usd_micro": whole_micro(line.cost),
        "cost_usd_micro_exact": str(line.cost),
        "rehearsed_usd_micro": whole_micro(line.rehearsed),
        "waste_usd_micro": whole_micro(line.waste),
        "parts_usd_micro": {name: whole_micro(getattr(line.parts, name)) for name in PARTS},
        "parts_usd_micro_exact": {name: str(getattr(line.parts, name)) for name in PARTS},
        "on_demand_usd_micro": whole_micro(line.on_demand),
        "own_on_demand_usd_micro": whole_micro(line.own_on_demand),
        "own_unknown": line.own_unknown,
        "places": line.places,
        "prices": line.prices,
    }


def csv_lines(accounts: Accounts, by: str) -> Iterator[str]:
    """A head, a line each, and the total; micro-dollars as decimals of a dollar."""
    from skylift.pricing.places import whole_micro

    names = (*PARTS, "rehearsed")  # what came later stands last: columns keep their places
    yield _csv([by, *_COUNTS, "startup_ms", "run_ms", "cost_usd", *(f"{name}_usd" for name in names), "given_up"])
    for line in (*accounts.ledger.lines.values(), accounts.ledger.total):
        amounts = [line.cost, *(getattr(line.parts, name) for name in PARTS), line.rehearsed]
        yield _csv(
            [
                safe_cell(line.name),
                *(getattr(line, name) for name in _COUNTS),
                round(line.startup_ms),
                round(line.run_ms),
                *(_decimal(whole_micro(amount)) for amount in amounts),
                line.given_up,
            ]
        )


def _decimal(micro: int) -> str:
    return f"{micro // 1_000_000}.{micro % 1_000_000:06d}"


def safe_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula: a quote before what could begin one, also behind white space."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_RISKY) else text


def _csv(cells: list[Any]) -> str:
    texts = [str(cell) for cell in cells]
    quoted = (f'"{text.replace(QUOTE, QUOTE * 2)}"' if _QUOTED.intersection(text) else text for text in texts)
    return f"{','.join(quoted)}\n"


def plot(accounts: Accounts, by: str, file: Path, what: str) -> None:
    """A bar for each line, waste upon work."""
    from skylift.cli.plots import stacked

    lines = list(accounts.ledger.lines.values())
    layers = {"work": "work", "requests": "requests", **WORDS}
    amounts = {word: [float(getattr(line.parts, name)) / 1e6 for line in lines] for name, word in layers.items()}
    shown = {word: row for word, row in amounts.items() if any(row)} or {"work": amounts["work"]}
    stacked([line.name for line in lines], shown, file, title=f"Cost of {what} by {by}")
