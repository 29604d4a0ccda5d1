"""Buckets: S3, a local folder, or anything that fsspec opens. What a Distributed Map reads from and writes to.

A bucket is the path of a folder (`data/in`, `/data`, `file:///data`), an fsspec URL (`memory://b`, `gs://b`), or else
the name of an S3 bucket (which needs the package s3fs).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol, cast

import msgspec

from skylift.engine.places import Places

OBJECT_STORES = ("s3://", "s3a://", "gs://", "gcs://", "az://", "abfs://", "abfss://", "oss://")
"""They know no folders, and a bucket with a misspelt name must not be made."""


class Listed(msgspec.Struct, frozen=True):
    """One object of a bucket."""

    key: str
    size: int
    modified_s: int
    etag: str


S3 = ("s3://", "s3a://")


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf a bucket is opened, and for what."""

    account: str = ""
    places: Places = Places()
    action: str = "s3:getObject"


class BucketError(Exception):
    """It cannot be read or written, and why, in the service's words where it has some."""


class Bucket(Protocol):
    def open(self, key: str, version: str | None = None) -> IO[bytes]:
        """For reading from the start. Raises BucketError."""
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object whose key starts so, by key. Raises BucketError."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Whole or not at all. Raises BucketError."""
        ...


def open_bucket(name: Any, access: Access) -> Bucket:
    """Raises BucketError, also for what the run may not use."""
    if not isinstance(name, str) or not name:
        raise BucketError(f"Bucket must be text that is not empty, not {name!r}")
    if access.account:
        return _open_allowed(name, access)
    if name.startswith("file://"):
        return Folder(Path(name.removeprefix("file://")))
    if "://" in name:
        return Remote(name, access.places.s3_options() if name.startswith(S3) else {})
    if "/" in name or os.sep in name or name in (".", "..") or Path(name).is_dir():
        return Folder(Path(name).expanduser())
    return Remote(f"s3://{name}", access.places.s3_options())


def _open_allowed(name: str, access: Access) -> Bucket:
    """For a run of an account: a folder that is allowed, or S3. A plain name is never a folder here."""
    path = name.removeprefix("file://")
    if path != name or "/" in name.partition("://")[0]:
        if not Path(path).is_absolute() or not access.places.allows_folder(Path(path)):
            raise BucketError(f"The folder {path!r} is not among those that the server's administrator allows")
        return Folder(Path(path), access.places)
    url = name if "://" in name else f"s3://{name}"
    if not url.startswith(S3) or "::" in url:  # fsspec would look for one place inside another
        raise BucketError(f"Definitions on a server may read and write S3 and allowed folders, not {name!r}")
    if not access.places.allows(access.action):
        raise BucketError(
            f"The action {access.action} is not among those that the server's administrator allows (allow_services)"
        )
    return Remote(url, access.places.s3_options())


def no_such_key(key: str, bucket: str) -> BucketError:
    return BucketError(f"The specified key does not exist. Key: {key!r}, bucket: {bucket!r}")


class Folder:
    """A folder of this machine."""

    def __init__(self, root: Path, places: Places | None = None) -> None:
        """With `places` no link may lead out of what they allow."""
        self._root = root.resolve()
        self._places = places

    def open(self, key: str, version: str | None = None) -> IO[bytes]:
        if version is not None:
            raise BucketError(f"VersionId {version!r} is asked for, but a folder keeps no versions")
        path = self._path(key)
        try:
            return path.open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise no_such_key(key, str(self._root)) from None
        except OSError as problem:
            raise BucketError(f"{path} cannot be read: {problem.strerror}") from problem

    def list(self, prefix: str) -> Iterator[Listed]:
        if not self._root.is_dir():
            raise BucketError(f"The specified bucket does not exist. Bucket: {str(self._root)!r}")
        found = []
        for folder, _, files in os.walk(self._start(prefix)):
            base = Path(folder).relative_to(self._root).as_posix()
            found += [name if base == "." else f"{base}/{name}" for name in files]
        for key in sorted(key for key in found if key.startswith(prefix)):
            facts = (self._root / key).stat()
            etag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
            yield Listed(key, facts.st_size, int(facts.st_mtime), etag)

    def write(self, key: str, data: bytes) -> None:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                Path(part).replace(path)
            except BaseException:
                Path(part).unlink(missing_ok=True)
                raise
        except OSError as problem:
            raise BucketError(f"{path} cannot be written: {problem.strerror}") from problem

    def _start(self, prefix: str) -> Path:
        """The deepest folder that holds everything with this prefix."""
        return self._path(prefix.rpartition("/")[0])

    def _path(self, key: str) -> Path:
        path = Path(os.path.normpath(self._root / key))
        if not path.is_relative_to(self._root):
            raise BucketError(f"The key {key!r} leads out of the folder {str(self._root)!r}")
        if self._places is not None and not self._places.allows_folder(path):
            raise BucketError(f"The key {key!r} leads out of what the server's administrator allows")
        return path


class Remote:
    """Anything that fsspec opens."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        import fsspec  # slow to import, and only needed here

        self._url = url.rstrip("/")
        try:
            self._system, self._root = fsspec.core.url_to_fs(self._url, **options)
        except (ImportError, ValueError) as problem:
            raise BucketError(
                f"{url} cannot be opened: {problem}. For a folder of this machine give its path, such as './{url}'"
            ) from problem

    def open(self, key: str, version: str | None = None) -> IO[bytes]:
        options = {} if version is None else {"version_id": version}
        try:
            return cast("IO[bytes]", self._system.open(f"{self._root}/{key}", "rb", **options))
        except FileNotFoundError:
            raise no_such_key(key, self._url) from None
        except Exception as problem:  # each file system has errors of its own
            raise BucketError(f"{self._url}/{key} cannot be read: {problem}") from problem

    def list(self, prefix: str) -> Iterator[Listed]:
        try:
            folder = f"{self._root}/{prefix.rpartition('/')[0]}".rstrip("/")
            found = self._system.find(folder, detail=True)
        except Exception as problem:
            raise BucketError(f"{self._url}/{prefix} cannot be listed: {problem}") from problem
        start = len(self._root) + 1
        for path in sorted(found):
            key = path[start:]
            if key.startswith(prefix):
                yield _listed(key, found[path])

    def write(self, key: str, data: bytes) -> None:
        path = f"{self._root}/{key}"
        try:
            if not self._url.startswith(OBJECT_STORES):
                self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, data)
        except Exception as problem:
            raise BucketError(f"{self._url}/{key} cannot be written: {problem}") from problem


def _listed(key: str, facts: dict[str, Any]) -> Listed:
    modified = facts.get("LastModified") or facts.get("mtime") or facts.get("created") or 0
    stamp = modified.timestamp() if hasattr(modified, "timestamp") else modified
    seconds = int(stamp) if isinstance(stamp, int | float) else 0
    return Listed(key, int(facts.get("size") or 0), seconds, str(facts.get("ETag", "")))
