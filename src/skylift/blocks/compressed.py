"""Compressed sources: recognised by their names, read as a stream, never cut."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import Any, BinaryIO, cast

from skylift.blocks.errors import SourceInvalid
from skylift.errors import SetupError

_SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
_BUFFER = 1 << 20


def split_suffix(name: str) -> tuple[str, str | None]:
    """The name without the suffix of its compression, and that compression."""
    for suffix, compression in _SUFFIXES.items():
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], compression
    return name, None


def decompressed(file: BinaryIO, compression: str | None, url: str) -> BinaryIO:
    """What the file holds. Closing it closes the file."""
    if compression is None:
        return file
    return cast(BinaryIO, io.BufferedReader(_Stream(file, _opened(file, compression), url), _BUFFER))


def _opened(file: BinaryIO, compression: str) -> Any:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file)
    if compression == "bz2":
        return bz2.BZ2File(file)
    if compression == "xz":
        return lzma.LZMAFile(file)
    try:
        import pyarrow as pa
    except ImportError as error:
        raise SetupError("a .zst source needs pyarrow where it is read", hint="pip install 'skylift[data]'") from error
    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


class _Stream(io.RawIOBase):
    """A stream that closes what it reads from, and says what is wrong with it."""

    def __init__(self, file: BinaryIO, stream: Any, url: str) -> None:
        self._file = file
        self._stream = stream
        self._url = url

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise SourceInvalid(
                f"{self._url} cannot be decompressed: {error}",
                hint="is it damaged, or named after another compression?",
            ) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()
