"""`skylift spot plan`: what to expect of a job with a deadline on spot machines, in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import counted, json_option, print_json
from skylift.cli.paths import NamedFile

if TYPE_CHECKING:
    from skylift.pricing.spot.model import Job, Run
    from skylift.pricing.spot.outlook import Outlook
    from skylift.pricing.spot.price import Price


@click.command()
@click.option("--work", required=True, metavar="TIME", help="Hours of computing, such as 48h.")
@click.option("--deadline", required=True, metavar="TIME", help="When it must be done, from its start.")
@click.option("--restart", default="6m", show_default=True, metavar="TIME", help="What each launch takes.")
@click.option("--spot-ratio", metavar="NUMBER", help="The price of spot over that of on-demand.")
@click.option("--type", "type_", metavar="NAME", help="A machine whose prices the catalogue has, instead of a ratio.")
@click.option("--region", metavar="NAME", help="Of that machine.  [default: its cloud's usual one, such as us-east-1]")
@click.option(
    "--cloud",
    type=click.Choice(["aws", "gcp", "azure", "lambda"], case_sensitive=False),
    help="Of that machine.  [default: the first that has it]",
)
@click.option("--traces", metavar="FILE|DIR", type=NamedFile(dir_okay=True), help="Recorded markets to play.")
@click.option("--match", metavar="SUBSTRING", help="Only traces whose name has this in it.")
@click.option("--markets", default=300, show_default=True, type=click.IntRange(1, 100_000), help="How many are played.")
@click.option("--seed", default=2024, show_default=True, type=int, help="Of the markets drawn without --traces.")
@json_option
def plan(
    work: str,
    deadline: str,
    restart: str,
    spot_ratio: str | None,
    type_: str | None,
    region: str | None,
    cloud: str | None,
    traces: Path | None,
    match: str | None,
    markets: int,
    seed: int,
    as_json: bool,
) -> None:
    """What to expect of a job with a deadline on spot machines: the saving, preemptions, and on-demand as a fallback.

    Many markets are played through with Skylift's policy: those of --traces, else markets drawn from what it believes
    of them beforehand.
    """
    from skylift.pricing.spot.model import job_of
    from skylift.pricing.spot.outlook import outlook
    from skylift.pricing.spot.skylift_policy import skylift

    ratio, price = _ratio(spot_ratio, type_, region, cloud)
    job, notes = job_of(work, deadline, restart, ratio)
    windows, origin, more = _windows(job, traces, match, markets, seed)
    found = outlook(job, windows, skylift)
    notes = [*notes, *more]
    if as_json:
        print_json(_document(found, job, price, origin, notes))
        return
    for line in _words(found, job, price, origin):
        click.echo(line)
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _ratio(
    spot_ratio: str | None, type_: str | None, region: str | None, cloud: str | None
) -> tuple[str, Price | None]:
    from skylift.pricing.called import called
    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.spot.price import RatioUnknown, price_of

    if spot_ratio is not None and type_ is not None:
        raise RatioUnknown(
            f"both --spot-ratio {spot_ratio} and --type {type_} are given",
            hint="give one: a type has a ratio of its own",
        )
    if type_ is not None:
        machine = called(type_, cloud, region, catalogue())
        price = price_of(machine.type, machine.region, machine.cloud, catalogue())
        return str(price.ratio), price
    if spot_ratio is None:
        raise RatioUnknown(
            "what does spot cost? neither --spot-ratio nor --type is given",
            hint="give --type p3.2xlarge --region us-west-2 for catalogue prices, or --spot-ratio 0.3",
        )
    return spot_ratio, None


def _windows(
    job: Job, traces: Path | None, match: str | None, markets: int, seed: int
) -> tuple[list[list[Run]], str, list[str]]:
    """The markets, in words where they are from, and notes."""
    from skylift.pricing.spot.market import shipped_prior
    from skylift.pricing.spot.outlook import believed
    from skylift.pricing.spot.selection import select_traces
    from skylift.pricing.spot.traces import TraceInvalid
    from skylift.pricing.spot.windows import windows

    if traces is None:
        if match is not None:
            raise TraceInvalid(f"--match {match} without --traces", hint="name the file or folder that has the traces")
        prior = shipped_prior()
        text = f"{counted(markets, 'market')} drawn from {counted(len(prior.kinds), 'kind')} of market that the policy"
        return believed(job, prior, markets, seed), f"{text} expects, seed {seed}", []
    selection = select_traces(traces, match)
    each = max(1, -(-markets // len(selection.traces)))
    found = [window for trace in selection.traces for window in windows(trace, job, each)]
    return (
        found,
        f"{counted(each, 'start')} in each of {counted(len(selection.traces), 'recorded market')}",
        selection.notes,
    )


def _words(found: Outlook, job: Job, price: Price | None, origin: str) -> list[str]:
    from skylift.pricing.spot.model import hours

    last = f" for the last {found.fallback_hours:.1f} h" if found.fallback_chance else ""
    lines = [
        f"{_saved(found.saving)}, {counted(round(found.preemptions), 'preemption')},"
        f" {_share(found.fallback_chance)} chance of falling back to on-demand{last}",
        f"  job: {hours(job.work)} of work in {hours(job.deadline)}, {hours(job.changeover)} a launch, spot at"
        f" {float(job.ratio):.3g} of on-demand",
        f"  saving: {_saved(found.saving)} on average; nine in ten between {_saved(1 - found.cost_high)} and"
        f" {_saved(1 - found.cost_low)}",
        f"  preemptions: {found.preemptions_low} to {found.preemptions_high} in nine of ten",
        f"  hours: {found.spot_hours:.1f} on spot, {found.on_demand_hours:.1f} on on-demand, {found.idle_hours:.1f}"
        f" waiting; {_share(found.on_demand_chance)} chance of using on-demand at all",
        f"  done after {found.hours:.1f} h on average, {found.hours_high:.1f} h at 95 %; late: {_share(found.late)}",
    ]
    if price is not None:
        whole = float(price.on_demand) * (job.work + job.changeover) / 30
        about = " (spot is an estimate)" if price.estimate else ""
        lines.append(
            f"  cost: {found.cost * whole:.2f} USD against {whole:.2f} USD on on-demand only; {price.type} in"
            f" {price.region} at {price.on_demand:f} and {price.spot:f} USD an hour, as of {price.as_of}{about}"
        )
    return [*lines, f"  from: {origin}"]


def _saved(share: float) -> str:
    return f"{share:.0%} cheaper" if share >= 0 else f"{-share:.0%} dearer"


def _share(value: float) -> str:
    """With enough digits that a small chance is not none."""
    return f"{value:.1%}" if value < 0.1 else f"{value:.0%}"


def _document(found: Outlook, job: Job, price: Price | None, origin: str, notes: list[str]) -> dict[str, Any]:
    return {
        "expected": {"saving": found.saving, **{name: getattr(found, name) for name in found.__struct_fields__}},
        "job": {
            "work_hours": job.work / 30,
            "deadline_hours": job.deadline / 30,
            "restart_hours": job.changeover / 30,
            "spot_ratio": float(job.ratio),
        },
        "price": price,
        "from": origin,
        "notes": notes,
    }
