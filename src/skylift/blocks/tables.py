"""Blocks of text as frames and tables, by the libraries that make them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar, cast

from skylift.blocks.dialect import Dialect
from skylift.blocks.errors import SourceInvalid
from skylift.blocks.parquet import check_columns
from skylift.errors import SetupError, SkyliftError

T = TypeVar("T")

_BUFFER = 1 << 20
_ALREADY = ("utf-8", "utf-8-sig")
"""Encodings that pyarrow reads as they are."""


@contextmanager
def explained(url: str) -> Iterator[None]:
    """What the libraries raise for content that they cannot read names the source. pyarrow's errors are those of
    Python: ArrowInvalid is a ValueError, ArrowKeyError a KeyError, and a damaged page of Parquet an OSError."""
    try:
        yield
    except SourceInvalid as error:
        if url in error.message:
            raise
        raise SourceInvalid(f"{url}: {error.message}", hint=error.hint) from error
    except SkyliftError:
        raise
    except (ValueError, KeyError, OSError) as error:
        raise SourceInvalid(
            f"{url} cannot be read as a table: {type(error).__name__}: {str(error).strip()}",
            hint="check the names of columns, the options, and whether the source is damaged; rows() reads record by "
            "record",
        ) from error


def explained_rows(rows: Callable[[], Iterator[T]], url: str) -> Iterator[T]:
    with explained(url):
        yield from rows()


def behind(head: bytes, file: BinaryIO) -> BinaryIO:
    """A file with something before it. Closing it closes the file."""
    return cast(BinaryIO, io.BufferedReader(_Behind(head, file), _BUFFER))


class _Behind(io.RawIOBase):
    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = io.BytesIO(head)
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head.read(len(buffer)) or self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def pandas_csv(file: BinaryIO, dialect: Dialect, columns: list[str] | None, options: dict[str, Any]) -> Any:
    """`file` begins with its header, unless the dialect names the columns."""
    pd = _pandas()
    names = dialect.columns
    given = {
        "sep": dialect.delimiter,
        "quotechar": dialect.quote or '"',
        "quoting": 0 if dialect.quote is not None else 3,
        "escapechar": dialect.escape,
        "encoding": dialect.encoding,
        "names": names,
        "header": 0 if names is None else None,
        "usecols": columns,
    }
    with file:
        return pd.read_csv(file, **{**given, **options})


def pandas_json(file: BinaryIO, encoding: str, columns: list[str] | None, options: dict[str, Any]) -> Any:
    with file:
        frame = _pandas().read_json(file, **{"lines": True, "encoding": encoding, **options})
    if columns is not None:
        check_columns(columns, [str(name) for name in frame.columns])
    return frame if columns is None else frame[columns]


def arrow_csv(file: BinaryIO, dialect: Dialect, columns: list[str] | None) -> Any:
    """`file` begins with its header, unless the dialect names the columns."""
    _arrow()
    import pyarrow.csv as reader

    with file:
        return reader.read_csv(
            file,
            read_options=reader.ReadOptions(column_names=dialect.columns, encoding=dialect.encoding),
            parse_options=reader.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                escape_char=dialect.escape or False,
                newlines_in_values=True,
            ),
            convert_options=reader.ConvertOptions(include_columns=columns),
        )


def arrow_json(file: BinaryIO, encoding: str, columns: list[str] | None) -> Any:
    _arrow()
    import pyarrow.json as reader

    with file:
        found = reader.read_json(file if encoding in _ALREADY else io.BytesIO(file.read().decode(encoding).encode()))
    if columns is not None:
        check_columns(columns, found.column_names)
    return found if columns is None else found.select(columns)


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise SetupError("pandas() needs pandas where it is called", hint="pip install 'skylift[data]'") from error
    return pd


def _arrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise SetupError("arrow() needs pyarrow where it is called", hint="pip install 'skylift[data]'") from error
