"""`skylift quote`: what a run will cost and take, before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.asking import answer_options, answers_of, project_of, subject_of
from skylift.cli.output import duration, json_option, print_json, print_table
from skylift.cli.parts import open_runtime
from skylift.cli.paths import NamedFile
from skylift.cli.pipeline_command import Loaded, PipelineCommand
from skylift.cli.placing import check_tasks, placement

if TYPE_CHECKING:
    from skylift.quoting.prepare import Project, Subject
    from skylift.quoting.quote import Quote, Range, StepQuote


@click.command(cls=PipelineCommand)
@click.argument("target", metavar="FILE[:PIPELINE]")
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter whose name is an option here."
)
@click.option("--input", "input_text", metavar="JSON|@FILE|-", help="The whole input as JSON.")
@click.option(
    "--on",
    "places",
    multiple=True,
    metavar="[TASK=]BACKEND",
    help="Where all tasks would run, or one of them. May be given several times.",
)
@click.option(
    "--plan",
    "plan_path",
    type=NamedFile(),
    help="Quote the run of this plan (skylift plan --out).",
)
@answer_options
@click.option("--explain", is_flag=True, help="Show every part of each amount, with its formula.")
@json_option
@click.pass_context
def quote(
    ctx: click.Context,
    /,
    target: str,
    params: tuple[str, ...],
    input_text: str | None,
    places: tuple[str, ...],
    plan_path: Path | None,
    explain: bool,
    as_json: bool,
    **said: tuple[str, ...],
) -> None:
    """Say what a run of a pipeline will cost and take, as a range, per step and in total. Nothing is started.

    Durations come from earlier runs, else from @task(work=…), else from --work; what nobody knows is asked for.
    """
    from skylift.quoting.quote import quote as quoted

    loaded: Loaded = ctx.obj
    answers, attributes = answers_of(said), placement(places)
    with open_runtime() as runtime:
        subject = subject_of(runtime, loaded, target, params, input_text)
        check_tasks(attributes, subject.tasks, runtime.config)
        project = project_of(runtime, subject.pipeline, answers)
        if plan_path is None:
            found = quoted(subject, project, attributes)
        else:
            found = _of_plan(subject, project, plan_path, places)
    if as_json:
        print_json(document(found))
    else:
        print_quote(found, explain=explain)


def _of_plan(subject: Subject, project: Project, path: Path, places: tuple[str, ...]) -> Quote:
    """Raises PlanInvalid for what is no plan, or one for something else."""
    from skylift.quoting.planfile import PlanInvalid, check_offers, check_version, read_plan, version_of
    from skylift.quoting.planning import quote_of_plan
    from skylift.wiring import backend_names

    if places:
        raise PlanInvalid(f"--plan {path} and --on {places[0]} both say where steps go", hint="leave one of them out")
    file = read_plan(path)
    check_version(file, subject.pipeline, version_of(subject.definition, subject.machines, subject.tasks), str(path))
    check_offers(file, project.offers, backend_names(), str(path))
    return quote_of_plan(subject, project, file.steps, file.whole)


def print_quote(found: Quote, *, explain: bool) -> None:
    """The table; with `explain` what each amount is made of; what is not known; what the numbers rest on."""
    rows = [_row(one) for one in found.steps]
    head = ("STEP", "WHERE", "ATTEMPTS", "EACH TAKES", "COST", "FROM … TO")
    rows.append(("total", "", "", _times(found), _total(found), _span(found.cost, usd)))
    print_table(head, rows, empty="the pipeline has no steps")
    for one in found.steps if explain else ():
        click.echo(f"\n{one.step}: {one.place}")
        for part in one.parts:
            click.echo(f"  {usd(float(part.amount))}  {part.what}: {part.formula}")
    listed("not known, so the total is more:" if found.at_least else "not known:", found.asks)
    listed("taken for granted:", found.assumptions)
    listed("prices:", tuple(dict.fromkeys(price for one in found.steps for price in one.prices)))


def listed(head: str, lines: tuple[str, ...]) -> None:
    if lines:
        click.echo(f"\n{head}")
    for line in lines:
        click.echo(f"  {line}")


def _row(one: StepQuote) -> tuple[str, ...]:
    each = "not known" if one.run_ms is None else _span(one.run_ms, duration)
    cost = "not known" if one.cost is None else "-" if one.cost.expected is None else usd(one.cost.expected)
    return (one.step, one.place, _count(one.attempts), each, cost, "-" if one.cost is None else _span(one.cost, usd))


def _count(attempts: Range) -> str:
    if attempts.high is not None and attempts.low == attempts.high:
        return f"{attempts.low:g}"
    if attempts.high is None:
        return f"at least {attempts.low:g}"
    middle = "" if attempts.expected is None else f"{attempts.expected:.3g}, "
    return f"{middle}{attempts.low:g} … {attempts.high:.3g}"


def _span(span: Range, shown: Any) -> str:
    low = shown(span.low)
    if span.high is None:
        return f"at least {low}"
    high = shown(span.high)
    return low if low == high else f"{low} … {high}"


def _times(found: Quote) -> str:
    return _span(found.time_ms, duration)


def _total(found: Quote) -> str:
    if found.at_least:
        return f"at least {usd(found.cost.low)}"
    return "-" if found.cost.expected is None else usd(found.cost.expected)


def usd(micro: float) -> str:
    """Four digits that count, and never fewer than cents."""
    dollars = micro / 1_000_000
    return (
        f"${dollars:.2f}"
        if dollars >= 100 or dollars == 0
        else f"${dollars:.4f}"
        if dollars >= 0.01
        else f"${dollars:.7f}"
    )


def document(found: Quote) -> dict[str, Any]:
    """For programs: micro-dollars, milliseconds."""
    return {
        "pipeline": found.pipeline,
        "cost_usd_micro": _rounded(found.cost),
        "time_ms": _rounded(found.time_ms),
        "at_least": found.at_least,
        "steps": [_step(one) for one in found.steps],
        "not_known": found.asks,
        "assumptions": found.assumptions,
    }


def _step(one: StepQuote) -> dict[str, Any]:
    return {
        "step": one.step,
        "task": one.task,
        "backend": one.backend,
        "place": one.place,
        "attempts": one.attempts,
        "run_ms": _rounded(one.run_ms),
        "startup_ms": _rounded(one.startup_ms),
        "cost_usd_micro": _rounded(one.cost),
        "parts": [
            {"what": part.what, "usd_micro": round(float(part.amount), 3), "formula": part.formula}
            for part in one.parts
        ],
        "durations_from": one.why,
        "prices": one.prices,
        "not_known": one.unknown,
    }


def _rounded(span: Range | None) -> dict[str, float | None] | None:
    if span is None:
        return None
    values = {"p10": span.low, "expected": span.expected, "p90": span.high}
    return {name: None if value is None else round(value, 3) for name, value in values.items()}
