"""Where the bytes of a source are: one protocol over local files, HTTP and everything fsspec opens."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from skylift.blocks.errors import SourceInvalid

PIECE = 1 << 20
"""Bytes that are handed on at once."""


class Stat(msgspec.Struct, frozen=True, kw_only=True):
    """What a store says of a source."""

    size: int
    """-1 where it does not say."""
    version: str
    """Changes with the content; empty where the store tells nothing of the kind."""
    ranges: bool = True
    """Whether a part can be asked for."""
    checksum: str | None = None
    """Of the whole content, where the store knows one: `md5:…`."""
    compression: str | None = None
    """That the store has put around the content, whatever its name says."""


class Unreachable(Exception):
    """An origin could not give what it was asked for. `final`: asking again is no use."""

    def __init__(self, reason: str, *, final: bool = False, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.final = final
        self.wait_s = wait_s
        """How long the store asks to wait."""


class Origin(Protocol):
    """One place of a source. Raises Unreachable; what came before that is good. May be used by many threads."""

    url: str
    tells: bool
    """Whether each answer says of which version it is. If not, it is asked for once more when all has come: a version
    that was there before and after was there in between."""

    def stat(self) -> Stat: ...

    def read(self, start: int, end: int, version: str) -> Iterator[bytes]:
        """The bytes of this range in pieces. Raises SourceChanged where an answer is of another version."""
        ...


class LocalOrigin:
    """A file of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = str(path)
        self.tells = False

    def stat(self) -> Stat:
        try:
            found = self.path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise Unreachable("it is a folder, pipe or device, and only files can be cut", final=True)
            untold = found.st_size == 0 and self._has_content()
        except OSError as error:
            raise Unreachable(error.strerror or str(error), final=True) from error
        return Stat(size=-1 if untold else found.st_size, version=file_version(found))

    def _has_content(self) -> bool:
        """Some files of the system (`/proc`) say that they are empty, and are not."""
        with self.path.open("rb", buffering=0) as file:
            return bool(file.read(1))

    def read(self, start: int, end: int, version: str) -> Iterator[bytes]:
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(start)
                left = end - start
                while left > 0:
                    piece = file.read(min(PIECE, left))
                    if not piece:
                        raise Unreachable(f"it ends {left} bytes too soon", final=True)
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise Unreachable(error.strerror or str(error), final=True) from error


def file_version(found: os.stat_result) -> str:
    """Of a file of this machine."""
    return f"mtime:{found.st_mtime_ns}"


def local_path(url: str) -> Path | None:
    """The path that a URL without a scheme or with `file://` means; None for a place elsewhere."""
    if url.startswith("file://"):
        from urllib.parse import unquote, urlsplit

        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise SourceInvalid(
                f"{url!r} names the host {parts.netloc!r}", hint="a local file is file:///PATH, with three slashes"
            )
        return Path(unquote(parts.path))
    return None if "://" in url else Path(url).expanduser()
