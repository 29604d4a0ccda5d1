"""`--compare` of `skylift ledger`: what the same run would have cost on other clouds."""

from __future__ import annotations

import difflib
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import counted, print_table
from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.ports.journal import RunRecord
    from skylift.pricing.compare import Cell, Comparison
    from skylift.reader import RunReader


class CompareInvalid(SetupError):
    """A comparison that cannot be made as it is asked for."""

    code = "COMPARE"


def places_of(text: str) -> dict[str, str]:
    """`aws,gcp:europe-west1`: clouds, and a region of each; its ordinary one where none is named. Raises
    CompareInvalid."""
    from skylift.pricing.catalogue import CLOUDS, catalogue
    from skylift.pricing.estimate.rules import rules
    from skylift.pricing.names import regions_hint

    found: dict[str, str] = {}
    for word in text.split(","):
        cloud, _, region = (part.strip().lower() for part in word.partition(":"))
        if cloud not in CLOUDS:
            raise CompareInvalid(f"--compare {word!r}: there is no such cloud", hint=_near(cloud, CLOUDS))
        if cloud in found:
            raise CompareInvalid(f"--compare names {cloud} twice", hint="compare the regions one after the other")
        known = catalogue().regions(cloud)
        if region and region not in known:
            raise CompareInvalid(f"--compare {word!r}: {cloud} has no prices there", hint=regions_hint(region, known))
        found[cloud] = region or rules().regions[cloud]
    return found


def _near(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, known, n=3)
    return f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(known)}"


def comparison_of(reader: RunReader, record: RunRecord, regions: dict[str, str]) -> Comparison:
    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.compare import compare

    return compare(reader.deliveries(record), reader.asked(record), catalogue(), regions)


def print_comparison(found: Comparison) -> None:
    click.echo("\nthe same run elsewhere, each step at the cheapest place that has room for it:")
    head = ("STEP", *(f"{cloud} {region}".upper() for cloud, region in found.regions.items()))
    rows = [(row.step, *(_text(row.cells[cloud]) for cloud in found.regions)) for row in found.rows]
    total = ("total", *(_total(found, cloud) for cloud in found.regions))
    print_table(head, [*rows, total] if rows else [], empty="nothing has ended: there is nothing to compare")
    for price in found.prices:
        click.echo(f"price: {price.what}: ${price.usd:f} a {price.unit}, {price.source}", err=True)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)


def _text(cell: Cell) -> str:
    """The size of the place is in the JSON: a table of three clouds has no room for it."""
    if cell.place is None or cell.cost is None:
        return cell.why
    return f"{_usd(cell.cost)} {cell.place.instance_type}"


def _total(found: Comparison, cloud: str) -> str:
    missing = found.missing(cloud)
    return _usd(found.total(cloud)) + (f", without {counted(missing, 'step')}" if missing else "")


def _usd(micro: Fraction) -> str:
    """To a hundredth of a micro-dollar: short steps cost less than one."""
    return f"${round(micro * 100) / 10**8:.8f}"


def comparison_document(found: Comparison) -> dict[str, Any]:
    """For programs."""
    from skylift.pricing.estimate.amounts import exactly

    return {
        "clouds": {
            cloud: {
                "region": region,
                "total_usd": float(found.total(cloud) / 10**6),
                "total_usd_exact": exactly(found.total(cloud) / 10**6),
                "steps_without_a_cost": found.missing(cloud),
            }
            for cloud, region in found.regions.items()
        },
        "steps": [
            {
                "step": row.step,
                "attempts": row.attempts,
                "run_ms": row.run_ms,
                "cpus": row.needs.cpus,
                "memory_mib": row.needs.memory_mib,
                "clouds": {cloud: _cell_document(cell) for cloud, cell in row.cells.items()},
            }
            for row in found.rows
        ],
        "prices": found.prices,
        "notes": list(found.notes),
    }


def _cell_document(cell: Cell) -> dict[str, Any]:
    return {
        "usd": None if cell.cost is None else float(cell.cost / 10**6),
        "place": cell.place,
        "why": cell.why or None,
    }
