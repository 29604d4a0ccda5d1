"""The report as plain text that fits a terminal. Nothing in an answer can move a cursor or colour it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from skylift.advice.blocks import Block, Bullets, Code, Picture, Section, Table, Text, sections
from skylift.advice.report import Report
from skylift.advice.wrapping import filled, width_of, wrapped

WIDTH = 80
WIDEST = 110
"""Longer lines are hard to read."""
NARROWEST = 30
_GAP = "  "
_INDENT = "    "
_HAND_OVER = (
    "--constraints FILE writes this as JSON; skylift plan PIPELINE --constraints FILE keeps to it as far as a plan can."
)
"""Instead of the JSON itself, whose lines have no bounds; the table above it says the same."""


class Part(msgspec.Struct, frozen=True):
    """Some lines."""

    text: str
    strong: bool = False


def terminal(report: Report, width: int = WIDTH) -> str:
    return "".join(f"{part.text}\n" for part in parts(report, width))


def parts(report: Report, width: int) -> Iterator[Part]:
    """No line is longer than the width but for a word that is."""
    width = max(min(width, WIDEST), NARROWEST)
    yield Part(wrapped(plain(f"Advice: {report.project}"), width), strong=True)
    if report.description:
        yield Part(wrapped(plain(report.description), width))
    for section in sections(report):
        title = wrapped(plain(section.title).replace("`", ""), width)
        yield Part(f"\n{title}", strong=True)
        yield Part("-" * max(width_of(line) for line in title.splitlines()))
        yield from _section(section, width)


def plain(text: str) -> str:
    """One line of what can be printed."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _section(section: Section, width: int) -> Iterator[Part]:
    """Tables stand apart from what is above and below."""
    above: Block | None = None
    for block in section.blocks:
        if isinstance(block, Picture):
            continue  # there is none in a text
        if above is not None and (isinstance(above, Table) or isinstance(block, Table)):
            yield Part("")
        yield from _block(block, width)
        above = block


def _block(block: Block, width: int) -> Iterator[Part]:
    if isinstance(block, Text):
        yield Part(wrapped(plain(block.text), width))
    elif isinstance(block, Bullets):
        yield Part("\n".join(wrapped(plain(item), width, first="- ", rest="  ") for item in block.items))
    elif isinstance(block, Code):
        yield Part(wrapped(_HAND_OVER, width))
    elif isinstance(block, Table):
        if block.title:
            yield Part(wrapped(plain(block.title), width), strong=True)
        rows = [[plain(cell) for cell in row] for row in block.rows]
        yield Part(_columns(block, rows, width) or _stacked(block, rows, width))


def _columns(table: Table, rows: Sequence[Sequence[str]], width: int) -> str | None:
    """Side by side, where every row fits into a line."""
    lines = [[one.upper() for one in table.columns], *([cell or "-" for cell in row] for row in rows)]
    widths = [max(width_of(line[number]) for line in lines) for number in range(len(table.columns))]
    if sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        return None
    return "\n".join(_GAP.join(map(filled, line, widths)).rstrip() for line in lines)


def _stacked(table: Table, rows: Sequence[Sequence[str]], width: int) -> str:
    """Row after row: what it is of with its value, and below it each further cell with its column's name."""
    return "\n".join(line for row in rows for line in _stack(table.columns, row, width))


def _stack(columns: Sequence[str], row: Sequence[str], width: int) -> Iterator[str]:
    head = ": ".join(cell for cell in row[:2] if cell)
    yield wrapped(head, width, rest=_INDENT)
    for name, cell in zip(columns[2:], row[2:], strict=True):
        if cell:
            yield wrapped(f"{name}: {cell}", width, first=_INDENT, rest=f"{_INDENT}  ")
