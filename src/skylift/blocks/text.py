"""Records of CSV and JSON Lines, from an open file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeVar

from skylift.blocks.dialect import Dialect
from skylift.blocks.errors import SourceInvalid

T = TypeVar("T")

_SHOWN = 80


def decoded(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """Newlines stay as they are."""
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def explained(records: Iterator[T], url: str, encoding: str) -> Iterator[T]:
    """The same, with errors that name the source."""
    try:
        yield from records
    except UnicodeDecodeError as error:
        raise SourceInvalid(
            f"{url} is not {encoding}: {error}", hint='name its encoding: split(…, encoding="latin-1")'
        ) from error
    except csv.Error as error:
        raise SourceInvalid(f"{url} is no CSV as it is described: {error}", hint="check delimiter=, quote=") from error


def csv_rows(file: BinaryIO, dialect: Dialect, names: list[str] | None, encoding: str) -> Iterator[dict[str, Any]]:
    """Records by column name, as csv.DictReader gives them. Without names the first record names the columns."""
    with decoded(file, encoding) as lines:
        records = dialect.reader(lines)
        columns = names if names is not None else next(records, [])
        width = len(columns)
        for record in records:
            row: dict[Any, Any] = dict(zip(columns, record, strict=False))
            if len(record) > width:
                row[None] = record[width:]
            elif len(record) < width:
                row.update(dict.fromkeys(columns[len(record) :]))
            yield row


def first_record(head: bytes, dialect: Dialect) -> list[str]:
    """The names in a header."""
    with decoded(io.BytesIO(head), dialect.at_start()) as lines:
        return next(dialect.reader(lines), [])


def json_rows(file: BinaryIO, encoding: str, url: str, start: int) -> Iterator[Any]:
    """One value a line; empty lines are left out. `start` is where the file begins in the source, for messages."""
    at = start
    with file:
        for line in file:
            text = line.decode("utf-8-sig" if at == 0 and encoding == "utf-8-sig" else _inside(encoding))
            if text.strip():
                yield _value(text, url, at)
            at += len(line)


def _inside(encoding: str) -> str:
    return "utf-8" if encoding == "utf-8-sig" else encoding


def _value(text: str, url: str, at: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        shown = text.strip()
        shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
        raise SourceInvalid(
            f"{url}: the line at byte {at} is no JSON: {error}: {shown!r}",
            hint="JSON Lines have one value on each line; name format= if the source is of another kind",
        ) from error


def text_lines(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Lines without their ends (`\\n` or `\\r\\n`)."""
    with decoded(file, encoding) as text:
        for line in _joined(text):
            yield line.removesuffix("\n").removesuffix("\r")


def _joined(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines that end with `\\n`: the wrapper also ends them at a lone `\\r`."""
    held = ""
    for line in text:
        held += line
        if line.endswith("\n"):
            yield held
            held = ""
    if held:
        yield held
