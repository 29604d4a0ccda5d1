"""`skylift prices update`: a newer snapshot of prices, from the public price files of a provider."""

from __future__ import annotations

from pathlib import Path

import click

from skylift.cli.output import counted, json_option, print_json

KEY = "SKYLIFT_GCP_API_KEY"


@click.command()
@click.option("--cloud", type=click.Choice(["aws", "gcp", "azure"]), help="Whose prices; a file tells it by itself.")
@click.option("--from", "place", metavar="FILE|URL", help="A price file; the provider's own unless given.")
@click.option("--region", "regions", metavar="NAME", multiple=True, help="Several can be named.")
@click.option("--into", metavar="DIR", help="Where snapshots lie; `prices` in the home unless given.")
@json_option
def update(cloud: str | None, place: str | None, regions: tuple[str, ...], into: str | None, as_json: bool) -> None:
    """Make a new snapshot of prices, which counts from then on; older ones stay answerable with --as-of.

    Reads Amazon's offer files of EC2 (CSV or JSON), Azure's retail prices and Google's list of SKUs. What cannot be
    true is set aside, with the reason.
    """
    import os
    from datetime import UTC, datetime

    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.files import PRICES, user_home
    from skylift.pricing.update.make import Wanted, regions_text
    from skylift.pricing.update.make import update as make

    if cloud == "aws" and place is None and not regions:
        click.echo("no region is given: us-east-1 (others with --region)", err=True)
    made = make(
        Wanted(
            cloud=cloud,
            place=place,
            regions=regions,
            into=Path(into).expanduser() if into is not None else user_home() / PRICES,
            today=datetime.now(UTC).date().isoformat(),
            key=os.environ.get(KEY) or None,
        ),
        catalogue(),
    )
    if as_json:
        print_json(made)
        return
    click.echo(
        f"{counted(made.prices, 'price')} of {counted(made.machines, 'machine')} of {made.cloud}, "
        f"{made.as_of}, in {regions_text(made.regions)}: {made.path}"
    )
    for one in made.set_aside:
        click.echo(f"set aside: {one.what} in {one.region}, {one.market}: {one.why}", err=True)
    if made.unknown:
        click.echo(
            f"left out, because nothing is known of them but a price: {counted(len(made.unknown), 'machine')} "
            f"({regions_text(made.unknown)})",
            err=True,
        )
