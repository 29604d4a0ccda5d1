"""A range of bytes of one version of a source, wherever it is fetched from."""

from __future__ import annotations

import hashlib

import msgspec


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """`start` up to `end`, without `end`."""

    url: str
    mirrors: tuple[tuple[str, str], ...] = ()
    """Further places of the very same bytes: URL and version, since each store names versions its own way."""
    version: str
    """What changes with the source's content; empty where its store tells nothing of the kind."""
    size: int
    """Of the whole source."""
    start: int
    end: int
    checksum: str | None = None
    """`crc32:`, `md5:` or `sha256:` and hexadecimal digits, of this range."""
    ranges: bool = True
    """Whether its store gives parts. If not, this is the whole source, and it comes in one piece."""

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def key(self) -> str:
        """Names the content: the same for the same range of the same version of the same source."""
        text = "\n".join((self.url, self.version, str(self.size), str(self.start), str(self.end)))
        return hashlib.sha256(text.encode()).hexdigest()
