"""Blocks of text as frames and tables, by the libraries that make them."""

from __future__ import annotations

from typing import Any, BinaryIO

from skylift.blocks.dialect import Dialect
from skylift.errors import SetupError


def pandas_csv(
    file: BinaryIO, dialect: Dialect, names: list[str] | None, columns: list[str] | None, options: dict[str, Any]
) -> Any:
    pd = _pandas()
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
    return frame if columns is None else frame[columns]


def arrow_csv(file: BinaryIO, dialect: Dialect, names: list[str] | None, columns: list[str] | None) -> Any:
    _arrow()
    import pyarrow.csv as reader

    with file:
        return reader.read_csv(
            file,
            read_options=reader.ReadOptions(column_names=names, encoding=dialect.encoding),
            parse_options=reader.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                escape_char=dialect.escape or False,
                newlines_in_values=True,
            ),
            convert_options=reader.ConvertOptions(include_columns=columns),
        )


def arrow_json(file: BinaryIO, columns: list[str] | None) -> Any:
    _arrow()
    import pyarrow.json as reader

    with file:
        found = reader.read_json(file)
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
