"""An extent as an open file: a window on a local file, or what the machine's cache holds, fetched if need be."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import msgspec

from skylift.blocks.cache import machine_cache
from skylift.blocks.checksums import matches
from skylift.blocks.download import fetch_into
from skylift.blocks.errors import SourceChanged, SourceUnavailable
from skylift.blocks.extent import Extent
from skylift.blocks.origins import file_version, local_path
from skylift.errors import SkyliftError

_BUFFER = 1 << 20


def open_extent(extent: Extent) -> BinaryIO:
    """The bytes, to be read and sought in. Memory does not grow with the extent.

    Raises SourceChanged where the source is not what it was when it was split, SourceUnavailable where it cannot be
    had.
    """
    path = local_path(extent.url)
    if path is not None and (path.exists() or not extent.mirrors):
        return _window(path, extent)
    return _kept(extent) or _fetched(extent)


class Window(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: IO[bytes], extent: Extent) -> None:
        self._file = file
        self._extent = extent
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._extent.length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._extent.length - self._at)
        if wanted <= 0:
            return 0
        read = os.preadv(self._file.fileno(), [memoryview(buffer)[:wanted]], self._extent.start + self._at)
        self._at += read
        if read == 0 or self._at >= self._extent.length:
            check_file(self._file, self._extent)
        return read

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def check_file(file: IO[bytes], extent: Extent) -> None:
    """Raises SourceChanged where a local file is not the one that was split."""
    now = os.fstat(file.fileno())
    if extent.version and file_version(now) != extent.version:
        raise changed(
            extent, f"{extent.version}, {extent.size} bytes then, {file_version(now)}, {now.st_size} bytes now"
        )


def changed(extent: Extent, what: str) -> SourceChanged:
    return SourceChanged(
        f"{extent.url} has changed since it was split: {what}",
        hint="split it again: start a new run, or keep versions of the source under names of their own",
    )


def _window(path: Path, extent: Extent) -> BinaryIO:
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise SourceUnavailable(
            f"{path} cannot be read: {error.strerror or error}",
            hint="a path means a file of the machine where the step runs; use a URL that all machines can read",
        ) from error
    window = cast(BinaryIO, io.BufferedReader(Window(file, extent), _BUFFER))
    try:
        check_file(file, extent)
        if extent.checksum is not None and not matches(extent.checksum, window):
            raise changed(extent, f"it does not match {extent.checksum}")
    except SkyliftError:
        window.close()
        raise
    return window


def _kept(extent: Extent) -> BinaryIO | None:
    if not extent.version:
        return None
    cache = machine_cache()
    found = cache.open(extent.key, extent.length)
    if found is not None and extent.checksum and not matches(extent.checksum, found):
        found.close()
        cache.drop(extent.key)
        return None
    return found


def _fetched(extent: Extent) -> BinaryIO:
    cache = machine_cache()
    if not extent.version or not cache.fits(extent.length):
        file = cast(BinaryIO, tempfile.TemporaryFile(prefix="skylift-block-"))  # noqa: SIM115 - handed on open
        try:
            _fill(extent, file)
        except BaseException:
            file.close()
            raise
        return file
    with cache.filling(extent.length) as filling:
        try:
            _fill(extent, filling.file)
            filling.keep(extent.key)
        except BaseException:
            filling.file.close()
            raise
    return filling.file


def _fill(extent: Extent, file: BinaryIO) -> None:
    """Fetch and check. Bytes that are wrong are fetched once more, from the source itself alone."""
    fetch_into(extent, file.fileno())
    file.seek(0)
    if extent.checksum is None or matches(extent.checksum, file):
        return
    fetch_into(msgspec.structs.replace(extent, mirrors=()), file.fileno())
    if not matches(extent.checksum, file):
        raise SourceChanged(
            f"{extent.url}: bytes {extent.start} to {extent.end} do not match {extent.checksum}",
            hint="the source has changed, or what lies between alters it: compare it with a copy known to be good",
        )
