"""`skylift events`: a run's history."""

from __future__ import annotations

import click
import msgspec

from skylift.cli.output import iso, json_option, print_json, shorten, when
from skylift.cli.parts import open_runtime


@click.command()
@click.argument("run")
@click.option("--reverse", is_flag=True, help="Newest first.")
@click.option("--limit", type=click.IntRange(1), help="Most events to print.")
@json_option
def events(run: str, reverse: bool, limit: int | None, as_json: bool) -> None:
    """The history of RUN: the events that GetExecutionHistory of Step Functions would give."""
    with open_runtime() as runtime:
        found = runtime.reader.history(runtime.reader.record(run), reverse=reverse, limit=limit)
        if as_json:
            print_json(
                {
                    "events": [
                        {
                            "id": event.id,
                            "previousEventId": event.previous_id,
                            "timestamp": iso(event.at_ms),
                            "type": event.type,
                            "details": event.details,
                        }
                        for event in found
                    ]
                }
            )
            return
        for event in found:
            details = msgspec.json.encode(event.details).decode() if event.details else ""
            click.echo(f"{event.id:>5}  {when(event.at_ms)}  {event.type:<26} {shorten(details, 160)}".rstrip())
