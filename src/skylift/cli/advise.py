"""`skylift advise`: whether the cloud is right for a project, and which kind of service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skylift.cli.output import json_option, print_json
from skylift.cli.paths import NamedFile

if TYPE_CHECKING:
    from skylift.advice.report import Curve, Report

FORMATS = ("terminal", "markdown", "html", "json")
_SUFFIXES = {".md": "markdown", ".html": "html", ".htm": "html", ".json": "json"}
ANSWERS = "advice.yaml"


@click.command()
@click.argument("project", required=False, type=NamedFile())
@click.option("--save", type=NamedFile(), help=f"Where answers go. Usually {ANSWERS}.")
@click.option("--again", is_flag=True, help="Ask once more what was left open.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="By the name of --out, else for the terminal.")
@click.option("--out", type=NamedFile(), help="Write the report to a file.")
@click.option("--constraints", type=NamedFile(), help="Write what `plan` must keep to.")
@json_option
def advise(
    project: Path | None,
    save: Path | None,
    again: bool,
    format_: str | None,
    out: Path | None,
    constraints: Path | None,
    as_json: bool,
) -> None:
    """Say whether the cloud is right for a project, and which kind of service, from the answers in PROJECT (YAML).

    Without a file it asks, question by question, and saves each answer; given the same --save again it goes on.
    """
    from skylift.advice.advise import advise as give
    from skylift.advice.constraints import write
    from skylift.advice.reading import ProjectInvalid, parsed, placed, to_project
    from skylift.cli.answer_files import text_of
    from skylift.pricing.catalogue import catalogue

    chosen = _format(format_, out, as_json)
    if project is not None and (save is not None or again):
        raise click.UsageError("--save and --again are for the questionnaire: leave PROJECT out")
    if project is None:
        from skylift.cli.questionnaire import ask

        project = ask(save or Path(ANSWERS), again=again)
    answers, lines = parsed(text_of(project), str(project))
    found = to_project(answers, lines, str(project))
    try:
        report = give(found, catalogue())
    except ProjectInvalid as problem:  # of answers that can be read one by one
        raise placed(problem, lines, str(project)) from None
    if constraints is not None:
        constraints.write_text(write(report.constraints), encoding="utf-8")
    _show(report, chosen, out)


def _format(given: str | None, out: Path | None, as_json: bool) -> str:
    if as_json:
        if given not in (None, "json"):
            raise click.UsageError(f"--json and --format {given} contradict each other")
        return "json"
    named = _SUFFIXES.get(out.suffix.lower()) if out is not None else "terminal"
    if given is None and named is None:
        raise click.UsageError(f"--out {out} does not say which format: name it .md, .html or .json, or give --format")
    return given or named or "terminal"


def _show(report: Report, chosen: str, out: Path | None) -> None:
    if chosen == "json":
        from skylift.advice.document import document

        if out is None:
            print_json(document(report))
            return
    if chosen == "terminal" and out is None:
        _print(report)
        return
    text = _rendered(report, chosen, out)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


def _rendered(report: Report, chosen: str, out: Path | None) -> str:
    if chosen == "json":
        import msgspec

        from skylift.advice.document import document

        return msgspec.json.format(msgspec.json.encode(document(report)), indent=2).decode() + "\n"
    if chosen == "html":
        from skylift.advice.html import html

        return html(report, _pictures(report))
    if chosen == "markdown":
        from skylift.advice.markdown import markdown

        return markdown(report, {} if out is None else _beside(report, out))
    from skylift.advice.terminal import terminal

    return terminal(report)


def _print(report: Report) -> None:
    """As wide as the terminal is; as an ordinary one where it goes elsewhere."""
    import shutil

    from skylift.advice.terminal import WIDTH, parts

    width = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
    for part in parts(report, width):
        click.secho(part.text, bold=part.strong)


def _pictures(report: Report) -> dict[str, str]:
    """SVG by curve; none where matplotlib is not installed, and then tables must do."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="skylift-advice-") as folder:
        drawn = {curve.id: _drawn(curve, Path(folder) / f"{curve.id}.svg") for curve in report.curves}
        return {id: path.read_text(encoding="utf-8") for id, path in drawn.items() if path is not None}


def _beside(report: Report, out: Path) -> dict[str, str]:
    """Links to pictures next to a Markdown file."""
    drawn = {curve.id: _drawn(curve, out.with_name(f"{out.stem}-{curve.id}.svg")) for curve in report.curves}
    return {id: path.name for id, path in drawn.items() if path is not None}


def _drawn(curve: Curve, path: Path) -> Path | None:
    from skylift.cli.plots import Mark, lines
    from skylift.errors import SetupError

    marks = [Mark(*one) for one in curve.marks]
    try:
        lines(curve.series, path, title=curve.title, x=curve.x, y=curve.y, marks=marks)
    except SetupError as problem:
        if problem.code != "NO-PLOTS":
            raise
        click.echo(f"no picture of {curve.id}: {problem.message}; {problem.hint}", err=True)
        return None
    return path
