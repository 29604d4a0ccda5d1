"""How a table is laid out on a terminal: no word is broken; what cannot fit so is written as lists."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

GAP = 2
TIED = "\u00a0"
"""Between words that stay on one line: a name and its amount."""
LONGEST_WORD = 24
"""Longer words (paths, ARNs) are broken: one of them must not take the whole line."""
_PIECES = re.compile(r"\s+|(?<=[A-Za-z]{4}[./:])")
"""Where a line may end: between words, and within `Skylift.NoOffer` or a path, not within `m5.large` or $1.50."""
_NOTHING = re.compile(r"-?|\$0(\.0+)?")


def widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """The width of each column, the widest cut down first; None where `room` is too little for whole words."""
    from rich.cells import cell_len

    cells = list(zip(columns, *rows, strict=True))
    wide = [max(cell_len(cell) for cell in column) for column in cells]
    words = ([cell_len(word) for cell in column for word in _PIECES.split(cell)] for column in cells)
    least = [min(max(lengths, default=0), LONGEST_WORD) for lengths in words]
    over = sum(wide) + GAP * (len(wide) - 1) - room
    while over > 0:
        given = max(range(len(wide)), key=lambda index: (wide[index] > least[index], wide[index]))
        if wide[given] <= least[given]:
            return None
        wide[given] -= 1
        over -= 1
    return wide


def telling(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """The columns that say something in any row, by their index. The first names the rows, and the first amount stays:
    the others are what it went into."""
    amounts = (index for index in range(len(columns)) if any(row[index].startswith("$") for row in rows))
    kept = {0, next(amounts, 0)}
    return [index for index in range(len(columns)) if index in kept or any(not nothing(row[index]) for row in rows)]


def nothing(cell: str) -> bool:
    """Whether a cell is empty, a dash, or no money."""
    return _NOTHING.fullmatch(cell.strip()) is not None


def listed(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> Iterator[str]:
    """Each row as lines of text: its first cell, then what the others say, by name."""
    names = [name.lower() for name in columns[1:]]
    for first, *cells in rows:
        said = (
            f"{name} {cell}".replace(" ", TIED) for name, cell in zip(names, cells, strict=True) if not nothing(cell)
        )
        text = f"{first}: {', '.join(said)}"
        lines = textwrap.wrap(text, max(room, 20), subsequent_indent="    ", break_on_hyphens=False)
        yield from (line.replace(TIED, " ") for line in lines)
