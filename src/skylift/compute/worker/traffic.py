"""Counts what attempts read from artifact storage and write to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from skylift.blocks.metering import FETCHED

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore


class Traffic:
    """Bytes since the process began."""

    __slots__ = ("out_bytes", "read_bytes")

    def __init__(self) -> None:
        self.read_bytes = self.out_bytes = 0  # of artifact storage

    @property
    def in_bytes(self) -> int:
        """With what blocks fetched from their sources."""
        return self.read_bytes + FETCHED.total


class MeteredBlobs:
    """The BlobStore port around another one. A blob that is opened or mapped counts as read whole."""

    def __init__(self, blobs: BlobStore, traffic: Traffic) -> None:
        self._blobs = blobs
        self._traffic = traffic

    def put(self, data: bytes | memoryview) -> str:
        digest = self._blobs.put(data)
        self._traffic.out_bytes += memoryview(data).nbytes
        return digest

    def put_file(self, path: Path) -> str:
        digest = self._blobs.put_file(path)
        self._traffic.out_bytes += path.stat().st_size
        return digest

    def get(self, digest: str) -> bytes:
        data = self._blobs.get(digest)
        self._traffic.read_bytes += len(data)
        return data

    def open(self, digest: str) -> BinaryIO:
        file = self._blobs.open(digest)
        self._traffic.read_bytes += self._blobs.size(digest)
        return file

    def local_path(self, digest: str) -> Path:
        path = self._blobs.local_path(digest)
        self._traffic.read_bytes += path.stat().st_size
        return path

    def exists(self, digest: str) -> bool:
        return self._blobs.exists(digest)

    def size(self, digest: str) -> int:
        return self._blobs.size(digest)

    def delete(self, digest: str) -> None:
        self._blobs.delete(digest)

    def expire(self, digest: str, before_ms: int) -> bool:
        return self._blobs.expire(digest, before_ms)

    @property
    def url(self) -> str:
        return self._blobs.url

    def digests(self) -> Iterator[str]:
        return self._blobs.digests()
