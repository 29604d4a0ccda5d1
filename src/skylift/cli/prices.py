"""`skylift prices`: what machines cost, what an amount of a service costs, and newer prices than those shipped."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import counted, json_option, print_json, print_table

if TYPE_CHECKING:
    from skylift.pricing.catalogue import Catalogue, Found, MachinePrice, Query

SHOWN = 50
"""Rows that a person is shown unless more are asked for."""

_COMMANDS = {
    "estimate": ("skylift.cli.estimate:estimate", "What an amount of a service costs, line by line."),
    "update": ("skylift.cli.update:update", "Newer prices, from a provider's public price files."),
}


class _Prices(click.Group):
    """Imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *((name, line) for name, (_, line) in _COMMANDS.items())])


@click.group(cls=_Prices)
def prices() -> None:
    """What compute costs, with the date and source of every price."""


@prices.command()
@click.option("--type", "type_", metavar="NAME", help="A machine type, or a pattern: 'p3.*'.")
@click.option("--gpu", metavar="MODEL[:N]", help="V100, V100:4, or a number of any model.")
@click.option("--vcpus", metavar="N", help="At least so many processors.")
@click.option("--memory", metavar="SIZE", help="At least so much: 16GiB.")
@click.option("--region", metavar="NAME", help="Regions or patterns: 'us-*,eu-west-1'. All unless given.")
@click.option(
    "--cloud", type=click.Choice(["aws", "gcp", "azure", "lambda"], case_sensitive=False), help="One cloud only."
)
@click.option("--spot", is_flag=True, help="Only what has a spot price; the cheapest by that.")
@click.option("--estimates", is_flag=True, help="With --spot: also what has only an estimate of a spot price.")
@click.option("--as-of", metavar="DATE", help="As known on a day (2020-12-01), or at the end of a month or year.")
@click.option("--sort", type=click.Choice(["price", "type", "region", "vcpus", "memory"]), default="price")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"Rows. {SHOWN} for people, all with --json.")
@json_option
def find(
    type_: str | None,
    gpu: str | None,
    vcpus: str | None,
    memory: str | None,
    region: str | None,
    cloud: str | None,
    spot: bool,
    estimates: bool,
    as_of: str | None,
    sort: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Find machines by what they have, with their prices: the newest known, or those of a day.

    On-demand and spot are what was paid when a source recorded it; what has no price is left out, never guessed.
    """
    from skylift.pricing.asking import query_of
    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.missing import reason, unknown_region

    known = catalogue()
    query = query_of(
        type=type_,
        gpu=gpu,
        vcpus=vcpus,
        memory=memory,
        region=region,
        cloud=cloud,
        spot=spot,
        estimates=estimates,
        as_of=as_of,
        sort=sort,
    )
    found = known.find(query)
    wrong = unknown_region(query, known) if found else reason(query, known)
    if wrong is not None:
        raise wrong
    if as_json:
        print_json({"prices": [document(one, known, query.as_of) for one in found[:limit]]})
        return
    shown = found[: limit or SHOWN]
    _print(shown, known)
    _notes(found, shown, query, known)


def _print(shown: list[Found], known: Catalogue) -> None:
    """Each price with a letter that names its source and date below: they are too long for a table."""
    letters: dict[str, str] = {}
    print_table(
        ("CLOUD", "TYPE", "REGION", "CPUS", "GIB", "GPU", "USD/H", "SPOT", "FROM"),
        [(*_row(one), _from(one, known, letters)) for one in shown],
        empty="nothing",
    )
    click.echo("\nUS dollars an hour, on-demand and spot, from:", err=True)
    for text, letter in letters.items():
        click.echo(f"  {letter}: {text}", err=True)


def _row(one: Found) -> tuple[str, ...]:
    machine = one.machine
    return (
        machine.cloud,
        machine.name,
        one.region,
        f"{machine.vcpus:g}",
        f"{gib(machine.memory_mib):g}",
        f"{machine.gpus * machine.gpu_share:g} x {machine.gpu}" if machine.gpu else "-",
        "no price" if one.on_demand is None else f"{one.on_demand.usd_per_hour:f}",
        "no price" if one.spot_or_estimate is None else _spot(one.spot_or_estimate),
    )


def _spot(price: MachinePrice) -> str:
    text = f"{price.usd_per_hour.normalize():f}"
    return f"~{text} {price.interruption or ''}".rstrip() if price.estimate else text


def _from(one: Found, known: Catalogue, letters: dict[str, str]) -> str:
    """`a, b`: of on-demand and of spot; `ab, ac` where a price is made of several; `a` where both are of the same."""
    words = []
    for price in (one.on_demand, one.spot_or_estimate):
        texts = [] if price is None else known.sources_of(price)
        words.append("".join(letters.setdefault(text, _letter(len(letters))) for text in texts) or "-")
    return ", ".join(dict.fromkeys(words))


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"({number})"


def _notes(found: list[Found], shown: list[Found], query: Query, known: Catalogue) -> None:
    """What a table cannot say: to standard error, so that a pipe holds rows only."""
    if any(one.spot is None and one.estimate is not None for one in shown):
        click.echo(
            "~: an estimate, on-demand less the savings that the provider publishes, and the share of such machines "
            "that a month took away, as it says",
            err=True,
        )
    if any("+" in one.machine.name for one in shown):
        click.echo("n1-…+NxGPU: a host with GPUs added to it; the price is the sum of both", err=True)
    if len(shown) < len(found):
        click.echo(f"{counted(len(found) - len(shown), 'more row')}: see them with --limit {len(found)}", err=True)
    if query.spot and not query.estimates:
        from msgspec.structs import replace

        more = len(known.find(replace(query, estimates=True))) - len(found)
        if more:
            click.echo(f"{counted(more, 'more row')} with an estimate of the spot price: add --estimates", err=True)


def document(one: Found, known: Catalogue, as_of: str | None = None) -> dict[str, Any]:
    """A row for programs."""
    reserved = known.reserved(one.machine.name, one.region, as_of, one.machine.cloud)
    machine, steady, spot, estimate = one.machine, one.on_demand, one.spot, one.estimate
    first = steady or spot
    return {
        "cloud": machine.cloud,
        "instance_type": machine.name,
        "region": one.region,
        "service": one.service,
        "vcpus": machine.vcpus,
        "memory_gib": gib(machine.memory_mib),
        "gpu": machine.gpu,
        "gpu_count": machine.gpus * machine.gpu_share,
        "gpu_memory_gib": None if machine.gpu_memory_mib is None else gib(machine.gpu_memory_mib),
        "architecture": machine.architecture,
        "price_on_demand": _usd(steady),
        "price_spot": _usd(spot),
        "as_of": None if first is None else first.as_of,
        "source": _source(first, known),
        "spot_as_of": None if spot is None else spot.as_of,
        "spot_source": _source(spot, known),
        "price_spot_estimate": _usd(estimate),
        "spot_estimate_as_of": None if estimate is None else estimate.as_of,
        "spot_estimate_source": _source(estimate, known),
        "interruption_per_month": None if estimate is None else estimate.interruption,
        "reserved": [
            {"term": row.term, "price": _usd(row), "as_of": row.as_of, "source": _source(row, known)}
            for row in reserved
        ],
    }


def gib(mib: int) -> float:
    """As its maker gives it: 22.35, not 22.3496."""
    return round(mib / 1024, 3)


def _usd(price: MachinePrice | None) -> float | None:
    return None if price is None else float(price.usd_per_hour)


def _source(price: MachinePrice | None, known: Catalogue) -> str | None:
    return None if price is None else "; ".join(known.sources_of(price))
