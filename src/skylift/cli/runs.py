"""`skylift runs`: the list of runs, newest first."""

from __future__ import annotations

import click

from skylift.asl.status import STATUSES
from skylift.cli.output import duration, iso, json_option, print_json, print_table, shorten, when
from skylift.cli.parts import open_runtime
from skylift.ports.journal import RunRecord


@click.command()
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), multiple=True, help="Only these.")
@click.option("--pipeline", help="Only runs of this pipeline.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Most runs to list.")
@click.option("--children", is_flag=True, help="Also runs that other runs started.")
@json_option
def runs(status: tuple[str, ...], pipeline: str | None, limit: int, children: bool, as_json: bool) -> None:
    """List runs, newest first."""
    with open_runtime() as runtime:
        found = runtime.reader.runs(
            pipeline=pipeline, status=[s.upper() for s in status], limit=limit, children=children
        )
        states = {record.run_id: runtime.reader.shown_status(record) for record in found}
    if as_json:
        print_json({"runs": [describe(record, states[record.run_id]) for record in found]})
        return
    rows = [
        (
            record.run_id,
            given_name(record) or "-",
            record.pipeline,
            states[record.run_id],
            when(record.created_ms),
            duration(record.stopped_ms - record.created_ms) if record.stopped_ms else "-",
            shorten(record.error or "", 60),
        )
        for record in found
    ]
    chosen = bool(status or pipeline)
    elsewhere = runtime.config.url or runtime.config.store
    where = "" if elsewhere else f" in {runtime.config.home}"
    empty = "no such runs" if chosen else f"no runs yet{where}"
    print_table(("RUN", "NAME", "PIPELINE", "STATUS", "STARTED", "TOOK", "ERROR"), rows, empty=empty)


def given_name(record: RunRecord) -> str | None:
    """The name that somebody gave; a run without one is called by its id."""
    return None if record.name == record.run_id else record.name


def describe(record: RunRecord, status: str | None = None) -> dict[str, object]:
    """A run's record as the listing commands print it for programs."""
    return {
        "run_id": record.run_id,
        "name": record.name,
        "pipeline": record.pipeline,
        "status": status or record.status,
        "started_at": iso(record.created_ms),
        "stopped_at": iso(record.stopped_ms),
        "error": record.error,
        "cause": record.cause,
        "parent": record.parent,
        "attributes": record.attributes,
    }
