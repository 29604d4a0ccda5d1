"""`skylift gc`: forget old runs and free what only they used."""

from __future__ import annotations

import re

import click

from skylift.cli.output import counted, json_option, print_json, size
from skylift.cli.parts import open_runtime


class Age(click.ParamType[int]):
    """A length of time such as 30d, 12h, 45m; in milliseconds."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d+)\s*([smhdw])\s*", str(value))
        if match is None:
            self.fail(f"{value!r} is not an age; write 30d, 12h or 45m", param, ctx)
        seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[match.group(2)]
        return int(match.group(1)) * seconds * 1000


@click.command()
@click.option(
    "--older-than", type=Age(), default="30d", show_default=True, help="Runs that ended longer ago than this."
)
@click.option("--keep", type=click.IntRange(0), default=0, help="Keep this many newest runs of each pipeline anyway.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@json_option
def gc(older_than: int, keep: int, dry_run: bool, as_json: bool) -> None:
    """Delete runs that ended long ago, with their logs, the artifacts nothing refers to any more, and tasks' virtual
    environments that were not used for so long."""
    with open_runtime() as runtime:
        freed = runtime.collect_garbage(older_than_ms=older_than, keep=keep, dry_run=dry_run)
    if as_json:
        print_json(freed)
        return
    verb = "would delete" if dry_run else "deleted"
    click.echo(f"{verb} {counted(freed.runs, 'run')} and {counted(freed.blobs, 'artifact')} ({size(freed.bytes)})")
    if freed.environments:
        click.echo(f"{verb} {counted(freed.environments, 'environment')} ({size(freed.environment_bytes)})")
