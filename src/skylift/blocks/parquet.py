"""Parquet: row groups and footers. Only what is asked for is fetched."""

from __future__ import annotations

import bisect
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

from skylift.blocks.errors import SourceInvalid
from skylift.errors import SetupError

_BATCH = 4096
_BUFFER = 1 << 16
LOOKED_AT = 64 << 10
"""The end of a source that pyarrow reads first, at least."""
TAIL = 8
"""The last bytes: the footer's length, and what marks the format."""
_MAGIC = b"PAR1"


class Group(NamedTuple):
    """A row group."""

    start: int
    end: int


def library() -> Any:
    """pyarrow.parquet."""
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise SetupError("Parquet needs pyarrow where it is read", hint="pip install 'skylift[data]'") from error
    return pq


def footer_start(tail: bytes, size: int, url: str) -> int:
    """Where the footer begins, from the last bytes of a source."""
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > size - TAIL - len(_MAGIC):
        raise SourceInvalid(
            f"{url} is no Parquet: it ends with {tail[4:]!r}", hint="name format= if it is of another kind"
        )
    return size - TAIL - length


def groups(file: BinaryIO, url: str) -> list[Group]:
    """The row groups with the bytes that each takes."""
    pq = library()
    try:
        metadata = pq.ParquetFile(file).metadata
    except Exception as error:
        raise SourceInvalid(f"the footer of {url} cannot be read: {error}") from error
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(index) for index in range(group.num_columns)]
        starts = [_first(column) for column in columns]
        ends = [_first(column) + column.total_compressed_size for column in columns]
        found.append(Group(min(starts, default=0), max(ends, default=0)))
    return found


def table(file: BinaryIO, row_groups: list[int], columns: list[str] | None) -> Any:
    """The rows of these groups."""
    with library().ParquetFile(file) as opened:
        check_columns(columns, opened.schema_arrow.names)
        return opened.read_row_groups(row_groups, columns=columns)


def check_columns(wanted: list[str] | None, here: Sequence[str]) -> None:
    """Raises SourceInvalid for columns that are not there: pyarrow would leave them out without a word. `a.b` is a
    part of the column `a`."""
    lacking = [name for name in wanted or () if name not in here and name.partition(".")[0] not in here]
    if lacking:
        raise SourceInvalid(
            f"there is no column {', '.join(map(repr, lacking))}", hint=f"the columns are {', '.join(here) or 'none'}"
        )


def rows(file: BinaryIO, row_groups: list[int]) -> Iterator[dict[str, Any]]:
    with library().ParquetFile(file) as opened:
        for batch in opened.iter_batches(batch_size=_BATCH, row_groups=row_groups):
            yield from batch.to_pylist()


class Sparse(io.RawIOBase):
    """A source of which only some ranges are here; what else is read of it is fetched then."""

    def __init__(self, size: int, fetch: Callable[[int, int], BinaryIO]) -> None:
        self._size = size
        self._fetch = fetch
        self._starts: list[int] = []
        self._held: list[tuple[int, BinaryIO]] = []
        self._at = 0

    def hold(self, start: int, end: int) -> None:
        """Have this range here from now on."""
        file = self._fetch(start, end)
        index = bisect.bisect(self._starts, start)
        self._starts.insert(index, start)
        self._held.insert(index, (end, file))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        data = self._read(self._at, self._at + wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, start: int, end: int) -> bytes:
        index = bisect.bisect(self._starts, start) - 1
        if index < 0 or self._held[index][0] <= start:
            following = self._starts[index + 1] if index + 1 < len(self._starts) else end
            self.hold(start, min(end, following))
            return self._read(start, end)
        until, file = self._held[index]
        file.seek(start - self._starts[index])
        return file.read(min(end, until) - start)

    def close(self) -> None:
        if not self.closed:
            for _, file in self._held:
                file.close()
        super().close()


def whole_reads(file: io.RawIOBase) -> BinaryIO:
    """A file whose reads are never short, as pyarrow wants them."""
    return cast(BinaryIO, io.BufferedReader(file, _BUFFER))


def _first(column: Any) -> int:
    """Where a column's bytes begin: its dictionary, if it has one, stands before its data."""
    start = int(column.data_page_offset)
    if column.has_dictionary_page and column.dictionary_page_offset is not None:
        start = min(start, int(column.dictionary_page_offset))
    return start
