"""`skylift spot`: when to hold a spot machine, on recorded markets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import counted, json_option, print_json, print_table
from skylift.cli.paths import NamedFile
from skylift.cli.spot_plan import plan
from skylift.cli.spot_zones import show_zones

if TYPE_CHECKING:
    from skylift.pricing.spot.evaluate import Evaluation, Result
    from skylift.pricing.spot.model import Job
    from skylift.pricing.spot.selection import Selection


@click.group()
def spot() -> None:
    """Jobs with a deadline on spot machines: what a policy saves, and what to expect."""


spot.add_command(plan)


@spot.command()
@click.option("--traces", required=True, metavar="FILE|DIR", type=NamedFile(dir_okay=True), help="Recorded markets.")
@click.option("--match", metavar="SUBSTRING", help="Only traces whose name has this in it.")
@click.option("--work", required=True, metavar="TIME", help="Hours of computing, such as 48h.")
@click.option("--deadline", required=True, metavar="TIME", help="When it must be done, from its start.")
@click.option("--restart", required=True, metavar="TIME", help="What each launch takes before there is progress.")
@click.option("--spot-ratio", required=True, metavar="NUMBER", help="The price of spot over that of on-demand.")
@click.option(
    "--starts", default=40, show_default=True, type=click.IntRange(min=1), help="Of each trace, evenly spaced."
)
@click.option("--policy", default="all", show_default=True, metavar="NAME|all", help="Which policy.")
@click.option("--zones", is_flag=True, help="The traces are zones that one job may choose among.")
@click.option("--zone-ratio", multiple=True, metavar="ZONE=NUMBER", help="The price of spot in one of the zones.")
@json_option
def evaluate(
    traces: Path,
    match: str | None,
    work: str,
    deadline: str,
    restart: str,
    spot_ratio: str,
    starts: int,
    policy: str,
    zones: bool,
    zone_ratio: tuple[str, ...],
    as_json: bool,
) -> None:
    """Replay policies on recorded spot markets: cost over on-demand only and over the optimum, and the share late.

    A policy sees only what has passed since the job's start; the optimum knows the whole market. Traces are files of
    {"metadata": {"gap_seconds": …}, "data": [0, 1, …]}, 1 where spot is available, or of run lengths.
    """
    from skylift.pricing.spot.evaluate import evaluate as replay
    from skylift.pricing.spot.model import job_of
    from skylift.pricing.spot.named import policies_named
    from skylift.pricing.spot.selection import select_traces

    if zone_ratio and not zones:
        raise click.UsageError("--zone-ratio is a price of one of several zones: give --zones too")
    if zones and policy not in ("all", "skylift"):
        raise click.UsageError(f"--zones with --policy {policy}: only Skylift's policy chooses among zones")
    policies = policies_named(policy)
    job, rounded = job_of(work, deadline, restart, spot_ratio)
    selection = select_traces(traces, match)
    if zones:
        show_zones(selection.traces, job, starts, zone_ratio, [*rounded, *selection.notes], as_json=as_json)
        return
    found = replay(selection.traces, job, starts, policies)
    notes = [*rounded, *selection.notes]
    if as_json:
        print_json(_document(found, selection, job, starts, notes))
        return
    print_table(
        ("POLICY", "COST", "95 %", "/ BEST", "LATE", "SPOT", "DEMAND", "LOST"),
        [_row(name, result) for name, result in found.policies.items()],
        empty="no policy",
    )
    click.echo(
        f"\n{_sentence(job)}: means over {counted(len(selection.traces), 'trace')}, {counted(starts, 'start')} each"
    )
    click.echo("/ BEST: over the optimum that knows the whole market; LOST: preemptions of a job")
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _row(name: str, result: Result) -> tuple[str, ...]:
    setting = "" if result.slices is None else f" ({result.slices})"
    return (
        name + setting,
        f"{result.cost:.4f}",
        f"{result.cost_ci95.low:.2f}–{result.cost_ci95.high:.2f}",  # noqa: RUF001  # a range
        f"{result.vs_omniscient:.3f}",
        f"{result.late:.1%}",
        _held(result.spot_hours),
        _held(result.on_demand_hours),
        "-" if result.preemptions is None else f"{result.preemptions:.1f}",
    )


def _held(hours: float | None) -> str:
    return "-" if hours is None else f"{hours:.1f} h"


def _sentence(job: Job) -> str:
    from skylift.pricing.spot.model import hours

    return (
        f"{hours(job.work)} of work in {hours(job.deadline)}, {hours(job.changeover)} a launch, spot at"
        f" {float(job.ratio):g} of on-demand; cost 1 is on-demand only"
    )


def _document(found: Evaluation, selection: Selection, job: Job, starts: int, notes: list[str]) -> dict[str, Any]:
    from skylift.pricing.spot.model import QUANTUM_MS

    hour = 3_600_000 / QUANTUM_MS
    return {
        "policies": found.policies,
        "traces": [trace.name for trace in selection.traces],
        "left_out": selection.left_out,
        "starts": starts,
        "configuration": {
            "work_hours": job.work / hour,
            "deadline_hours": job.deadline / hour,
            "restart_hours": job.changeover / hour,
            "spot_ratio": float(job.ratio),
            "quantum_seconds": QUANTUM_MS // 1000,
        },
        "notes": notes,
    }
