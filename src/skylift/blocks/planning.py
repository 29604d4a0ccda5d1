"""Cutting one source into blocks."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from skylift.blocks import parquet
from skylift.blocks.block import Block, Format, Mirror
from skylift.blocks.boundaries import cuts_in, cuts_near, spans
from skylift.blocks.checksums import hasher
from skylift.blocks.compressed import split_suffix
from skylift.blocks.content import changed
from skylift.blocks.dialect import Dialect, refuse_wide
from skylift.blocks.download import mib, read, stat_of, stream
from skylift.blocks.errors import SourceInvalid
from skylift.blocks.extent import Extent
from skylift.blocks.locate import format_of, name_of
from skylift.blocks.origins import local_path
from skylift.blocks.places import places_of
from skylift.blocks.quotes import QuoteScanner

_HEAD = 64 << 10
_LONGEST_HEADER = 64 << 20
MOST_BLOCKS = 100_000
"""Of one `split`: an inline Map holds them all."""
_MARK = b"\xef\xbb\xbf"
_STREAMS = threading.BoundedSemaphore(2)
"""Sources that are read whole at once: each takes some 32 MiB of memory."""

_log = logging.getLogger("skylift.blocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How sources are to be cut."""

    block: int
    format: Format | None
    dialect: Dialect
    quoted_newlines: bool
    mirrors: tuple[str, ...]
    checksum: str | None


def too_many(number: int, block: Any) -> SourceInvalid:
    """More than MOST_BLOCKS; what is beyond may not have been counted."""
    said = f"{number} blocks" if number > MOST_BLOCKS + 1 else f"more than {MOST_BLOCKS} blocks"
    return SourceInvalid(f"{said} are too many for one map", hint=f"make block={block!r} larger")


def plan(url: str, wish: Wish) -> list[Block]:
    """The blocks of a source, in order. Together they hold every record once."""
    (first, stat), *mirrors = places_of(url, wish.mirrors)
    if stat.size == 0:
        return []
    whole = Block(
        url=first,
        format=_format(url, wish),
        index=0,
        start=0,
        end=stat.size,
        size=stat.size,
        version=stat.version,
        compression=split_suffix(name_of(url))[1] or stat.compression,
        dialect=wish.dialect,
        checksum=wish.checksum or stat.checksum,
        mirrors=[Mirror(url=place, version=other.version) for place, other in mirrors],
        ranges=stat.ranges,
    )
    blocks = _cut(whole, wish)
    _log.info("%s: %s, %d block%s", first, mib(stat.size), len(blocks), "" if len(blocks) == 1 else "s")
    return blocks


def _cut(whole: Block, wish: Wish) -> list[Block]:
    if whole.format == "parquet":
        return _parquet_blocks(whole, wish)
    if whole.size <= wish.block:
        return [whole]
    if whole.compression is not None or not whole.ranges:
        reason = f"is compressed ({whole.compression})" if whole.compression else "is on a server without ranges"
        _log.info("%s %s, so it cannot be cut: one block", whole.url, reason)
        return [whole]
    head = _head(whole)
    if _newlines_decide(whole, wish):
        starts = 0 if whole.format != "csv" else len(head)
        ends = cuts_near(_reader(whole), start=starts, size=whole.size, block=wish.block, most=MOST_BLOCKS)
        if len(ends) > MOST_BLOCKS:
            raise too_many(len(ends), wish.block)
        return [_part(whole, number, span, len(head)) for number, span in enumerate(spans(ends))]
    return _scanned(whole, head, wish)


def _newlines_decide(whole: Block, wish: Wish) -> bool:
    """Whether a newline always ends a record, and nothing asks for all bytes to be read."""
    if wish.checksum is not None:
        return False
    dialect = whole.dialect
    plain = whole.format != "csv" or (dialect.quote is None and dialect.escape is None)
    return plain or not wish.quoted_newlines


def _scanned(whole: Block, head: bytes, wish: Wish) -> list[Block]:
    """One pass over all bytes, which also gives each block its checksum."""
    rest = Extent(
        url=whole.url,
        version=whole.version,
        size=whole.size,
        start=len(head),
        end=whole.size,
        mirrors=tuple((mirror.url, mirror.version) for mirror in whole.mirrors),
    )
    with _STREAMS:
        pieces = _checked(stream(rest), head, wish.checksum, rest)
        cuts = list(islice(cuts_in(pieces, _scanner(whole, wish), head=head, block=wish.block), MOST_BLOCKS + 1))
    if len(cuts) > MOST_BLOCKS:
        raise too_many(len(cuts), wish.block)
    if not whole.mirrors:  # each answer has said of which version it is; this is for those that do not
        _check_unchanged(rest)
    local = local_path(whole.url) is not None
    return [
        _part(whole, number, span, len(head), checksum=None if local else f"crc32:{cut.crc32:08x}")
        for number, (span, cut) in enumerate(zip(spans([cut.end for cut in cuts]), cuts, strict=True))
    ]


