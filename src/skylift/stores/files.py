"""Blobs as files in a folder: `root/ab/abcd…`, named by the SHA-256 of their content.

A blob is written beside its place and renamed into it, so a name always stands for whole content. Putting a blob that
is there already renews its time of use; `expire` deletes only what was not put since, whichever of the two comes first.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO

from skylift.errors import BlobDamaged, BlobMissing, BlobUnavailable

_CHUNK = 1 << 20
_HEX = frozenset("0123456789abcdef")
_STALE_TEMP_S = 24 * 3600


class FileBlobStore:
    """The BlobStore port over a local folder, which is made when the first blob is put.

    With `fsync` a blob survives the loss of power once `put` has returned; without, the death of the process.
    """

    def __init__(self, root: str | os.PathLike[str], *, fsync: bool = False) -> None:
        self.root = Path(root)
        self.fsync = fsync
        self._root = os.path.abspath(root)
        self._temp = f"{self._root}/tmp"
        self._names = count()
        self._checked: dict[str, tuple[int, int, int]] = {}

    @property
    def url(self) -> str:
        """What `open_blobs` takes to open this store in another process."""
        return f"file://{self._root}?durability=full" if self.fsync else self._root

    def put(self, data: bytes | memoryview) -> str:
        digest = hashlib.sha256(data).hexdigest()
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        if not self._renew(digest, size):
            temp = self._write_temp(data)
            self._settle(temp, digest)
        return digest

    def put_file(self, path: Path) -> str:
        """Content is copied: the file may change or go afterwards."""
        hasher = hashlib.sha256()
        size = 0
        with open(path, "rb") as source:
            temp, target = self._create_temp()
            try:
                with target:
                    while chunk := source.read(_CHUNK):
                        hasher.update(chunk)
                        size += len(chunk)
                        _write_all(target, chunk)
                    self._sync(target)
            except BaseException as error:
                _discard(temp)
                raise _unavailable(error, self._root) from error
        digest = hasher.hexdigest()
        if self._renew(digest, size):
            _discard(temp)
        else:
            self._settle(temp, digest)
        return digest

    def get(self, digest: str) -> bytes:
        with self._reading(digest) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != digest:
            raise damaged(digest, f"{len(data)} bytes in {self._place(digest)}")
        return data

    def open(self, digest: str) -> BinaryIO:
        return CheckedReader(self._reading(digest), digest)

    def local_path(self, digest: str) -> Path:
        place = self._place(digest)
        try:
            found = os.stat(place)
        except FileNotFoundError:
            raise missing(digest, self._root) from None
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        if self._checked.get(digest) != stamp:
            with self.open(digest) as file:
                while file.read(_CHUNK):
                    pass
            self._checked[digest] = stamp
        return Path(place)

    def exists(self, digest: str) -> bool:
        return os.path.exists(self._place(digest))

    def size(self, digest: str) -> int:
        try:
            return os.stat(self._place(digest)).st_size
        except FileNotFoundError:
            raise missing(digest, self._root) from None

    def delete(self, digest: str) -> None:
        _discard(self._place(digest))

    def expire(self, digest: str, before_ms: int) -> bool:
        """Delete the blob unless it was put, or put again, since `before_ms`. True if it was deleted.

        The file is taken out of its place first and its time read after: a writer that renewed it just before is seen,
        one that comes just after finds no file and writes its own.
        """
        place = self._place(digest)
        try:
            if os.stat(place).st_mtime * 1000 >= before_ms:
                return False
            temp = self._temp_name()
            os.rename(place, temp)
        except FileNotFoundError:
            return False
        if os.stat(temp).st_mtime * 1000 >= before_ms:
            os.rename(temp, place)
            return False
        os.unlink(temp)
        return True

    def digests(self) -> Iterator[str]:
        for folder in _listing(self._root):
            if len(folder) == 2:
                for name in _listing(f"{self._root}/{folder}"):
                    if len(name) == 64 and _HEX.issuperset(name):
                        yield name

    def sweep(self) -> int:
        """Delete what writers that died have left half-written, older than a day. How many files."""
        swept = 0
        oldest = time.time() - _STALE_TEMP_S
        for name in _listing(self._temp):
            path = f"{self._temp}/{name}"
            try:
                if os.stat(path).st_mtime < oldest:
                    os.unlink(path)
                    swept += 1
            except FileNotFoundError:
                continue
        return swept

    def _place(self, digest: str) -> str:
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise BlobMissing(f"{digest!r} is not a digest: 64 hexadecimal digits are needed")
        return f"{self._root}/{digest[:2]}/{digest}"

    def _reading(self, digest: str) -> BinaryIO:
        try:
            return open(self._place(digest), "rb")
        except FileNotFoundError:
            raise missing(digest, self._root) from None
        except OSError as error:
            raise _unavailable(error, self._root) from error

    def _renew(self, digest: str, size: int) -> bool:
        """Is the blob there? Then it counts as put now. One of another size (power was lost) is written again."""
        place = self._place(digest)
        try:
            os.utime(place)
        except FileNotFoundError:
            return False
        except PermissionError:  # put by another user of a shared store
            pass
        try:
            return os.stat(place).st_size == size
        except FileNotFoundError:
            return False

    def _write_temp(self, data: bytes | memoryview) -> str:
        temp, target = self._create_temp()
        try:
            with target:
                _write_all(target, data)
                self._sync(target)
        except BaseException as error:
            _discard(temp)
            raise _unavailable(error, self._root) from error
        return temp

    def _create_temp(self) -> tuple[str, io.FileIO]:
        temp = self._temp_name()
        try:
            try:
                return temp, io.FileIO(temp, "xb")
            except FileNotFoundError:
                os.makedirs(self._temp, exist_ok=True)
                return temp, io.FileIO(temp, "xb")
        except OSError as error:
            raise _unavailable(error, self._root) from error

    def _temp_name(self) -> str:
        return f"{self._temp}/{os.getpid()}-{id(self):x}-{time.time_ns():x}-{next(self._names)}"

    def _sync(self, file: io.FileIO) -> None:
        if self.fsync:
            full_sync(file.fileno())

    def _settle(self, temp: str, digest: str) -> None:
        """Move whole content into its place; a blob that came in between is the same."""
        place = self._place(digest)
        try:
            try:
                os.replace(temp, place)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.replace(temp, place)
            if self.fsync:
                sync_folder(os.path.dirname(place))
        except OSError as error:
            _discard(temp)
            raise _unavailable(error, self._root) from error


class CheckedReader(io.RawIOBase, BinaryIO):
    """Reads a file to its end and then compares the digest of what was read; a seek gives the check up."""

    def __init__(self, file: BinaryIO, digest: str) -> None:
        self._file = file
        self._digest = digest
        self._hasher: hashlib._Hash | None = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        chunk = self._file.read(len(view))
        view[: len(chunk)] = chunk
        if self._hasher is not None:
            self._hasher.update(chunk)
            if not chunk and len(view) and self._hasher.hexdigest() != self._digest:
                raise damaged(self._digest, str(getattr(self._file, "name", "a stream")))
        return len(chunk)

    def seek(self, offset: int, whence: int = 0) -> int:
        if (offset, whence) == (0, 0):
            self._hasher = hashlib.sha256()
        elif (offset, whence) != (self._file.tell(), 0) and (offset, whence) != (0, 1):
            self._hasher = None
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


def missing(digest: str, place: str) -> BlobMissing:
    return BlobMissing(
        f"artifact {digest} is not in {place}",
        hint="it was deleted by `skylift gc`, or this is another artifact store than the run was made with",
    )


def damaged(digest: str, seen: str) -> BlobDamaged:
    return BlobDamaged(
        f"artifact {digest} is damaged: {seen} have another digest",
        hint="delete that file and run the step that made it again (`skylift redrive`), or restore it from a backup",
    )


def full_sync(descriptor: int) -> None:
    """To the platter: macOS answers a plain fsync from the drive's cache."""
    import fcntl

    if hasattr(fcntl, "F_FULLFSYNC"):
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(target: io.FileIO, data: bytes | memoryview) -> None:
    """A raw write may take less than it is given: always beyond 2 GiB."""
    rest = memoryview(data).cast("B") if len(data) else memoryview(b"")
    while len(rest):
        rest = rest[target.write(rest) :]


def _listing(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _unavailable(error: BaseException, root: str) -> BaseException:
    """The storage's own trouble in our words; anything else as it is."""
    if not isinstance(error, OSError):
        return error
    hints = {
        errno.ENOSPC: "free some space, or delete old runs with `skylift gc`",
        errno.EDQUOT: "the disk quota is used up: free some space, or delete old runs with `skylift gc`",
        errno.EROFS: "the file system is read-only: point SKYLIFT_HOME at a place that can be written",
        errno.EACCES: "give this user the right to write there, or point SKYLIFT_HOME at another place",
    }
    return BlobUnavailable(
        f"the artifact store {root} cannot be written: {error.strerror or error}",
        hint=hints.get(error.errno or 0, "check the disk that SKYLIFT_HOME is on"),
    )
