"""`skylift rightsize`: what the steps of a run should ask for, and what that saves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import json_option, print_json, print_table
from skylift.cli.parts import open_runtime

if TYPE_CHECKING:
    from skylift.pricing.rightsize import Advice


@click.command()
@click.argument("run")
@json_option
def rightsize(run: str, as_json: bool) -> None:
    """Recommend memory, processors and class of compute for the steps of RUN, from what their attempts used.

    Says why, and what it does not know: what was not measured or has no price is never guessed.
    """
    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.rightsize import rightsize as advise

    with open_runtime() as runtime:
        record = runtime.reader.record(run)
        given, asked = runtime.reader.deliveries(record), runtime.reader.asked(record)
    found = advise(given, asked, catalogue())
    if as_json:
        print_json({"run_id": record.run_id, "steps": [_document(one) for one in found]})
        return
    print_table(
        ("STEP", "ASKS FOR", "SHOULD", "WHERE", "COST", "THEN", "SAVES"),
        [_row(one) for one in found],
        empty="no attempt has ended: there is nothing to go by",
    )
    for one in found:
        click.echo(f"\n{one.step}:")
        for line in one.why:
            click.echo(f"  {line}")
        for line in one.unknown:
            click.echo(f"  not known: {line}")


def _row(one: Advice) -> tuple[str, ...]:
    from skylift.pricing.bill import usd

    place = one.place
    return (
        one.step,
        _size(one.asked.memory_mib, one.asked.cpus, one.asked.gpu),
        _size(one.memory_mib, one.cpus, one.gpu),
        "-" if place is None else f"{place.service} {place.instance_type}",
        "no price" if one.cost is None else usd(one.cost),
        "no price" if one.advised_cost is None else usd(one.advised_cost),
        _saving(one),
    )


def _size(memory_mib: int | None, cpus: float | None, gpu: str | None) -> str:
    words = [f"{cpus:g} cpus" if cpus is not None else "", f"{memory_mib} MiB" if memory_mib is not None else ""]
    return ", ".join(word for word in (*words, gpu or "") if word)


def _saving(one: Advice) -> str:
    if one.saving is None or one.cost is None:
        return "not known"
    if one.saving <= 0:
        return "nothing"
    return f"{float(one.saving / one.cost):.0%}"


def _document(one: Advice) -> dict[str, Any]:
    from skylift.pricing.places import whole_micro

    def micro(amount: Any) -> int | None:
        return None if amount is None else whole_micro(amount)

    return {
        "step": one.step,
        "asked": one.asked,
        "measured": one.measured,
        "recommended": {
            "memory_mib": one.memory_mib,
            "cpus": one.cpus,
            "gpu": one.gpu,
            "place": one.place,
        },
        "cost_usd_micro": micro(one.cost),
        "recommended_cost_usd_micro": micro(one.advised_cost),
        "saving_usd_micro": micro(one.saving),
        "why": one.why,
        "unknown": one.unknown,
    }
