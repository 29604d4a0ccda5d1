"""Checksums as text: `sha256:…`, `md5:…`, `crc32:…`."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any, BinaryIO

from skylift.blocks.errors import SourceInvalid

_LENGTHS = {"sha256": 64, "sha1": 40, "md5": 32, "crc32": 8}
_PIECE = 1 << 20


class Crc32:
    """Like those of hashlib."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def hasher(checksum: str) -> Any:
    """Something to `update`, whose `hexdigest` is compared. Raises SourceInvalid for text that is no checksum."""
    kind, _, digits = checksum.partition(":") if isinstance(checksum, str) else ("", "", "")
    if kind not in _LENGTHS or len(digits) != _LENGTHS[kind] or set(digits) - set("0123456789abcdef"):
        raise SourceInvalid(
            f"{checksum!r} is no checksum", hint="write sha256:, sha1:, md5: or crc32: and its lower-case digits"
        )
    return Crc32() if kind == "crc32" else hashlib.new(kind, usedforsecurity=False)


def matches(checksum: str, file: BinaryIO) -> bool:
    """Whether this is the checksum of a whole file. The file is at its start again afterwards."""
    found = hasher(checksum)
    file.seek(0)
    while piece := file.read(_PIECE):
        found.update(piece)
    file.seek(0)
    return bool(found.hexdigest() == checksum.partition(":")[2])
