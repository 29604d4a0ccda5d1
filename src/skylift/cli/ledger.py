"""`skylift ledger`: what runs cost, step by step, and what of it was wasted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from skylift.cli.compare import CompareInvalid, comparison_document, comparison_of, places_of, print_comparison
from skylift.cli.ledger_output import Shown, csv_lines, document, plot, print_notes, print_table_of
from skylift.cli.output import print_json
from skylift.cli.parts import open_runtime
from skylift.cli.paths import NamedFile
from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.accounting import Accounts, Quoted, Window
    from skylift.ports.journal import RunRecord
    from skylift.pricing.catalogue import Catalogue
    from skylift.pricing.compare import Comparison
    from skylift.runtime import Runtime

Format = Literal["table", "csv", "json"]
MOST_QUOTE_BYTES = 20_000_000


class LedgerInvalid(SetupError):
    """A ledger that cannot be made as it is asked for."""

    code = "LEDGER"


@click.command()
@click.argument("run", required=False)
@click.option("--month", metavar="YYYY-MM", help="All that ended in this month (UTC).")
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@click.option("--since", metavar="DATE|TIME", help='Only what ended since: "2026-11-01", or "7d" ago.')
@click.option(
    "--by", type=click.Choice(["step", "run", "pipeline", "day"]), help="One line for each.  [default: step, or run]"
)
@click.option("--format", "form", type=click.Choice(get_args(Format)), help="[default: table]")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--plot", type=NamedFile(dir_okay=True), help="Draw it into this file: .png or .svg.")
@click.option("--artifacts", metavar="REGION|internet", help="Where artifacts lie: charge what moving them costs.")
@click.option("--own-as", metavar="REGION", help="Say what work on own machines would have cost there on demand.")
@click.option(
    "--compare", metavar="CLOUD[:REGION],…", help="What RUN would have cost elsewhere: aws,gcp,azure:westeurope."
)
@click.option("--quote", "quote_file", type=NamedFile(dir_okay=True), help="Compare with this: skylift quote --json.")
@click.option("--transitions", is_flag=True, help="Charge state transitions, as the cloud's orchestrator would.")
@click.option("--as-of", metavar="DATE", help="Prices as they were known on a day (2020-12-01), not the newest.")
def ledger(
    run: str | None,
    month: str | None,
    pipeline: str | None,
    since: str | None,
    by: Literal["step", "run", "pipeline", "day"] | None,
    form: Format | None,
    as_json: bool,
    plot: Path | None,
    artifacts: str | None,
    own_as: str | None,
    compare: str | None,
    quote_file: Path | None,
    transitions: bool,
    as_of: str | None,
) -> None:
    """What RUN cost, or all runs of a month or a pipeline: exact amounts by the catalogue, with waste named.

    Derived from the journal alone. Own machines are free, and what has no price is counted and in no amount.
    """
    from skylift.accounting import Accounts
    from skylift.pricing.ledger import Ledger
    from skylift.pricing.transfer import Moved

    form = _form(form, as_json)
    clouds = None if compare is None else _clouds(compare, run, form, as_of)
    window = _window(run, month, pipeline, since)
    by = by or ("step" if run is not None else "run")
    known = _catalogue(as_of)
    for name, region in (("--artifacts", artifacts), ("--own-as", own_as)):
        _check_region(name, region, known)
    if plot is not None:
        check_plot(plot)
    given = Ledger(known, moved=None if artifacts is None else Moved(artifacts=artifacts), own_in=own_as)
    quoted = None if quote_file is None else _quoted(quote_file, run)
    with open_runtime() as runtime:
        accounts = Accounts(runtime.reader, known, given, transitions=transitions, quoted=quoted)
        records = _records(runtime, run, window, pipeline)
        for record in records if artifacts is None else reversed(list(records)):  # tiers are used up in order of time
            accounts.add(record, by, window)
        budget = None if month is None or pipeline is not None else runtime.config.budget.month
        elsewhere = None if clouds is None else comparison_of(runtime.reader, runtime.reader.record(run or ""), clouds)
    _print(accounts, Shown(by=by, run=run, month=month, budget=budget, as_of=as_of), form, elsewhere)
    if plot is not None:
        _draw(accounts, by, plot, run or month or pipeline or "all runs")


def _catalogue(as_of: str | None) -> Catalogue:
    from skylift.pricing.catalogue import catalogue

    if as_of is None:
        return catalogue()
    from skylift.pricing.dated import Dated
    from skylift.pricing.dates import last_day

    return Dated(catalogue(), last_day(as_of, "--as-of"))


def _clouds(compare: str, run: str | None, form: Format, as_of: str | None) -> dict[str, str]:
    if as_of is not None:
        raise CompareInvalid("--compare is by today's prices, and --as-of by those of a day", hint="give one of them")
    if run is None:
        raise CompareInvalid("--compare is of one run, and none is named", hint="skylift ledger RUN --compare aws,gcp")
    if form == "csv":
        raise CompareInvalid("--compare has no CSV", hint="print it as a table or as JSON")
    return places_of(compare)


def _print(accounts: Accounts, shown: Shown, form: Format, elsewhere: Comparison | None) -> None:
    if form == "json":
        beside = {} if elsewhere is None else {"elsewhere": comparison_document(elsewhere)}
        print_json({**document(accounts, shown), **beside})
    elif form == "csv":
        for line in csv_lines(accounts, shown.by):
            click.echo(line, nl=False)
    else:
        print_table_of(accounts, shown.by)
        print_notes(accounts, shown)
        if elsewhere is not None:
            print_comparison(elsewhere)


def _draw(accounts: Accounts, by: str, file: Path, what: str) -> None:
    plot(accounts, by, file, what)
    click.echo(f"drawn: {file}", err=True)


def _records(runtime: Runtime, run: str | None, window: Window, pipeline: str | None) -> Any:
    from skylift.accounting import runs_in

    if run is not None:
        yield runtime.reader.record(run)
        return
    found: RunRecord | None = None
    for found in runs_in(runtime.journal, window, pipeline):
        yield found
    if found is None and pipeline is not None and not runtime.journal.runs(pipeline=pipeline, limit=1):
        import difflib

        names = sorted({record.pipeline for record in runtime.journal.runs(limit=1_000)})
        near = difflib.get_close_matches(pipeline, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are runs of: {', '.join(names[:8]) or 'none'}"
        raise LedgerInvalid(f"no run of a pipeline called {pipeline!r}", hint=hint)


def _quoted(file: Path, run: str | None) -> Quoted:
    from skylift.accounting import read_quote

    if run is None:
        raise LedgerInvalid(f"--quote {file} is of one run, and none is named", hint="name it: skylift ledger RUN")
    try:
        return read_quote(_quote_text(file))
    except ValueError as problem:
        raise LedgerInvalid(f"{file} is no quote: {problem}", hint="skylift quote FILE --json > quote.json") from None


def _quote_text(file: Path) -> bytes:
    """Raises ValueError for what no quote is that long, and for what has no end."""
    if file.exists() and not file.is_file():
        raise ValueError("it is no file")
    with file.open("rb") as given:
        text = given.read(MOST_QUOTE_BYTES + 1)
    if len(text) > MOST_QUOTE_BYTES:
        raise ValueError(f"it is longer than {MOST_QUOTE_BYTES} bytes")
    return text


def _form(form: Format | None, as_json: bool) -> Format:
    if as_json and form not in (None, "json"):
        raise LedgerInvalid(f"--json and --format {form} contradict each other", hint="give one of them")
    return "json" if as_json else form or "table"


def _window(run: str | None, month: str | None, pipeline: str | None, since: str | None) -> Window:
    from skylift.accounting import Window, month_window

    given = [name for name, value in (("RUN", run), ("--month", month)) if value is not None]
    if run is not None and not run.strip():
        raise LedgerInvalid("RUN is empty", hint="see the runs there are: skylift runs")
    if run is not None and (len(given) > 1 or pipeline is not None):
        raise LedgerInvalid("RUN says which run it is: --month and --pipeline choose among several", hint="drop one")
    if not given and pipeline is None and since is None:
        raise LedgerInvalid("of what?", hint="name a run, or give --month 2026-11, --pipeline NAME or --since 7d")
    if month is not None and since is not None:
        raise LedgerInvalid("--month and --since both say when", hint="give one of them")
    if month is not None:
        try:
            return month_window(month)
        except ValueError:
            raise LedgerInvalid(f"--month {month!r} is no month", hint="write it as 2026-11") from None
    return Window(begin_ms=0 if since is None else _since_ms(since))


def _since_ms(since: str) -> int:
    from skylift.units import InvalidAmount, parse_duration_ms

    try:
        at = datetime.fromisoformat(since)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except ValueError:
        pass
    try:
        return int(datetime.now(UTC).timestamp() * 1000) - parse_duration_ms(since, "--since")
    except InvalidAmount as problem:
        raise LedgerInvalid(
            f"--since {since!r} is neither a date nor a length of time", hint='write "2026-11-01" or "7d"'
        ) from problem


def _check_region(option: str, region: str | None, known: Catalogue) -> None:
    import difflib

    clouds = known.clouds if option == "--artifacts" else ("aws",)
    regions = list(dict.fromkeys(region for cloud in clouds for region in known.regions(cloud)))
    if region is None or region in regions or (option == "--artifacts" and region == "internet"):
        return
    near = difflib.get_close_matches(region, regions, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(regions[:6])}, …"
    raise LedgerInvalid(f"{option} {region!r}: the catalogue has no such region", hint=hint)


def check_plot(file: Path) -> None:
    """Before long work. Raises SetupError for a name that says no kind of picture, and without matplotlib."""
    from skylift.cli.extras import check_installed
    from skylift.cli.plots import picture_file

    picture_file(file)
    check_installed("pictures need", ("matplotlib",), "plots")
