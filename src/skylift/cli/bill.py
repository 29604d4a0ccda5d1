"""The bill of a run, as the command line shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import counted, duration

if TYPE_CHECKING:
    from skylift.ports.journal import RunRecord
    from skylift.pricing.bill import Bill, Line
    from skylift.runtime import Runtime


def bill_of(runtime: Runtime, record: RunRecord) -> Bill | None:
    """Of a run in virtual time; None for one that has no bill of ours."""
    from skylift.runtime import SPEED_ATTRIBUTE

    if SPEED_ATTRIBUTE not in record.attributes:
        return None
    from skylift.pricing.bill import bill  # other runs need not wait for it
    from skylift.pricing.catalogue import catalogue

    return bill(runtime.reader.deliveries(record), catalogue())


def print_bill(found: Bill) -> None:
    """On standard error: standard output is the run's own."""
    from skylift.pricing.bill import usd

    if not found.lines:
        click.echo("nothing ran, so there is no bill", err=True)
        return
    head = ("STEP", "ATTEMPTS", "PREEMPTED", "START-UP", "RAN", "COST", "ON-DEMAND")
    rows = [head, *(_row(line) for line in found.lines)]
    rows.append(("total", "", "", "", "", usd(found.cost), usd(found.on_demand)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    click.echo("", err=True)
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        click.echo("  ".join(cells).rstrip(), err=True)
    if found.unpriced:
        click.echo(f"{counted(found.unpriced, 'delivery')} without a price: not in these amounts", err=True)
    if found.region is not None:
        click.echo(f"prices of {found.region}; skylift rightsize says what would be cheaper", err=True)


def bill_document(found: Bill) -> dict[str, Any]:
    """For programs: amounts in whole micro-dollars, rounded once from exact ones."""
    from skylift.pricing.places import whole_micro

    return {
        "cost_usd_micro": whole_micro(found.cost),
        "on_demand_usd_micro": whole_micro(found.on_demand),
        "unpriced_deliveries": found.unpriced,
        "region": found.region,
        "steps": [_line_document(line) for line in found.lines],
    }


def _row(line: Line) -> tuple[str, ...]:
    from skylift.pricing.bill import usd

    free = line.free == line.deliveries
    return (
        line.name,
        str(line.attempts),
        str(line.preemptions),
        duration(line.startup_ms),
        duration(line.run_ms),
        "own machine" if free else usd(line.cost),
        "" if free else usd(line.on_demand),
    )


def _line_document(line: Line) -> dict[str, Any]:
    from skylift.pricing.places import whole_micro

    return {
        "step": line.name,
        "attempts": line.attempts,
        "deliveries": line.deliveries,
        "preemptions": line.preemptions,
        "lost": line.lost,
        "out_of_memory": line.out_of_memory,
        "failed": line.failed,
        "startup_ms": round(line.startup_ms),
        "run_ms": round(line.run_ms),
        "cost_usd_micro": whole_micro(line.cost),
        "on_demand_usd_micro": whole_micro(line.on_demand),
        "unpriced_deliveries": line.unpriced,
        "places": line.places,
    }
