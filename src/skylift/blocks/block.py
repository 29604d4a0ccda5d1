"""`Block`: a part of a source that holds whole records, small enough to be sent anywhere and read there."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, TypeVar

from skylift.blocks import parquet, tables, text
from skylift.blocks.compressed import decompressed
from skylift.blocks.content import open_extent
from skylift.blocks.dialect import Dialect
from skylift.blocks.errors import SourceInvalid
from skylift.blocks.extent import Extent

T = TypeVar("T")
Format = Literal["csv", "jsonl", "parquet", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Another place of the same bytes."""

    url: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What `split` gives: bytes `start` to `end` of a source, as plain data. The bytes are fetched when they are read.

    Reading raises SourceChanged if the source is no longer the one that was split, SourceUnavailable if it cannot be
    had. A block may be read any number of times; one from elsewhere is kept on this machine's disk for the next time.
    """

    url: str
    format: Format
    index: int
    """Its number in its source, from 0."""
    start: int
    end: int
    size: int
    """Of the whole source."""
    version: str
    """ETag or time of change; empty where the source's store tells none."""
    header: int = 0
    """Where the records of the source begin; where a Parquet footer begins."""
    row_groups: list[int] = field(default_factory=list)
    """Of Parquet."""
    compression: str | None = None
    """Compressed sources cannot be cut: they are one block."""
    dialect: Dialect = field(default_factory=Dialect)
    checksum: str | None = None
    mirrors: list[Mirror] = field(default_factory=list)
    ranges: bool = True
    """Whether the store gives parts of it."""

    @property
    def key(self) -> str:
        """Names the content in caches."""
        return self.extent(self.start, self.end).key

    def open(self) -> BinaryIO:
        """The block's bytes, decompressed, as a file. Those of all blocks in order are the source, with its header."""
        return decompressed(open_extent(self.extent(self.start, self.end)), self.compression, self.url)

    def bytes(self) -> bytes:
        with self.open() as file:
            return file.read()

    def text(self) -> str:
        """The block's text as it stands there. Raises SourceInvalid for Parquet."""
        with text.decoded(self._text_file(), self._encoding()) as file:
            return "".join(self._explained(iter(file.read, "")))

    def lines(self) -> Iterator[str]:
        """Lines of text without their ends, a header included."""
        return self._explained(text.text_lines(self._text_file(), self._encoding()))

    def rows(self) -> Iterator[Any]:
        """Records: of CSV dicts of texts by column, of JSON Lines what each line holds, of Parquet dicts."""
        if self.format == "csv":
            return self._explained(text.csv_rows(self.open(), self.dialect, self._names(), self._encoding()))
        if self.format == "jsonl":
            return self._explained(text.json_rows(self.open(), self._encoding(), self.url, self.start))
        if self.format == "parquet":
            return tables.explained_rows(lambda: parquet.rows(self.parquet_file(), self.row_groups), self.url)
        return ({"line": line} for line in self.lines())

    def pandas(self, columns: list[str] | None = None, **options: Any) -> Any:
        """A pandas frame. `options` go to pandas' reader (`dtype=` keeps the types of all blocks alike)."""
        if self.format == "parquet":
            return self.arrow(columns).to_pandas(**options)
        with tables.explained(self.url):
            if self.format == "csv":
                return tables.pandas_csv(self._whole_table(), self.dialect, columns, options)
            return tables.pandas_json(self._text_file(), self._encoding(), columns, options)

    def arrow(self, columns: list[str] | None = None) -> Any:
        """An Arrow table. Of Parquet only the bytes of these columns are fetched."""
        with tables.explained(self.url):
            if self.format == "parquet":
                return parquet.table(self.parquet_file(whole=columns is None), self.row_groups, columns)
            if self.format == "csv":
                return tables.arrow_csv(self._whole_table(), self.dialect, columns)
            return tables.arrow_json(self._text_file(), self._encoding(), columns)

    def parquet_file(self, *, whole: bool = True) -> BinaryIO:
        """The source as pyarrow wants it, with footer and, if it is all needed, row groups here."""
        if not self.ranges or "://" not in self.url:
            return open_extent(self.extent(0, self.size))
        sparse = parquet.Sparse(self.size, lambda start, end: open_extent(self.extent(start, end)))
        sparse.hold(max(0, min(self.header, self.size - parquet.LOOKED_AT)), self.size)
        if whole:
            sparse.hold(self.start, self.end)
        return parquet.whole_reads(sparse)

    def extent(self, start: int, end: int) -> Extent:
        """A part of the source."""
        return Extent(
            url=self.url,
            version=self.version,
            size=self.size,
            start=start,
            end=end,
            mirrors=tuple((mirror.url, mirror.version) for mirror in self.mirrors),
            checksum=self.checksum if (start, end) == (self.start, self.end) else None,
            ranges=self.ranges,
        )

    def _text_file(self) -> BinaryIO:
        if self.format == "parquet":
            raise SourceInvalid(f"{self.url} is Parquet, which is no text", hint="use rows(), arrow() or pandas()")
        return self.open()

    def _whole_table(self) -> BinaryIO:
        """The block of a CSV with its header before it: readers of tables make of names what they make of them in the
        whole source, for instance `a` and `a.1` of two columns `a`."""
        file = self.open()
        if self.dialect.columns is not None or self.start == 0:
            return file
        return tables.behind(_header_text(self.extent(0, self.header)), file)

    def _explained(self, records: Iterator[T]) -> Iterator[T]:
        return text.explained(records, self.url, self.dialect.encoding)

    def _encoding(self) -> str:
        return self.dialect.at_start() if self.start == 0 else self.dialect.encoding

    def _names(self) -> list[str] | None:
        """Column names, where they do not stand in the block itself."""
        if self.dialect.columns is not None:
            return self.dialect.columns
        return None if self.start == 0 else list(_header(self.extent(0, self.header), self.dialect))


@functools.lru_cache(maxsize=256)
def _header(extent: Extent, dialect: Dialect) -> tuple[str, ...]:
    return tuple(text.first_record(_header_text(extent), dialect))


@functools.lru_cache(maxsize=256)
def _header_text(extent: Extent) -> bytes:
    """Read once in a process for all blocks of a source."""
    with open_extent(extent) as file:
        return file.read()
