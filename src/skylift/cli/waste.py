"""`skylift waste`: what a machine that is always there costs while nobody uses it."""

from __future__ import annotations

import codecs
import io
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.idle import Percent
from skylift.cli.output import counted, duration, iso, json_option, print_json, when
from skylift.cli.paths import NamedFile
from skylift.cli.server import Duration

if TYPE_CHECKING:
    from skylift.pricing.use_log import UseLog
    from skylift.pricing.waste import Waste

REPORT = "report"
LONGEST_LINE = 65_536
MOST_LINES = 10_000_000
"""Nineteen years of minutes."""


class WasteGroup(click.Group):
    """`skylift waste LOG` is the report: what is no command is a log."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first not in self.commands and first not in ("-h", "--help"):
            args = [REPORT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=WasteGroup, subcommand_metavar="[record] [LOG…] [OPTIONS]")
def waste() -> None:
    """Money that a persistent machine costs while it is idle, from a log of its use; `record` keeps such a log.

    skylift waste LOG… --type TYPE --region REGION says what was paid for nothing, and what the same work would cost as
    steps that come and go beside a small machine that stays.
    """


@waste.command(hidden=True)
@click.argument("logs", nargs=-1, required=True, type=NamedFile(), metavar="LOG…")
@click.option("--type", "machine_type", required=True, metavar="TYPE", help="The machine: p3.2xlarge.")
@click.option("--region", help="Where it is.  [default: its cloud's usual one, such as us-east-1]")
@click.option(
    "--cloud",
    type=click.Choice(["aws", "gcp", "azure", "lambda"], case_sensitive=False),
    help="[default: the first that has such a machine]",
)
@click.option("--small", metavar="TYPE", help="The machine that stays.  [default: the cheapest, 2 vCPUs and 4 GiB]")
@click.option("--cpu", type=Percent(), default="5%", help="Use of processors or a GPU that is none.  [default: 5%]")
@click.option("--join", type=Duration(), default="10m", help="Pauses that belong to a stretch of use.  [default: 10m]")
@click.option("--plot", type=NamedFile(dir_okay=True), help="Draw both over time into this file: .png or .svg.")
@json_option
def report(
    logs: tuple[Path, ...],
    machine_type: str,
    region: str | None,
    cloud: str | None,
    small: str | None,
    cpu: float,
    join: float,
    plot: Path | None,
    as_json: bool,
) -> None:
    """What was paid while the machine was idle, and what steps beside a small machine would have cost."""
    from skylift.cli.ledger import check_plot
    from skylift.pricing.called import called
    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.use_log import read_logs
    from skylift.pricing.waste import machine, small_machine
    from skylift.pricing.waste import waste as waste_of

    if plot is not None:
        check_plot(plot)
    known = catalogue()
    named = called(machine_type, cloud, region, known)
    place = machine(named.type, named.region, known, named.cloud)
    beside = None if small is None else called(small, named.cloud, named.region, known)
    stays = small_machine(place, known) if beside is None else machine(beside.type, beside.region, known, beside.cloud)
    log = read_logs([(str(file), _lines(file)) for file in logs])
    found = waste_of(log, place, stays, known, threshold=cpu, join_ms=round(join * 1000))
    if as_json:
        print_json(_document(log, found))
    else:
        _print(log, found, cpu)
    if plot is not None:
        _draw(log, found, plot)


@waste.command()
@click.option("--log", "file", required=True, type=NamedFile(), help="The file to append to.")
@click.option("--every", type=Duration(), default="1m", help="How often there is a line.  [default: 1m]")
@click.option("--count", type=click.IntRange(1), help="End after so many lines.  [default: go on until a signal]")
@click.option("--rotate", metavar="SIZE", default="10 MiB", show_default=True, help="Begin a new file beyond it.")
def record(file: Path, every: float, count: int | None, rotate: str) -> None:
    """Append a line of JSON with the use of processors, memory and GPUs to a file, every minute, until SIGTERM or
    Ctrl-C. Older files are FILE.1 to FILE.5; the report takes several."""
    from skylift.box.recording import Recorder
    from skylift.units import parse_bytes

    recorder = Recorder(file, every_s=every, most_bytes=parse_bytes(rotate, "--rotate"), say=_warn)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    click.echo(f"recording into {file} every {duration(every * 1000)}", err=True)
    click.echo(f"{counted(recorder.run(stopping, count), 'line')} written", err=True)


def _warn(line: str) -> None:
    click.echo(f"warning: {line}", err=True)


def _lines(file: Path) -> Iterator[str]:
    """Pipes are logs, too; devices have no end. Of a line that is none only the beginning is looked at."""
    from skylift.pricing.use_log import UseLogInvalid

    if file.is_char_device() or file.is_block_device():
        raise UseLogInvalid(f"{file} is a device, no log", hint="name a file that skylift waste record has written")
    with file.open("rb") as raw, io.TextIOWrapper(raw, encoding=_encoding(raw.peek(2)), errors="replace") as text:
        for number, line in enumerate(iter(lambda: text.readline(LONGEST_LINE), ""), 1):
            if number > MOST_LINES:
                raise UseLogInvalid(f"{file} has more than {MOST_LINES} lines", hint="give a part of it")
            yield line
            while len(line) == LONGEST_LINE and not line.endswith("\n"):
                line = text.readline(LONGEST_LINE)


def _encoding(begin: bytes) -> str:
    """Some shells of Windows write UTF-16, with a mark at the beginning that says so."""
    return "utf-16" if begin[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"


def _print(log: UseLog, found: Waste, threshold: float) -> None:
    from skylift.pricing.bill import usd

    share = found.idle / found.paid if found.paid else 0
    click.echo(f"{found.type} in {found.region}, {usd(found.hour)} per hour")
    first, last = log.samples[0].at_ms, log.samples[-1].at_ms
    click.echo(
        f"log: {when(first)} to {when(last)}, {duration(found.covered_ms)} in {counted(len(log.samples), 'sample')}"
    )
    busy = float(found.busy_ms / found.covered_ms) if found.covered_ms else 0.0
    stretches = f"{duration(found.busy_ms)} ({busy:.0%}) in {counted(len(found.stretches), 'stretch')}"
    click.echo(f"used: {stretches.replace('stretchs', 'stretches')}; processors {found.mean_cpu:.0f} % on average")
    click.echo()
    click.echo(f"paid                     {usd(found.paid)}")
    click.echo(f"  while idle             {usd(found.idle)} ({float(share):.0%}): use of at most {threshold:g} %")
    click.echo(f"as steps                 {usd(found.steps)}: {found.type}, {duration(found.startup_ms)} to start each")
    click.echo(f"  and a {found.small:<17}{usd(found.small_cost)}: it stays")
    click.echo(f"together                 {usd(found.ephemeral)}")
    less = "less" if found.saved >= 0 else "more: keep the machine"
    ratio = float(abs(found.saved) / found.paid) if found.paid else 0.0
    click.echo(f"that is                  {usd(abs(found.saved))} ({ratio:.0%}) {less}")
    for line in (*_formulas(), *_troubles(log)):
        click.echo(line, err=True)
    for price in found.prices:
        click.echo(f"price: {price.what}: ${price.usd} per {price.unit}, {price.source}", err=True)


def _formulas() -> Iterator[str]:
    from skylift.pricing.waste import FORMULAS

    yield ""
    for name, words in FORMULAS.items():
        yield f"{name} = {words}"


def _troubles(log: UseLog) -> Iterator[str]:
    """What of the log is not in the figures."""
    if log.gaps_ms:
        lost = duration(sum(length for _, length in log.gaps_ms))
        first = when(log.gaps_ms[0][0])
        yield f"{counted(len(log.gaps_ms), 'gap')} of {lost} in all, the first at {first}: not counted"
    if log.bad_count >= len(log.samples):
        yield "most of the log cannot be used: the figures are of the rest"
    if log.bad_count:
        yield f"{counted(log.bad_count, 'line')} cannot be used: {'; '.join(log.bad)}"
    if log.unordered:
        yield f"{counted(log.unordered, 'line')} older than the one before: put into order"
    if log.repeated:
        yield f"{counted(log.repeated, 'line')} of a moment that was told before: the last one counts"
    if log.no_zone:
        yield f"{counted(log.no_zone, 'time')} without a time zone: taken to be UTC"
    if log.looks_like_shares:
        yield "no use is above 1 %: shares of 1 are to be written as percent"


def _document(log: UseLog, found: Waste) -> dict[str, Any]:
    from skylift.pricing.places import whole_micro
    from skylift.pricing.waste import FORMULAS

    amounts = {
        name: whole_micro(getattr(found, name))
        for name in ("hour", "small_hour", "paid", "idle", "steps", "small_cost", "ephemeral", "saved")
    }
    return {
        "type": found.type,
        "region": found.region,
        "cloud": found.cloud,
        "small": found.small,
        "from": iso(log.samples[0].at_ms),
        "to": iso(log.samples[-1].at_ms),
        "samples": len(log.samples),
        "interval_s": log.interval_ms / 1000,
        "covered_ms": found.covered_ms,
        "busy_ms": found.busy_ms,
        "idle_ms": found.idle_ms,
        **{f"{name}_usd_micro": amount for name, amount in amounts.items()},
        "startup_ms": found.startup_ms,
        "stretches": [
            {
                "from": iso(one.begin_ms),
                "to": iso(one.end_ms),
                "gaps_ms": one.gaps_ms,
                "cost_usd_micro": whole_micro(one.cost),
            }
            for one in found.stretches
        ],
        "mean_cpu_percent": round(found.mean_cpu, 3),
        "mean_gpu_percent": None if found.mean_gpu is None else round(found.mean_gpu, 3),
        "peak_memory_mib": found.peak_memory_mib,
        "gaps": [{"from": iso(at), "length_ms": length} for at, length in log.gaps_ms],
        "bad_lines": log.bad_count,
        "bad": log.bad,
        "unordered_lines": log.unordered,
        "repeated_lines": log.repeated,
        "lines_without_time_zone": log.no_zone,
        "looks_like_shares": log.looks_like_shares,
        "formulas": FORMULAS,
        "prices": found.prices,
    }


def _draw(log: UseLog, found: Waste, file: Path) -> None:
    from skylift.cli.plots import lines
    from skylift.pricing.waste import over_time

    lines(over_time(log, found), file, title=f"{found.type} in {found.region}", x="days", y="spent (USD)")
    click.echo(f"drawn: {file}", err=True)
