"""Blocks on this machine's disk: fetched once, read by all its processes, the longest unused going first."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from skylift.blocks.errors import SourceInvalid
from skylift.units import parse_bytes

FOLDER = "SKYLIFT_BLOCK_CACHE"
SIZE = "SKYLIFT_BLOCK_CACHE_SIZE"
_DEFAULT_SIZE = "10 GiB"
_ABANDONED_S = 3600
_TEMPORARY = ".part-"


class BlockCache:
    """Ranges of sources by key (`Extent.key`) in a folder of at most `limit` bytes.

    A file appears whole or not at all. It may be removed while others read it: they hold it open. All methods may be
    called by any number of processes at once.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit

    def open(self, key: str, length: int) -> BinaryIO | None:
        """The content, if it is here and whole. Counts as a use."""
        path = self._path(key)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        if os.fstat(file.fileno()).st_size != length:
            file.close()
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return file

    def holding(self, keys: Iterable[str]) -> frozenset[str]:
        """Which of these are here."""
        return frozenset(key for key in keys if self._path(key).is_file())

    def index(self) -> frozenset[str]:
        """The keys of all that is here."""
        return frozenset(path.name for path in self._files())

    def drop(self, key: str) -> None:
        """Content that turned out to be wrong."""
        self._path(key).unlink(missing_ok=True)

    @contextmanager
    def filling(self, length: int) -> Iterator[Filling]:
        """A new file to be written and kept. Room is made first; what is not kept is gone at the end of the `with`."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(length)
        handle, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=self.folder)
        filling = Filling(os.fdopen(handle, "w+b"), Path(name), self)
        try:
            yield filling
        finally:
            filling.path.unlink(missing_ok=True)

    def fits(self, length: int) -> bool:
        """Whether so much may be kept: within the limit, and within half of what is free on the disk."""
        if length > self.limit:
            return False
        place = next((one for one in (self.folder, *self.folder.parents) if one.exists()), Path("/"))
        return length < shutil.disk_usage(place).free // 2 + self._held()

    def _held(self) -> int:
        return sum(_size(path) for path in self._files())

    def _make_room(self, length: int) -> None:
        """One process at a time; whoever finds another at it leaves it to that one."""
        with (self.folder / ".lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return
            self._remove_abandoned()
            kept = sorted((path.stat().st_mtime_ns, path) for path in self._files() if path.exists())
            held = sum(_size(path) for _, path in kept)
            for _, path in kept:
                if held + length <= self.limit:
                    return
                held -= _size(path)
                path.unlink(missing_ok=True)

    def _remove_abandoned(self) -> None:
        """What a killed process was writing."""
        for path in self.folder.glob(f"{_TEMPORARY}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()

    def _files(self) -> Iterator[Path]:
        return (path for path in self.folder.glob("??/*") if path.is_file())

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key


class Filling:
    """A file of the cache that is being written."""

    def __init__(self, file: BinaryIO, path: Path, cache: BlockCache) -> None:
        self.file = file
        self.path = path
        self._cache = cache

    def keep(self, key: str) -> None:
        """The file is whole: others find it from now on. It stays open here."""
        self.file.flush()
        place = self._cache._path(key)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        self.path.replace(place)


def machine_cache() -> BlockCache:
    """This machine's cache, as its environment says."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get(FOLDER) or Path(base) / "skylift" / "blocks").expanduser().absolute()
    text = os.environ.get(SIZE) or _DEFAULT_SIZE
    limit = 0 if text.strip() == "0" else parse_bytes(text, SIZE)
    if folder.exists() and not folder.is_dir():
        raise SourceInvalid(f"{FOLDER}={str(folder)!r} is no folder", hint=f"point {FOLDER} at a folder")
    return BlockCache(folder, limit)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
