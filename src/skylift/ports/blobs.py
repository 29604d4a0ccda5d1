"""Content-addressed storage of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol


class BlobStore(Protocol):
    """Bytes by the SHA-256 of their content (64 hex digits). Writing is atomic and idempotent; reading checks the
    digest and raises BlobDamaged or BlobMissing; BlobUnavailable is the storage's own trouble (space, rights).
    Thread- and process-safe.

    `skylift.testing.BlobStoreConformance` is this contract as tests.
    """

    def put(self, data: bytes | memoryview) -> str: ...

    def put_file(self, path: Path) -> str: ...

    def get(self, digest: str) -> bytes: ...

    def open(self, digest: str) -> BinaryIO:
        """For reading large blobs; the digest is checked by the time the end is read."""
        ...

    def local_path(self, digest: str) -> Path:
        """A checked local file that holds the blob, never to be written to (memory mapping, zip import)."""
        ...

    def exists(self, digest: str) -> bool: ...

    def size(self, digest: str) -> int: ...

    def delete(self, digest: str) -> None: ...

    def expire(self, digest: str, before_ms: int) -> bool:
        """Delete the blob unless it was put, or put again, since `before_ms` (garbage collection beside writers).
        True if it was deleted."""
        ...

    @property
    def url(self) -> str:
        """What `skylift.stores.open.open_blobs` takes to open the same store in another process."""
        ...

    def digests(self) -> Iterator[str]: ...
