"""How the text of a source is written."""

from __future__ import annotations

import codecs
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skylift.blocks.errors import SourceInvalid

_SAFE = ("utf-8", "ascii", "iso8859", "latin", "cp125", "cp437", "cp85", "koi8", "mac-", "euc_")
"""Encodings in which a byte below 128 is always the ASCII character: newlines are found without decoding."""
_WIDE = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Of CSV; JSON Lines have an encoding only."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    columns: list[str] | None = None
    """Names, where the source has no header line."""

    def check(self) -> None:
        """Raises SourceInvalid, naming what cannot be."""
        try:
            name = codecs.lookup(self.encoding).name
        except (LookupError, ValueError, TypeError):
            raise SourceInvalid(f"encoding={self.encoding!r} is not known", hint='write for example "utf-8"') from None
        if not name.startswith(_SAFE) or name == "utf-8-sig":
            raise SourceInvalid(
                f"encoding={self.encoding!r}: text in {name} cannot be cut without decoding all of it",
                hint="convert the source to utf-8; a byte order mark at its start is understood and needs no encoding=",
            )
        for field in ("delimiter", "quote", "escape"):
            value = getattr(self, field)
            if value is None and field != "delimiter":
                continue
            if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
                raise SourceInvalid(f"{field}={value!r} must be one ASCII character, and no newline")
        used = [one for one in (self.delimiter, self.quote, self.escape) if one is not None]
        if len(set(used)) != len(used):
            raise SourceInvalid(f"delimiter, quote and escape must differ, got {', '.join(map(repr, used))}")
        if self.columns is not None:
            _check_names(self.columns)

    def at_start(self) -> str:
        """The encoding for the start of a source, where a byte order mark may stand."""
        return "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding

    def reader(self, lines: Any) -> Iterator[list[str]]:
        """Records of CSV text, empty lines left out. Fields may be of any size."""
        if csv.field_size_limit() < sys.maxsize:
            csv.field_size_limit(sys.maxsize)
        found = csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or '"',
            escapechar=self.escape,
            quoting=csv.QUOTE_MINIMAL if self.quote is not None else csv.QUOTE_NONE,
        )
        return (record for record in found if record)


def _check_names(columns: Any) -> None:
    named = isinstance(columns, list | tuple) and all(isinstance(one, str) for one in columns)
    if not named or not columns or len(set(columns)) != len(columns):
        raise SourceInvalid(
            f"columns={columns!r} are no names of columns", hint='give a list of different texts: ["id", "name"]'
        )


def refuse_wide(url: str, head: bytes) -> None:
    """Raises SourceInvalid for text that says of itself that it is UTF-16 or UTF-32."""
    for mark, name in _WIDE:
        if head.startswith(mark):
            raise SourceInvalid(
                f"{url} is {name}: its newlines cannot be found without decoding all of it",
                hint="convert it to utf-8, for example with `iconv -f utf-16 -t utf-8`",
            )
