"""`skylift sweep`: end what has outlived its lease."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from skylift.cli.output import counted, duration, iso, json_option, print_json, print_table, shorten
from skylift.cli.parts import open_runtime

if TYPE_CHECKING:
    from skylift.ports.compute import Leased
    from skylift.sweeping import Swept


@click.command()
@click.option("--list", "only_list", is_flag=True, help="Only show what there is, and until when it may exist.")
@json_option
def sweep(only_list: bool, as_json: bool) -> int:
    """End what has outlived its lease: workers, containers, machines and clusters whose engine is gone.

    What a living engine holds is renewed by it and stays. Exit status 1 if something could not be looked at or ended.
    """
    with open_runtime() as runtime:
        found = runtime.leased() if only_list else runtime.sweep()
    if as_json:
        print_json({"swept": not only_list, **_plain(found)})
    else:
        _print(found, only_list)
    for trouble in found.troubles:
        click.echo(f"warning[SWEEP]: {trouble.backend}: {trouble.problem}", err=True)
    return 1 if found.troubles else 0


def _print(found: Swept, only_list: bool) -> None:
    shown = [*found.over, *found.left] if only_list else list(found.over)
    columns = ("backend", "kind", "id", "run", "token", "lease", "note")
    print_table(columns, [_row(one) for one in shown], empty="nothing has outlived its lease")
    if not only_list:
        ended = f"{counted(len(found.over), 'thing')} past the lease"
        click.echo(f"{ended}, {counted(len(found.left), 'thing')} within it", err=True)


def _row(one: Leased) -> tuple[str, ...]:
    left_ms = one.until_ms - int(time.time() * 1000)
    lease = f"{duration(left_ms)} left" if left_ms > 0 else f"over for {duration(-left_ms)}"
    return one.backend, one.kind, one.id, one.run_id or "-", one.token or "-", lease, shorten(one.note, 60)


def _plain(found: Swept) -> dict[str, object]:
    def plain(one: Leased) -> dict[str, object]:
        return {
            "backend": one.backend,
            "kind": one.kind,
            "id": one.id,
            "token": one.token,
            "run": one.run_id,
            "until": iso(one.until_ms),
            "note": one.note,
        }

    return {
        "over": [plain(one) for one in found.over],
        "left": [plain(one) for one in found.left],
        "troubles": [{"backend": one.backend, "problem": one.problem} for one in found.troubles],
    }
