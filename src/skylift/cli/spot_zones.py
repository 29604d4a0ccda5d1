"""`skylift spot evaluate --zones`: the traces as zones of one job, beside each of them alone."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import click

from skylift.cli.output import counted, print_json, print_table

if TYPE_CHECKING:
    from skylift.pricing.spot.model import Job
    from skylift.pricing.spot.traces import Trace
    from skylift.pricing.spot.zones_evaluate import ZonesResult


def show_zones(
    traces: Sequence[Trace], job: Job, starts: int, prices: Sequence[str], notes: Sequence[str], *, as_json: bool
) -> None:
    from skylift.pricing.spot.zones_evaluate import evaluate_zones

    ratios = _ratios(prices, traces)
    found = evaluate_zones(traces, job, starts, ratios)
    if as_json:
        each = {one.name: float(ratios.get(one.name, job.ratio)) for one in traces}
        print_json({"zones": found, "ratios": each, "starts": starts, "notes": notes})
        return
    print_table(("ZONES", "COST", "SPOT", "OVER THE CHOICE"), _rows(found), empty="no zone")
    saved = 1 - found.vs_best_alone
    click.echo(
        f"\nthe choice of {counted(len(traces), 'zone')} costs {abs(saved):.1%} {'less' if saved >= 0 else 'more'} than"
        f" {found.best_alone}, which was the best of them (95 %: {1 - found.vs_best_alone_ci95.high:.1%} to"
        f" {1 - found.vs_best_alone_ci95.low:.1%} less); late: {found.late:.1%}"
    )
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _rows(found: ZonesResult) -> list[tuple[str, ...]]:
    held = sum(found.spot_hours.values())
    return [
        ("the choice", f"{found.cost:.4f}", f"{held:.1f} h", "1.000"),
        *(
            (name, f"{cost:.4f}", f"{found.spot_hours[name]:.1f} h of it", f"{cost / found.cost:.3f}")
            for name, cost in found.alone.items()
        ),
    ]


def _ratios(prices: Sequence[str], traces: Sequence[Trace]) -> dict[str, Fraction]:
    from skylift.pricing.spot.model import JobInvalid

    found: dict[str, Fraction] = {}
    for zone, ratio in (_ratio(text, traces) for text in prices):
        if zone in found:
            raise JobInvalid(f"--zone-ratio gives {zone} two prices", hint="give each zone one")
        found[zone] = ratio
    return found


def _ratio(text: str, traces: Sequence[Trace]) -> tuple[str, Fraction]:
    """`us-west-2a=0.3`: a part of one trace's name, and the price there."""
    from skylift.pricing.spot.model import JobInvalid, ratio_of

    name, _, number = text.rpartition("=")
    try:
        ratio = ratio_of(number)
    except JobInvalid:
        raise JobInvalid(
            f"--zone-ratio {text!r} is no zone with a price", hint='write "us-west-2a=0.3": above 0, at most 1'
        ) from None
    names = [trace.name for trace in traces]
    meant = [name] if name in names else [each for each in names if name and name in each]
    if len(meant) != 1:
        which = "no zone has" if not meant else f"{len(meant)} zones have"
        raise JobInvalid(f"{which} {name!r} in the name", hint=f"zones: {', '.join(names)}")
    return meant[0], ratio
