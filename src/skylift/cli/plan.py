"""`skylift plan`: for each step the offer with which a run costs least, or ends soonest, within limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.asking import answer_options, answers_of, project_of, subject_of
from skylift.cli.output import duration, json_option, print_json, print_table
from skylift.cli.parts import open_runtime
from skylift.cli.quote import document as quote_document
from skylift.cli.quote import listed, usd
from skylift.cli.run import Loaded, RunCommand

if TYPE_CHECKING:
    from skylift.advice.narrowing import Asked
    from skylift.cli.plots import Point
    from skylift.placement.model import Plan, Priced, Totals
    from skylift.pricing.catalogue import Catalogue
    from skylift.quoting.planning import Planned
    from skylift.quoting.prepare import Subject
    from skylift.quoting.quote import Range


@click.command(cls=RunCommand)
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
    type=click.Path(dir_okay=False, path_type=Path),
    help="What it must keep to, as `skylift advise --constraints` writes it.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan to this file.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the front: .svg or .png.")
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

    if not out.name:
        raise PlanInvalid(f"--out {str(out)!r} names no file", hint="write --out plan.json")
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
    from skylift.placement.model import Plan

    if not isinstance(found.result, Plan):
        _impossible(found, as_json=as_json)
        return 1
    if out is not None:
        _write(found, found.result, subject, out)
    if plot is not None:
        _draw(found.result, subject.pipeline, plot)
    if as_json:
        print_json(document(found, found.result))
    else:
        _print(found, found.result, explain=explain)
    for path in (out, plot):
        if path is not None:
            click.echo(f"wrote {path}", err=True)
    return 0


def _write(found: Planned, result: Plan, subject: Subject, out: Path) -> None:
    from skylift.quoting.planfile import plan_file, version_of, write_plan

    made_for = version_of(subject.definition, subject.machines, subject.tasks)
    write_plan(plan_file(subject.pipeline, made_for, subject.input, found.steps, result), out)


def _draw(result: Plan, pipeline: str, plot: Path) -> None:
    from skylift.cli.plots import front

    shown = result.explanation.front if result.explanation is not None else None
    totals = [point.totals for point in shown.points] if shown is not None else []
    confidence = result.limits.confidence
    front(
        [_point(one) for one in totals],
        plot,
        title=f"Cost and time of {pipeline}",
        chosen=_point(result.totals, "this plan"),
        time="time" if confidence is None else f"time kept with {100 * confidence:g}%",
        beside=None if confidence is None else ("expected times", [_expected(one) for one in totals]),
    )


def _point(totals: Totals, label: str = "") -> Point:
    """By the time that plans are compared by: the one at the asked-for confidence."""
    from skylift.cli.plots import Point

    return Point(seconds=totals.time_high_s, usd=float(totals.cost) / 1e6, label=label)


def _expected(totals: Totals) -> Point:
    from skylift.cli.plots import Point

    return Point(seconds=totals.time_s, usd=float(totals.cost) / 1e6)


# -- for people --------------------------------------------------------------------------------------------------------


def _print(found: Planned, result: Plan, *, explain: bool) -> None:
    rows = [
        (one.step, where(one.priced), _seconds(one.priced.time_s), _high(one.priced), usd(float(one.priced.cost)))
        for one in result.choices
    ]
    totals = result.totals
    rows.append(("total", "", _seconds(totals.time_s), _seconds(totals.time_high_s), usd(float(totals.cost))))
    print_table(("STEP", "OFFER", "TAKES", "AT MOST", "COST"), rows, empty="the pipeline has no steps")
    limits = result.limits
    sure = "" if limits.confidence is None else f" with {100 * limits.confidence:g}%: {result.rule}"
    click.echo(f"\nat most {usd(float(totals.cost_high))}{sure}")
    click.echo(f"gap {result.gap:.2%} ({result.method})")
    for one in result.choices if explain else ():
        click.echo(f"\n{one.step}: {where(one.priced)}")
        for part in one.priced.parts:
            click.echo(f"  {usd(float(part.amount))}  {part.what}: {part.formula}")
    listed(
        "moved:",
        tuple(
            f"{usd(float(moved.cost))}  {moved.source} to {moved.target}: {moved.formula}"
            for moved in result.moves
            if moved.cost or moved.time_s
        ),
    )
    listed(
        "one after the other, for a quota has no room for both:",
        tuple(f"{wait.step} after {wait.waits_for}: {wait.quota}" for wait in result.waits),
    )
    _print_explanation(result)
    quote = found.quote
    if quote is not None and quote.cost.high is not None:
        span = f"{usd(quote.cost.low)} … {usd(quote.cost.high)}"
        click.echo(f"\nplayed by chance, eight of ten runs cost {span} and take {_span(quote.time_ms)}")
    listed("taken for granted:", found.assumptions)


def _print_explanation(result: Plan) -> None:
    explanation = result.explanation
    if explanation is None:
        return
    listed(
        "next best:",
        tuple(f"{one.step}: {where(one.priced)}: {one.why_not}" for one in explanation.runners_up),
    )
    listed("what the limits cost:", tuple(one.says for one in explanation.shadows))
    front = explanation.front
    if front is not None and front.points:
        at = result.limits.confidence
        by = "" if at is None else f"; compared by the time that is kept with {100 * at:g}%, the second column"
        click.echo(f"\nthe front ({front.says}{by}):")
        rows = [
            (_seconds(one.time_s), _seconds(one.time_high_s), usd(float(one.cost)))
            for one in (point.totals for point in front.points)
        ]
        print_table(("TAKES", "AT MOST", "COST"), rows, empty="")


def _impossible(found: Planned, *, as_json: bool) -> None:
    from skylift.placement.model import Impossible

    result = found.result
    if as_json:
        print_json(impossible_document(found))
        return
    if not isinstance(result, Impossible):
        click.echo("impossible: there are steps that nothing can run", err=True)
        for step, why in found.without.items():
            click.echo(f"  {step}: {why}", err=True)
        return
    click.echo(f"impossible: {result.reason}", err=True)
    for near in result.nearest:
        click.echo(f"  {near.says}", err=True)
        for way in near.ways:
            click.echo(f"    {way}", err=True)


def where(priced: Priced) -> str:
    """The offer in words."""
    offer = priced.offer
    if offer.region == "local":
        return f"{offer.instance_type} ({offer.backend})"
    gpu = f", {offer.gpus} x {offer.gpu}" if offer.gpus else ""
    memory = f"{offer.memory_mib} MiB" if offer.memory_mib < 10_240 else f"{offer.memory_mib / 1024:g} GiB"
    cloud = "" if offer.cloud == "aws" else f"{offer.cloud} "
    size = f"{offer.vcpus:g} vCPU, {memory}{gpu}"
    return f"{offer.service} {offer.instance_type} ({size}), {offer.market} in {cloud}{offer.region}"


def _span(span: Range) -> str:
    return f"{duration(span.low)} … {duration(span.high)}"


def _seconds(seconds: float) -> str:
    return duration(seconds * 1000)


def _high(priced: Priced) -> str:
    return "-" if priced.time_high_s is None else _seconds(priced.time_high_s)


# -- for programs ------------------------------------------------------------------------------------------------------


def document(found: Planned, result: Plan) -> dict[str, Any]:
    explanation = result.explanation
    return {
        "possible": True,
        "objective": result.objective,
        "totals": _totals(result.totals),
        "gap": result.gap,
        "method": result.method,
        "confidence": result.limits.confidence,
        "rule": result.rule,
        "steps": [
            {
                "step": one.step,
                "offer": one.priced.offer,
                **_amounts(one.priced),
                "starts_s": one.starts_s,
                "ends_s": one.ends_s,
                "slack_s": one.slack_s,
                "width": one.width,
                "parts": [
                    {"what": part.what, "usd_micro": round(float(part.amount), 3), "formula": part.formula}
                    for part in one.priced.parts
                ],
            }
            for one in result.choices
        ],
        "moves": [
            {
                "from": move.source,
                "to": move.target,
                "usd_micro": round(float(move.cost), 3),
                "time_s": move.time_s,
                "formula": move.formula,
            }
            for move in result.moves
        ],
        "waits": [{"step": one.step, "for": one.waits_for, "quota": one.quota} for one in result.waits],
        "runners_up": [
            {
                "step": one.step,
                "offer": one.priced.offer,
                "cost_more_usd_micro": round(float(one.cost_more), 3),
                "time_more_s": one.time_more_s,
                "why_not": one.why_not,
            }
            for one in (explanation.runners_up if explanation is not None else ())
        ],
        "limits_cost": [
            {
                "limit": one.limit,
                "value": one.value,
                "costs_usd_micro": round(float(one.costs), 3),
                "takes_s": one.takes_s,
                "says": one.says,
            }
            for one in (explanation.shadows if explanation is not None else ())
        ],
        "front": [
            _totals(point.totals)
            for point in (explanation.front.points if explanation is not None and explanation.front is not None else ())
        ],
        "quote": None if found.quote is None else quote_document(found.quote),
        "assumptions": found.assumptions,
    }


def impossible_document(found: Planned) -> dict[str, Any]:
    from skylift.placement.model import Impossible

    result = found.result
    near = result.nearest if isinstance(result, Impossible) else ()
    return {
        "possible": False,
        "reason": result.reason if isinstance(result, Impossible) else "there are steps that nothing can run",
        "without": found.without,
        "nearest": [{"what": one.what, "says": one.says, "ways": one.ways, **_totals(one.totals)} for one in near],
        "assumptions": found.assumptions,
    }


def _totals(totals: Totals) -> dict[str, float]:
    return {
        "cost_usd_micro": round(float(totals.cost), 3),
        "cost_high_usd_micro": round(float(totals.cost_high), 3),
        "time_s": totals.time_s,
        "time_high_s": totals.time_high_s,
    }


def _amounts(priced: Priced) -> dict[str, float | None]:
    high = priced.cost_high
    return {
        "cost_usd_micro": round(float(priced.cost), 3),
        "cost_high_usd_micro": None if high is None else round(float(high), 3),
        "time_s": priced.time_s,
        "time_high_s": priced.time_high_s,
    }