def _check_unchanged(extent: Extent) -> None:
    now = stat_of(extent.url)
    if (now.version, now.size) != (extent.version, extent.size):
        raise changed(extent, f"{extent.version}, {extent.size} bytes before, {now.version}, {now.size} bytes after")


def _scanner(whole: Block, wish: Wish) -> QuoteScanner:
    dialect = whole.dialect
    if whole.format != "csv" or not wish.quoted_newlines:
        return QuoteScanner(quote=None)
    return QuoteScanner(delimiter=dialect.delimiter, quote=dialect.quote, escape=dialect.escape)


def _checked(pieces: Iterator[bytes], head: bytes, checksum: str | None, extent: Extent) -> Iterator[bytes]:
    """The same pieces; all of them, with the head, must match the checksum."""
    if checksum is None:
        yield from pieces
        return
    found = hasher(checksum)
    found.update(head)
    for piece in pieces:
        found.update(piece)
        yield piece
    if found.hexdigest() != checksum.partition(":")[2]:
        raise changed(extent, f"it is {checksum.partition(':')[0]}:{found.hexdigest()}, not {checksum}")


def _head(whole: Block) -> bytes:
    """What stands before the first record: a byte order mark, and of CSV the header."""
    reader = _reader(whole)
    data = reader(0, min(_HEAD, whole.size))
    refuse_wide(whole.url, data)
    mark = len(_MARK) if data.startswith(_MARK) and whole.dialect.at_start() == "utf-8-sig" else 0
    if whole.format != "csv" or whole.dialect.columns is not None:
        return data[:mark]
    while True:
        end = _header_end(data, mark, whole)
        if end is not None:
            return data[:end]
        if len(data) >= whole.size:
            return data
        if len(data) >= _LONGEST_HEADER:
            raise SourceInvalid(
                f"the first record of {whole.url} has no end within {mib(len(data))}",
                hint="check delimiter=, quote= and escape=, or name format= if it is of another kind",
            )
        data += reader(len(data), min(len(data) * 4, whole.size))


def _header_end(data: bytes, mark: int, whole: Block) -> int | None:
    """After the first record that is not empty."""
    dialect = whole.dialect
    scanner = QuoteScanner(delimiter=dialect.delimiter, quote=dialect.quote, escape=dialect.escape)
    start = mark
    while (end := scanner.find(data, start, len(data))) is not None:
        if data[start:end].strip(b"\r\n"):
            return end
        start = end
    return None


def _reader(whole: Block) -> Callable[[int, int], bytes]:
    """Short ranges of a source."""
    extent = whole.extent(0, whole.size)
    return lambda start, end: read(msgspec.structs.replace(extent, start=start, end=end, checksum=None))


def _part(whole: Block, number: int, span: tuple[int, int], header: int, **facts: Any) -> Block:
    known = {name: getattr(whole, name) for name in whole.__dataclass_fields__}
    start, end = span
    changes = {"index": number, "start": start, "end": end, "header": header, "checksum": None, **facts}
    return Block(**{**known, **changes})


def _parquet_blocks(whole: Block, wish: Wish) -> list[Block]:
    if whole.compression is not None:
        raise SourceInvalid(f"{whole.url} is Parquet within {whole.compression}", hint="decompress it: it is so inside")
    if whole.size <= 2 * parquet.TAIL:
        raise SourceInvalid(f"{whole.url} is no Parquet: {whole.size} bytes", hint="name format= if it is another kind")
    tail = _reader(whole)(whole.size - parquet.TAIL, whole.size)
    footer = parquet.footer_start(tail, whole.size, whole.url)
    _check_whole(whole, wish.checksum)
    with _part(whole, 0, (0, whole.size), footer).parquet_file(whole=False) as file:
        found = parquet.groups(file, whole.url)
    blocks: list[Block] = []
    held: list[int] = []
    start, end = whole.size, 0
    for number, group in enumerate(found):
        held.append(number)
        start, end = min(start, group.start), max(end, group.end)  # they may stand in any order
        if end - start >= wish.block or number == len(found) - 1:
            blocks.append(_part(whole, len(blocks), (start, end), footer, row_groups=held))
            held, start, end = [], whole.size, 0
    return blocks


def _check_whole(whole: Block, checksum: str | None) -> None:
    """Parts of a source have no checksum of their own, so all of it is read once."""
    if checksum is not None:
        extent = whole.extent(0, whole.size)
        with _STREAMS:
            deque(_checked(stream(extent), b"", checksum, extent), maxlen=0)


def _format(url: str, wish: Wish) -> Any:
    found = wish.format or format_of(url)
    if found is None:
        raise SourceInvalid(f"the name of {url} tells no format", hint='say format="csv", "jsonl", "parquet" or "text"')
    return found
