"""`skylift box`: a persistent development box, started, stopped, resized, kept to office hours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from skylift.cli.output import duration, iso, json_option, print_json, print_table, when
from skylift.cli.server import Duration
from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.box.box import Box
    from skylift.box.keeping import Keeping, Plan


@click.group()
def box() -> None:
    """Start, stop and resize the development box that [box] in skylift.toml names, and keep it to office hours."""


@box.command()
@click.option(
    "--for", "lease", type=Duration(), help="How long it may run outside office hours.  [default: [box] lease]"
)
@json_option
def start(lease: float | None, as_json: bool) -> None:
    """Start it, or give it a new lease while it runs; returns when it runs."""
    keeping = _keeping()
    keeping.start(_now(), None if lease is None else round(lease * 1000))
    _show(keeping, as_json)


@box.command()
@json_option
def stop(as_json: bool) -> None:
    """Stop it; returns when it has stopped. Its disk stays. Office hours start it again when they next begin."""
    keeping = _keeping()
    keeping.stop(_now())
    _show(keeping, as_json)


@box.command()
@json_option
def status(as_json: bool) -> None:
    """What it is doing, and until when."""
    _show(_keeping(), as_json)


@box.command()
@click.argument("type")
@json_option
def resize(type: str, as_json: bool) -> None:
    """Make it another TYPE of machine: stopped for that, and started again if it ran."""
    keeping = _keeping()
    keeping.resize(type)
    _show(keeping, as_json)


@box.command()
@click.option("--hours", metavar="HOURS", help='When it shall run: "mon-fri 08:00-19:00, sat 10:00-14:00".')
@click.option("--zone", metavar="ZONE", help="Of the clock on the wall, as Europe/Zurich.  [default: UTC]")
@click.option("--clear", is_flag=True, help="No office hours any more.")
@click.option("--apply", "do", is_flag=True, help="Start or stop it now, as its hours and its lease say. For cron.")
@json_option
def schedule(hours: str | None, zone: str | None, clear: bool, do: bool, as_json: bool) -> None:
    """Write office hours into the box's tags, or do what they say. Without options: show them."""
    from skylift.box.hours import read_hours

    if clear and hours is not None:
        raise SetupError("--clear and --hours contradict each other", hint="give one of them")
    if zone is not None and hours is None:
        raise SetupError("--zone without --hours says nothing", hint="give both")
    given = None if hours is None else read_hours(hours, zone or "UTC")
    keeping = _keeping()
    if clear or given is not None:
        keeping.schedule(given)
    if do:
        found, plan = keeping.apply(_now())
        click.echo(f"{found.name}: {_DONE[plan.wish]}: {plan.why}", err=True)
    _show(keeping, as_json)


_DONE = {"start": "started", "stop": "stopped", None: "left as it is"}


def _keeping() -> Keeping:
    from skylift.box.make import keeping_of
    from skylift.config import load_config

    settings = load_config().box
    if settings is None:
        raise SetupError(
            "no development box is set up", hint='name one in skylift.toml: [box] id = "i-…" or name = "…"'
        )
    return keeping_of(settings)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _show(keeping: Keeping, as_json: bool) -> None:
    from skylift.box.keeping import hours_of

    found, plan = keeping.plan(_now())
    hours = hours_of(found)
    if as_json:
        print_json(_plain(found, plan, None if hours is None else f"{hours.text} {hours.zone}"))
        return
    rows = [
        ("box", f"{found.name} ({found.id})"),
        ("state", found.state),
        ("type", found.type),
        ("address", found.address or "-"),
        ("hours", "-" if hours is None else f"{hours.text} {hours.zone}"),
        ("runs until", _until(found, plan)),
    ]
    print_table(("", ""), rows, empty="")


def _until(found: Box, plan: Plan) -> str:
    if found.state not in ("running", "starting"):
        return "-"
    left = plan.until_ms - _now()
    return f"{when(plan.until_ms)} ({duration(left)} left)" if left > 0 else f"now: {plan.why}"


def _plain(found: Box, plan: Plan, hours: str | None) -> dict[str, object]:
    return {
        "id": found.id,
        "name": found.name,
        "state": found.state,
        "type": found.type,
        "address": found.address,
        "hours": hours,
        "until": iso(plan.until_ms),
        "wish": plan.wish,
        "why": plan.why,
    }
