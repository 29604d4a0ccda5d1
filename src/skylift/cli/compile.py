"""`skylift compile`, `check` and `graph`: the document of a pipeline, its problems, its picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from skylift.cli.output import counted, json_option, print_json
from skylift.cli.target import Target, TargetError, checked_document, resolve_target


@click.command("compile")
@click.argument("target", metavar="FILE[:PIPELINE]")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def compile_(target: str, output: Path | None) -> None:
    """Print the States Language document of a pipeline: pure, and the same for every target."""
    text = msgspec.json.format(msgspec.json.encode(_definition(resolve_target(target))), indent=2).decode() + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    _write(output, text)
    click.echo(f"wrote {output}", err=True)


@click.command()
@click.argument("target", metavar="FILE[:PIPELINE]")
@json_option
def check(target: str, as_json: bool) -> int:
    """Report every problem of a pipeline or document at once. Exit status 0 when there is no error."""
    from skylift.asl.parse import parse

    found = resolve_target(target)
    source = found.pipeline.compile().definition if found.document is None else found.document
    diagnostics = parse(source).diagnostics
    errors = [d for d in diagnostics if d.severity == "ERROR"]
    if as_json:
        print_json({"valid": not errors, "diagnostics": diagnostics})
        return int(bool(errors))
    for diagnostic in diagnostics:
        click.echo(
            f"{diagnostic.severity.lower()}[{diagnostic.code}] at {diagnostic.pointer or '/'}: {diagnostic.message}"
        )
        click.echo(f"  help: {diagnostic.mend}")
    counts = f"{counted(len(errors), 'error')}, {counted(len(diagnostics) - len(errors), 'warning')}"
    click.echo(f"{target}: {counts if diagnostics else 'no problems'}", err=True)
    return int(bool(errors))


@click.command()
@click.argument("target", metavar="FILE[:PIPELINE]")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help=".svg, .mmd or .md file to write."
)
@click.option(
    "--format", "form", type=click.Choice(["svg", "mermaid"]), help="Default: from the file's ending, else Mermaid."
)
def graph(target: str, output: Path | None, form: str | None) -> None:
    """Draw a pipeline or document as SVG or Mermaid."""
    from skylift.asl.diagram import mermaid, svg
    from skylift.asl.parse import load

    if output is not None and form is None and output.suffix not in (".svg", ".mmd", ".md"):
        raise TargetError(f"{output}: cannot be drawn as {output.suffix or 'this'}", hint="write .svg, .mmd or .md")
    found = resolve_target(target)
    document = load(_definition(found))
    chosen = form or ("svg" if output is not None and output.suffix == ".svg" else "mermaid")
    text = svg(document) if chosen == "svg" else mermaid(document)
    if output is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return
    if output.suffix == ".md" and chosen == "mermaid":
        text = f"```mermaid\n{text}\n```\n"
    _write(output, text)
    click.echo(f"wrote {output}", err=True)


def _definition(found: Target) -> Any:
    if found.document is None:
        return found.pipeline.compile().definition
    return msgspec.json.decode(checked_document(found))


def _write(path: Path, text: str) -> None:
    """All or nothing: a reader never sees half a file."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
