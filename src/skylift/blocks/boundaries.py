"""Where a text source is cut: at the first end of a record at or after each multiple of the block size.

Both ways give the same cuts where no quoted field holds a newline. `cuts_in` reads everything once, since whether a
newline lies inside quotes cannot be known from the middle; `cuts_near` asks for a few bytes at each cut.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from skylift.blocks.quotes import QuoteScanner

_PROBE = 64 << 10
_AT_ONCE = 16
_AT_A_TIME = 4096
"""Cuts whose search has begun: there may be billions of them."""


class Cut(NamedTuple):
    """The end of a block."""

    end: int
    crc32: int
    """Of the block that ends here."""


def cuts_in(pieces: Iterable[bytes], scanner: QuoteScanner, *, head: bytes, block: int) -> Iterator[Cut]:
    """The ends of all blocks of a source. `head` is what stands before the first record and belongs to the first block;
    the pieces are what follows."""
    at, crc, last = len(head), zlib.crc32(head), False
    goal = _after(at, block) - 1  # a newline there ends a block exactly at its size
    for piece in pieces:
        here, done, base = 0, 0, at
        while here < len(piece):
            if base + here < goal:
                until = min(len(piece), goal - base)
                scanner.feed(piece, here, until)
                here = until
                continue
            found = scanner.find(piece, here, len(piece))
            if found is None:
                break
            crc = zlib.crc32(memoryview(piece)[done:found], crc)
            yield Cut(base + found, crc)
            here = done = found
            crc, goal = 0, _after(base + found, block) - 1
        crc = zlib.crc32(memoryview(piece)[done:], crc)
        at = base + len(piece)
        last = done == len(piece)
    if at and not last:
        yield Cut(at, crc)


def cuts_near(
    read: Callable[[int, int], bytes], *, start: int, size: int, block: int, most: int = sys.maxsize
) -> list[int]:
    """The ends of all blocks, found by reading around each multiple of the block size only. Newlines end records.
    Beyond `most` of them none is looked for."""

    def probe(target: int) -> int | None:
        """The first end of a record from `target` up to the next multiple, which is looked at by itself."""
        limit = min(target + block, size) - 1
        at, step = target - 1, _PROBE
        while at < limit:
            piece = read(at, min(at + step, limit))
            found = piece.find(b"\n")
            if found >= 0:
                return at + found + 1
            at, step = at + len(piece), step * 4
        return None

    targets = range(_after(start, block), size, block)
    found: list[int] = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="skylift-split") as pool:
        for at in range(0, len(targets), _AT_A_TIME):
            ends = pool.map(probe, targets[at : at + _AT_A_TIME])
            found += [end for end in ends if end is not None and end < size]
            if len(found) > most:
                break
    return [*found, size]


def spans(ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Blocks from their ends; the first one begins with the source."""
    start = 0
    for end in ends:
        yield start, end
        start = end


def _after(at: int, block: int) -> int:
    """The next multiple of the block size beyond `at`."""
    return (at // block + 1) * block
