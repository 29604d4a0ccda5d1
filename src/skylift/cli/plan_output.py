"""How a plan is shown: the page, the front as a picture, the document for programs."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import duration, print_json, print_table
from skylift.cli.quote import document as quote_document
from skylift.cli.quote import listed, usd

if TYPE_CHECKING:
    from pathlib import Path

    from skylift.cli.plots import Point
    from skylift.placement.model import Priced
    from skylift.placement.plan import Choice, Moved, Plan, RunnerUp, Shadow, Totals
    from skylift.quoting.planning import Planned
    from skylift.quoting.quote import Range


def print_plan(found: Planned, result: Plan, *, explain: bool) -> None:
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


def print_impossible(found: Planned, *, as_json: bool) -> None:
    from skylift.placement.plan import Impossible

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


def draw(result: Plan, pipeline: str, plot: Path) -> None:
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


def document(found: Planned, result: Plan) -> dict[str, Any]:
    why = result.explanation
    front = None if why is None else why.front
    return {
        "possible": True,
        "objective": result.objective,
        "totals": _totals(result.totals),
        "gap": result.gap,
        "method": result.method,
        "confidence": result.limits.confidence,
        "rule": result.rule,
        "steps": [_step(one) for one in result.choices],
        "moves": [_move(one) for one in result.moves],
        "waits": [{"step": one.step, "for": one.waits_for, "quota": one.quota} for one in result.waits],
        "runners_up": [] if why is None else [_runner_up(one) for one in why.runners_up],
        "limits_cost": [] if why is None else [_limit(one) for one in why.shadows],
        "front": [] if front is None else [_totals(point.totals) for point in front.points],
        "quote": None if found.quote is None else quote_document(found.quote),
        "assumptions": found.assumptions,
    }


def _step(one: Choice) -> dict[str, Any]:
    return {
        "step": one.step,
        "offer": one.priced.offer,
        **_amounts(one.priced),
        "starts_s": one.starts_s,
        "ends_s": one.ends_s,
        "slack_s": one.slack_s,
        "width": one.width,
        "parts": [
            {"what": part.what, "usd_micro": _rounded(part.amount), "formula": part.formula}
            for part in one.priced.parts
        ],
    }


def _move(one: Moved) -> dict[str, Any]:
    return {
        "from": one.source,
        "to": one.target,
        "usd_micro": _rounded(one.cost),
        "time_s": one.time_s,
        "formula": one.formula,
    }


def _runner_up(one: RunnerUp) -> dict[str, Any]:
    return {
        "step": one.step,
        "offer": one.priced.offer,
        "cost_more_usd_micro": _rounded(one.cost_more),
        "time_more_s": one.time_more_s,
        "why_not": one.why_not,
    }


def _limit(one: Shadow) -> dict[str, Any]:
    return {
        "limit": one.limit,
        "value": one.value,
        "costs_usd_micro": _rounded(one.costs),
        "takes_s": one.takes_s,
        "says": one.says,
    }


def impossible_document(found: Planned) -> dict[str, Any]:
    from skylift.placement.plan import Impossible

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
        "cost_usd_micro": _rounded(totals.cost),
        "cost_high_usd_micro": _rounded(totals.cost_high),
        "time_s": totals.time_s,
        "time_high_s": totals.time_high_s,
    }


def _amounts(priced: Priced) -> dict[str, float | None]:
    high = priced.cost_high
    return {
        "cost_usd_micro": _rounded(priced.cost),
        "cost_high_usd_micro": None if high is None else _rounded(high),
        "time_s": priced.time_s,
        "time_high_s": priced.time_high_s,
    }


def _rounded(micro: Fraction) -> float:
    return round(float(micro), 3)
