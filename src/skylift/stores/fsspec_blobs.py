"""Blobs behind any file system that fsspec knows: S3, GCS, Azure, SFTP, memory, …, read through a local cache."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import fsspec

from skylift.errors import BlobUnavailable, SetupError, SkyliftError
from skylift.stores.files import CheckedReader, FileBlobStore, damaged, missing

T = TypeVar("T")

_RENEW_AFTER_S = 3600
_ATOMIC = frozenset({"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss"})
"""Protocols whose upload appears whole or not at all; on others a temporary name is used and renamed."""


class FsspecBlobStore:
    """The BlobStore port over a URL such as `s3://bucket/prefix`.

    What was read once is kept in the folder `cache` (default: the user's cache folder) and checked there as well.
    A blob put again within an hour is not uploaded again; after that it is, to renew its age for `expire`, so garbage
    collection needs a grace period well over an hour.
    """

    def __init__(self, url: str, *, cache: str | os.PathLike[str] | None = None) -> None:
        self._url = url
        self._cache = FileBlobStore(cache or _default_cache())
        protocol = url.partition("://")[0]
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise SetupError(
                f"the artifact store {url} cannot be opened: {error}",
                hint=f"install what fsspec needs for {protocol}:// (for s3:// `pip install s3fs`)",
            ) from error
        self._root = root.rstrip("/")
        self._atomic = protocol in _ATOMIC

    @property
    def url(self) -> str:
        return self._url

    def put(self, data: bytes | memoryview) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if not self._fresh(digest, memoryview(data).nbytes):
            self._store(digest, lambda path: self._fs.pipe_file(path, bytes(data)))
        return digest

    def put_file(self, path: Path) -> str:
        """By way of the cache, so that what is uploaded is what was hashed, even if the file changes meanwhile."""
        digest = self._cache.put_file(path)
        copy = self._cache.local_path(digest)
        if not self._fresh(digest, copy.stat().st_size):
            self._store(digest, lambda target: self._fs.put_file(str(copy), target))
        return digest

    def get(self, digest: str) -> bytes:
        if self._cache.exists(digest):
            return self._cache.get(digest)
        data = self._remote(digest, self._fs.cat_file)
        if hashlib.sha256(data).hexdigest() != digest:
            raise damaged(digest, f"{len(data)} bytes in {self._url}")
        self._cache.put(data)
        return bytes(data)

    def open(self, digest: str) -> BinaryIO:
        if self._cache.exists(digest):
            return self._cache.open(digest)
        return CheckedReader(self._remote(digest, lambda path: self._fs.open(path, "rb")), digest)

    def local_path(self, digest: str) -> Path:
        if not self._cache.exists(digest):
            self._fetch(digest)
        return self._cache.local_path(digest)

    def exists(self, digest: str) -> bool:
        place = self._place(digest)
        return bool(self._guarded(lambda: self._fs.exists(place)))

    def size(self, digest: str) -> int:
        return int(self._remote(digest, self._fs.size))

    def delete(self, digest: str) -> None:
        self._cache.delete(digest)
        place = self._place(digest)

        def remove() -> None:
            try:
                self._fs.rm_file(place)
            except FileNotFoundError:
                return

        self._guarded(remove)

    def expire(self, digest: str, before_ms: int) -> bool:
        modified = self._modified(digest)
        if modified is None or modified * 1000 >= before_ms:
            return False
        self.delete(digest)
        return True

    def digests(self) -> Iterator[str]:
        self._fs.invalidate_cache()
        for path in self._guarded(lambda: self._fs.find(self._root)):
            name = path.rpartition("/")[2]
            if len(name) == 64:
                yield name

    def _place(self, digest: str) -> str:
        self._cache._place(digest)
        return f"{self._root}/{digest[:2]}/{digest}"

    def _fresh(self, digest: str, size: int) -> bool:
        """Is it there, whole, and young enough not to be collected soon?"""
        try:
            found = self._guarded(lambda: self._fs.info(self._place(digest)))
        except FileNotFoundError:
            return False
        modified = _seconds(found)
        return bool(found.get("size") == size and modified is not None and time.time() - modified < _RENEW_AFTER_S)

    def _modified(self, digest: str) -> float | None:
        self._fs.invalidate_cache()
        try:
            return _seconds(self._guarded(lambda: self._fs.info(self._place(digest))))
        except FileNotFoundError:
            return None

    def _store(self, digest: str, upload: Callable[[str], Any]) -> None:
        place = self._place(digest)

        def write() -> None:
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            if self._atomic:
                upload(place)
                return
            temp = f"{place}.{os.getpid()}.{time.time_ns()}"
            upload(temp)
            self._fs.mv(temp, place)

        self._guarded(write)

    def _fetch(self, digest: str) -> None:
        """Into the cache, in pieces: a model may be larger than memory."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="skylift-fetch-") as folder:
            local = Path(folder) / digest
            self._remote(digest, lambda path: self._fs.get_file(path, str(local)))
            if self._cache.put_file(local) != digest:
                raise damaged(digest, f"{local.stat().st_size} bytes in {self._url}")

    def _remote(self, digest: str, read: Callable[[str], T]) -> T:
        place = self._place(digest)
        try:
            return self._guarded(lambda: read(place))
        except FileNotFoundError:
            raise missing(digest, self._url) from None

    def _guarded(self, action: Callable[[], T]) -> T:
        """The storage's own trouble, whatever its client library raises, as BlobUnavailable."""
        try:
            return action()
        except (FileNotFoundError, SkyliftError):
            raise
        except Exception as error:
            raise BlobUnavailable(
                f"the artifact store {self._url} cannot be used: {type(error).__name__}: {error}",
                hint="check the network, the credentials and the bucket's rights, then `skylift resume`",
            ) from error


def _seconds(info: dict[str, Any]) -> float | None:
    """File systems name the time of the last change in several ways."""
    for key in ("mtime", "LastModified", "last_modified", "created", "updated"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    return None


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "skylift" / "blobs"
