"""Text in lines of a width: words are never broken, whatever the width, and East Asian ones count double."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator


def width_of(text: str) -> int:
    """Columns of a terminal."""
    return sum(_columns(one) for one in text)


def _columns(one: str) -> int:
    if unicodedata.combining(one):
        return 0
    return 2 if unicodedata.east_asian_width(one) in "WF" else 1


def wrapped(text: str, width: int, *, first: str = "", rest: str = "") -> str:
    """`first` and `rest` stand before the first line and the others. A word that is too long has a line of its own."""
    return "\n".join(_lines(text.split(), width, first, rest))


def _lines(words: list[str], width: int, first: str, rest: str) -> Iterator[str]:
    line, empty = first, True
    for word in words:
        if not empty and width_of(line) + 1 + width_of(word) > width:
            yield line
            line, empty = rest, True
        line = f"{line}{'' if empty else ' '}{word}"
        empty = False
    yield line


def filled(text: str, width: int) -> str:
    """With blanks to a width."""
    return text + " " * (width - width_of(text))
