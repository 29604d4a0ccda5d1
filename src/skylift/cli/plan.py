"""`skylift plan`: for each step the offer with which a run costs least, or ends soonest, within limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skylift.cli.asking import answer_options, answers_of, project_of, subject_of
from skylift.cli.output import json_option, print_json
from skylift.cli.parts import open_runtime
from skylift.cli.paths import NamedFile
from skylift.cli.pipeline_command import Loaded, PipelineCommand
from skylift.cli.plan_output import document, draw, print_impossible, print_plan

if TYPE_CHECKING:
    from skylift.advice.narrowing import Asked
    from skylift.placement.plan import Plan
    from skylift.pricing.catalogue import Catalogue
    from skylift.quoting.planning import Planned
    from skylift.quoting.prepare import Subject


@click.command(cls=PipelineCommand)
@click.argument("target", metavar="FILE[:PIPELINE]")
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter whose name is an option here."
)
@click.option("--input", "input_text", metavar="JSON|@FILE|-", help="The whole input as JSON.")
@click.option("--deadline", metavar="TIME", help='The longest that the run may take: "2h".')
@click.option("--budget", metavar="USD", help="The most that it may cost.")
@click.option("--objective", type=click.Choice(["cost", "time"]), default="cost", help="What to make least.")
@click.option(
    "--confidence", metavar="P", default="0.9", show_default=True, help="With which probability limits are kept."
)
@click.option("--regions", multiple=True, metavar="PATTERN", help="Where to buy: 'eu-*'. May be given several times.")
@click.option("--clouds", multiple=True, metavar="CLOUD", help="Of whom: aws, gcp, azure, lambda. Default: aws.")
@click.option("--services", multiple=True, metavar="CLASS", help="function, container, batch, managed-training.")
@click.option("--markets", multiple=True, metavar="MARKET", help="on-demand, spot.")
@click.option("--types", multiple=True, metavar="PATTERN", help="Machines to choose from: 'g4dn.*'.")
@click.option(
    "--on",
    "backends",
    multiple=True,
    metavar="BACKEND",
    help="Who may run steps: simulated, which buys, and one's own (process, container, batch, ray).",
)
@click.option(
    "--data-at", metavar="CLOUD:REGION", help="Where the inputs of the first steps lie. Default: on your own machine."
)
@click.option(
    "--uplink", metavar="SPEED", help="How fast data goes from your own machines to a cloud and back: '200 Mbit/s'."
)
@click.option(
    "--constraints",
    type=NamedFile(),
    help="What it must keep to, as `skylift advise --constraints` writes it.",
)
@click.option("--out", type=NamedFile(), help="Write the plan to this file.")
@click.option("--plot", type=NamedFile(), help="Draw the front: .svg or .png.")
@click.option("--explain", is_flag=True, help="Show every part of each amount, with its formula.")
@answer_options
@json_option
@click.pass_context
def plan(
    ctx: click.Context,
    /,
    target: str,
    params: tuple[str, ...],
    input_text: str | None,
    deadline: str | None,
    budget: str | None,
    objective: str,
    confidence: str,
    regions: tuple[str, ...],
    clouds: tuple[str, ...],
    services: tuple[str, ...],
    markets: tuple[str, ...],
    types: tuple[str, ...],
    backends: tuple[str, ...],
    data_at: str | None,
    uplink: str | None,
    constraints: Path | None,
    out: Path | None,
    plot: Path | None,
    explain: bool,
    as_json: bool,
    **said: tuple[str, ...],
) -> int:
    """Choose an offer for each step of a pipeline, so that all of it costs least within a deadline, or ends soonest
    within a budget. Nothing is started: skylift run --plan runs what --out writes.

    Exit status 1 when no plan keeps the limits; then the nearest that there are are shown.
    """
    from skylift.advice.narrowing import Asked
    from skylift.quoting.ordering import order_of
    from skylift.quoting.planning import plan as planned

    loaded: Loaded = ctx.obj
    answers = answers_of(said)
    if plot is not None:
        from skylift.cli.plots import picture_file

        picture_file(plot)
    if out is not None:
        _check_out(out)
    with open_runtime() as runtime:
        subject = subject_of(runtime, loaded, target, params, input_text)
        project = project_of(runtime, subject.pipeline, answers)
        asked = Asked(clouds=clouds, regions=regions, services=services, markets=markets, backends=backends)
        if constraints is not None:
            asked = _narrowed(asked, constraints, project.catalogue)
        order = order_of(
            project.catalogue,
            deadline=deadline,
            budget=budget,
            objective=objective,
            confidence=confidence,
            regions=asked.regions,
            clouds=asked.clouds,
            services=asked.services,
            markets=asked.markets,
            types=types,
            backends=asked.backends,
            data_at=data_at,
            uplink=uplink,
            region=runtime.config.backends.simulated.region,
        )
        found = planned(subject, project, order)
    return _answer(found, subject, out, plot, explain=explain, as_json=as_json)


def _check_out(out: Path) -> None:
    """Before long work. Raises PlanInvalid."""
    from skylift.quoting.planfile import PlanInvalid

    if not out.absolute().parent.is_dir():
        raise PlanInvalid(f"--out {out}: there is no folder {out.absolute().parent}", hint="make it first")
    if out.exists() and not out.is_file():  # a device: the plan would be put in its place
        raise PlanInvalid(f"--out {out} is there, and is no plain file", hint="write --out plan.json")


def _narrowed(asked: Asked, path: Path, catalogue: Catalogue) -> Asked:
    """To what advice has left; what a plan cannot see to is said."""
    from skylift.advice.constraints import read_file
    from skylift.advice.narrowing import narrow, notes

    bound = read_file(path)
    narrowed = narrow(bound, asked, catalogue)
    for note in notes(bound, narrowed):
        click.echo(f"to be seen to: {note}", err=True)
    return narrowed


def _answer(
    found: Planned, subject: Subject, out: Path | None, plot: Path | None, *, explain: bool, as_json: bool
) -> int:
    from skylift.placement.plan import Plan

    if not isinstance(found.result, Plan):
        print_impossible(found, as_json=as_json)
        return 1
    if out is not None:
        _write(found, found.result, subject, out)
    if plot is not None:
        draw(found.result, subject.pipeline, plot)
    if as_json:
        print_json(document(found, found.result))
    else:
        print_plan(found, found.result, explain=explain)
    for path in (out, plot):
        if path is not None:
            click.echo(f"wrote {path}", err=True)
    return 0


def _write(found: Planned, result: Plan, subject: Subject, out: Path) -> None:
    from skylift.quoting.planfile import plan_file, version_of, write_plan

    made_for = version_of(subject.definition, subject.machines, subject.tasks)
    write_plan(plan_file(subject.pipeline, made_for, subject.input, found.steps, result), out)
