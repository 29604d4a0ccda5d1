"""How the commands print: tables for people, JSON for programs, times and sizes in words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

STATUS_STYLE = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "ABORTED": "yellow",
    "PAUSED": "yellow",
    "INTERRUPTED": "yellow",
    "CAUGHT": "yellow",
    "RUNNING": "cyan",
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def print_json(value: Any) -> None:
    """One JSON value, indented on a terminal, in one line elsewhere."""
    raw = msgspec.json.encode(value)
    click.echo(msgspec.json.format(raw, indent=2 if sys.stdout.isatty() else 0).decode())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """A table on a terminal; tab-separated lines when piped, so that cut and awk work."""
    if not rows:
        click.echo(empty, err=True)
        return
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    from rich.console import Console

    from skylift.cli.columns import listed, telling, widths

    console = Console()
    left_out: list[str] = []
    given = widths(columns, rows, console.width)
    if given is None:
        kept = telling(columns, rows)
        left_out = [name.lower() for index, name in enumerate(columns) if index not in kept]
        columns, rows = [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]
        given = widths(columns, rows, console.width)
    if given is None:
        click.echo("\n".join(listed(columns, rows, console.width)))
    else:
        _draw(console, list(zip(columns, given, strict=True)), rows)
    if left_out:
        click.echo(f"nothing in: {', '.join(left_out)}", err=True)


def _draw(console: Console, columns: Sequence[tuple[str, int]], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in columns:
        table.add_column(name, overflow="fold", width=width)
    for row in rows:
        table.add_row(*(Text(cell, style=STATUS_STYLE.get(cell, "")) for cell in row))
    console.print(table)


def when(at_ms: int | None) -> str:
    """A time as people here read it, in their own time zone."""
    if at_ms is None:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(at_ms: int | None) -> str | None:
    """A time as programs read it: UTC, RFC 3339."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration(ms: float | None) -> str:
    """A length of time in at most two units."""
    if ms is None:
        return "-"
    if ms < 1000:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def size(count: float | None) -> str:
    """Bytes with a binary unit."""
    if count is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def counted(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def shorten(text: str, width: int = 100) -> str:
    """One line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
