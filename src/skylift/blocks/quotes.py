"""Where records of a CSV file end: newlines outside quotes, found at the speed of a search.

The rules are those of Python's csv module: a quote opens a field only as its first character, a doubled quote inside is
a quote, what follows a closing quote up to the next delimiter is plain, and an escape makes the next character plain.
All that matters is ASCII, so UTF-8 and the single-byte encodings need no decoding.
"""

from __future__ import annotations

import re
import sys
from enum import Enum

_NEWLINE = 0x0A
_NEUTRAL = ord("x")
_LOOP = "*+" if sys.version_info >= (3, 11, 5) else "*"
"""Before 3.11.5 Python matches a possessive loop around alternatives wrongly (python/cpython#106052): Debian 12 has
3.11.2. As nothing follows the loop a greedy one stops at the same place; it only remembers each turn, which takes
several times the memory of a piece."""


class Where(Enum):
    """Between which characters the scan stands."""

    OUTSIDE = 1
    INSIDE = 2
    CLOSED = 3
    """After a quote inside quotes: the end of the field, or the first half of a doubled quote."""
    ESCAPED = 4
    """After an escape outside quotes: the next character is plain."""
    ESCAPED_INSIDE = 5


class QuoteScanner:
    """Reads a file's bytes in pieces of any size, and knows after each whether a newline there would end a record."""

    def __init__(self, *, delimiter: str = ",", quote: str | None = '"', escape: str | None = None) -> None:
        self._where = Where.OUTSIDE
        self._before = _NEWLINE
        """The last byte outside, as far as it decides whether a quote opens a field."""
        self._quote = -1 if quote is None else ord(quote)
        self._escape = None if escape is None else ord(escape)
        self._opens = frozenset((ord(delimiter), 0x0A, 0x0D))
        self._special = [character.encode() for character in (quote, escape) if character is not None]
        self._skip, self._line, self._inside = _patterns(delimiter, quote, escape)

    def feed(self, data: bytes, start: int, end: int) -> None:
        """Take in `data[start:end]`."""
        if self._where is Where.OUTSIDE and start < end and self._plain(data, start, end):
            self._before = data[end - 1]
            return
        self._run(self._skip, data, start, end)

    def find(self, data: bytes, start: int, end: int) -> int | None:
        """The position after the first newline in `data[start:end]` that ends a record. What stands before that is
        taken in; all of it, if there is none."""
        if self._where is Where.OUTSIDE and start < end:
            newline = data.find(b"\n", start, end)
            until = end if newline < 0 else newline + 1
            if self._plain(data, start, until):
                self._before = data[until - 1]
                return None if newline < 0 else until
        at = self._run(self._line, data, start, end)
        if at < end:
            self._before = _NEWLINE
            return at + 1
        return None

    def _plain(self, data: bytes, start: int, end: int) -> bool:
        return all(data.find(character, start, end) < 0 for character in self._special)

    def _run(self, outside: re.Pattern[bytes], data: bytes, start: int, end: int) -> int:
        """Up to where the pattern for what is outside stops: `end`, or a newline that it does not take."""
        at = start
        while at < end:
            if self._where is not Where.OUTSIDE:
                at = self._leave(data, at, end)
                continue
            if data[at] == self._quote:  # the patterns would judge it by the byte before, which may have been escaped
                self._where = Where.INSIDE if self._before in self._opens else Where.OUTSIDE
                self._before, at = self._quote, at + 1
                continue
            stopped = _end_of(outside, data, at, end)
            if stopped > at:
                self._before = data[stopped - 1]
            at = stopped
            if at == end or data[at] == _NEWLINE:
                return at
            at = self._enter(data, at, end)
        return end

    def _enter(self, data: bytes, at: int, end: int) -> int:
        """What the pattern leaves: a quoted field or an escape that these bytes do not hold in full."""
        if data[at] == self._escape:
            if at + 1 == end:
                self._where = Where.ESCAPED
                return end
            self._before = _NEUTRAL
            return at + 2
        self._where = Where.INSIDE
        return at + 1

    def _leave(self, data: bytes, at: int, end: int) -> int:
        """From anywhere but outside: on to the next place that matters."""
        if self._where is Where.CLOSED:
            if data[at] == self._quote:
                self._where = Where.INSIDE
                return at + 1
            self._where, self._before = Where.OUTSIDE, self._quote
            return at + (data[at] == self._escape)  # which escapes nothing there
        if self._where is Where.ESCAPED:
            self._where, self._before = Where.OUTSIDE, _NEUTRAL
            return at + 1
        if self._where is Where.ESCAPED_INSIDE:
            self._where = Where.INSIDE
            return at + 1
        at = _end_of(self._inside, data, at, end)
        if at < end:
            self._where = Where.ESCAPED_INSIDE if data[at] == self._escape else Where.CLOSED
            at += 1
        return at


def _end_of(pattern: re.Pattern[bytes], data: bytes, start: int, end: int) -> int:
    found = pattern.match(data, start, end)
    return start if found is None else found.end()


def _patterns(
    delimiter: str, quote: str | None, escape: str | None
) -> tuple[re.Pattern[bytes], re.Pattern[bytes], re.Pattern[bytes]]:
    """Outside over newlines, outside up to a newline, inside. No pattern ever goes back over what it has matched."""
    if quote is None:
        return _unquoted(escape)
    q, opens = _class(quote), _class(delimiter + "\r\n")
    e = "" if escape is None else _class(escape)
    inside = f"[^{q}{e}]*+(?:[{q}][{q}][^{q}{e}]*+)*+"
    if escape is not None:
        inside = f"[^{q}{e}]*+(?:(?:[{q}][{q}]|[{e}].)[^{q}{e}]*+)*+"
    closed = "" if escape is None else f"[{e}]?+"
    quoted = rf"(?<=[{opens}])[{q}]{inside}[{q}](?!\Z){closed}"
    literal = f"(?<![{opens}])[{q}]"
    token = f"{quoted}|{literal}"
    if escape is not None:
        token += rf"|[{e}].(?!\Z)[{q}]*+"
    skip = f"[^{q}{e}]*+(?:(?:{token})[^{q}{e}]*+){_LOOP}"
    line = rf"[^{q}{e}\n]*+(?:(?:{token})[^{q}{e}\n]*+){_LOOP}"
    return _compiled(skip), _compiled(line), _compiled(inside)


def _unquoted(escape: str | None) -> tuple[re.Pattern[bytes], re.Pattern[bytes], re.Pattern[bytes]]:
    if escape is None:
        return _compiled(".*+"), _compiled(r"[^\n]*+"), _compiled(".*+")
    e = _class(escape)
    skip, line = (f"[^{e}{stop}]*+(?:[{e}].[^{e}{stop}]*+)*+" for stop in ("", r"\n"))
    return _compiled(skip), _compiled(line), _compiled(".*+")


def _compiled(text: str) -> re.Pattern[bytes]:
    return re.compile(text.encode("ascii"), re.DOTALL)


def _class(characters: str) -> str:
    """For use between brackets."""
    return "".join(f"\\x{ord(character):02x}" for character in characters)
