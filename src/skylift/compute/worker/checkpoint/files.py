"""The files of one folder of checkpoints, on a disk or behind any file system that fsspec knows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from skylift.errors import BlobUnavailable, SetupError, SkyliftError

T = TypeVar("T")

_WHOLE = frozenset({"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss"})
"""Protocols whose upload appears whole or not at all."""
_BLOCK = 32 * 2**20
_TEMPORARY = ".part"


class Files(Protocol):
    """A folder of files. All methods raise BlobUnavailable for the storage's own trouble."""

    where: str
    """For messages."""

    def names(self) -> list[str]:
        """Of the whole files; none for a folder that does not exist."""
        ...

    def read(self, name: str) -> bytearray | None:
        """None where there is no such file."""
        ...

    def write(self, name: str, chunks: Iterable[memoryview]) -> None:
        """May leave a torn file when it is interrupted. What it wrote lasts when it returns."""
        ...

    def publish(self, name: str, data: bytes) -> None:
        """The file appears whole or not at all."""
        ...

    def delete(self, name: str) -> None:
        """No error where there is none."""
        ...

    def remove_if_empty(self) -> None:
        """The folder itself, with what killed writers left unfinished; no error where other things lie in it."""
        ...


def open_files(folder: str) -> Files:
    """`folder` is a path or a URL."""
    if "://" in folder and not folder.startswith("file://"):
        return RemoteFiles(folder)
    return LocalFiles(Path(folder.removeprefix("file://")))


class LocalFiles:
    """On a disk of this machine, or one that it shares."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.where = str(folder)

    def names(self) -> list[str]:
        def listed() -> list[str]:
            try:
                return [name for name in os.listdir(self._folder) if not name.endswith(_TEMPORARY)]  # noqa: PTH208
            except (FileNotFoundError, NotADirectoryError):
                return []

        return self._guarded(listed)

    def read(self, name: str) -> bytearray | None:
        def content() -> bytearray | None:
            try:
                with (self._folder / name).open("rb", buffering=0) as file:
                    return _filled(file, os.fstat(file.fileno()).st_size)
            except FileNotFoundError:
                return None

        return self._guarded(content)

    def write(self, name: str, chunks: Iterable[memoryview]) -> None:
        self._guarded(lambda: self._written(self._folder / name, chunks))

    def publish(self, name: str, data: bytes) -> None:
        def renamed() -> None:
            unfinished = self._folder / f"{name}.{os.getpid()}{_TEMPORARY}"
            try:
                self._written(unfinished, [memoryview(data)])
                unfinished.replace(self._folder / name)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
            _sync_folder(self._folder)

        self._guarded(renamed)

    def delete(self, name: str) -> None:
        self._guarded(lambda: (self._folder / name).unlink(missing_ok=True))

    def remove_if_empty(self) -> None:
        for kind in ("saved", "claim"):
            for path in self._folder.glob(f"{kind}.*{_TEMPORARY}"):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _written(self, path: Path, chunks: Iterable[memoryview]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as file:
            for chunk in chunks:
                rest = chunk.cast("B")
                while len(rest):
                    rest = rest[file.write(rest) :]
            os.fsync(file.fileno())

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except OSError as error:
            raise unavailable(self.where, error) from error


class RemoteFiles:
    """Behind fsspec."""

    def __init__(self, url: str) -> None:
        import fsspec

        protocol = url.partition("://")[0]
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise SetupError(
                f"the checkpoints at {url} cannot be opened: {error}",
                hint=f"install what fsspec needs for {protocol}:// (for s3:// `pip install s3fs`)",
            ) from error
        self._root = root.rstrip("/")
        self._whole = protocol in _WHOLE
        self.where = url

    def names(self) -> list[str]:
        def listed() -> list[str]:
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
            names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
            return [name for name in names if not name.endswith(_TEMPORARY)]

        return self._guarded(listed)

    def read(self, name: str) -> bytearray | None:
        def content() -> bytearray | None:
            try:
                with self._fs.open(self._place(name), "rb", cache_type="none") as file:
                    return _filled(file, int(file.size))
            except FileNotFoundError:
                return None

        return self._guarded(content)

    def write(self, name: str, chunks: Iterable[memoryview]) -> None:
        def written() -> None:
            self._make_root()
            with self._fs.open(self._place(name), "wb", block_size=_BLOCK) as file:
                for chunk in chunks:
                    file.write(chunk)

        self._guarded(written)

    def publish(self, name: str, data: bytes) -> None:
        def put() -> None:
            self._make_root()
            if self._whole:
                self._fs.pipe_file(self._place(name), data)
                return
            unfinished = f"{self._place(name)}.{os.getpid()}{_TEMPORARY}"
            self._fs.pipe_file(unfinished, data)
            self._fs.mv(unfinished, self._place(name))

        self._guarded(put)

    def delete(self, name: str) -> None:
        def removed() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._place(name))

        self._guarded(removed)

    def remove_if_empty(self) -> None:
        if not self._whole:  # object stores have no folders
            with contextlib.suppress(Exception):  # not empty, in the words of whatever client
                self._fs.rmdir(self._root)

    def _make_root(self) -> None:
        """Object stores have no folders, and must not be made to create a bucket."""
        if not self._whole:
            self._fs.makedirs(self._root, exist_ok=True)

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _guarded(self, action: Callable[[], T]) -> T:
        """Whatever the storage's client library raises."""
        try:
            return action()
        except SkyliftError:
            raise
        except Exception as error:
            raise unavailable(self.where, error) from error


def remove_folder(folder: str) -> bool:
    """Delete it with all that is in it; whether there was one."""
    if "://" in folder and not folder.startswith("file://"):
        return RemoteFiles(folder)._guarded(lambda: _remove_remote(folder))
    import shutil

    path = Path(folder.removeprefix("file://"))
    there = path.is_dir()
    shutil.rmtree(path, ignore_errors=True)
    return there


def unavailable(where: str, error: Exception) -> BlobUnavailable:
    return BlobUnavailable(
        f"the checkpoints at {where} cannot be used: {type(error).__name__}: {error}",
        hint="check the place's free space, the network, the credentials and the rights to write there",
    )


def _remove_remote(folder: str) -> bool:
    import fsspec

    system, root = fsspec.core.url_to_fs(folder)
    system.invalidate_cache()
    if not system.exists(root):
        return False
    system.rm(root, recursive=True)
    return True


def _filled(file: Any, size: int) -> bytearray:
    """The first `size` bytes of a file, or what there is of them, without a second copy of them in memory."""
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size and (got := file.readinto(view[at : at + _BLOCK])):
        at += got
    view.release()
    del data[at:]
    return data


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
