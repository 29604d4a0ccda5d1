"""The Ownership port for engines of one machine: an operating-system lock for each engine process, which dies with it.

An owner is the name of a lock file in `home/engines`. Being alive means that somebody holds the lock: no clock, no pid
that may be used again. On a network file system `flock` works only where the server keeps locks (NFS 4 does); a home
shared by machines needs that, and a journal that is not SQLite.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import weakref
from pathlib import Path

from skylift.errors import SetupError

_FOLDER = "engines"
_SUFFIX = ".lock"


class EngineLock:
    """The Ownership port: held for the life of an engine. `owner` goes into the records of the runs it drives."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.owner = path.name.removesuffix(_SUFFIX)
        self._descriptor: int | None = descriptor
        _held.add(self)

    @classmethod
    def acquire(cls, home: str | os.PathLike[str]) -> EngineLock:
        """A fresh owner, locked. Lock files that dead engines have left are deleted on the way."""
        folder = Path(home) / _FOLDER
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            while True:
                lock = cls._try(folder / f"{os.getpid()}-{secrets.token_hex(6)}{_SUFFIX}")
                if lock is not None:
                    return lock
        except OSError as error:
            raise SetupError(
                f"no engine can be started in {home}: {error.strerror or error}",
                hint="give this user the right to write there, or point SKYLIFT_HOME at another place",
            ) from error

    @classmethod
    def _try(cls, path: Path) -> EngineLock | None:
        """None if another process's sweep took the file between its making and its locking."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino != os.fstat(descriptor).st_ino:
                raise FileNotFoundError(path)
        except (BlockingIOError, FileNotFoundError):
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def release(self) -> None:
        """Give the lock up; from now on the owner counts as dead."""
        if self._descriptor is None:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None
        _held.discard(self)

    def is_alive(self, owner: str) -> bool:
        """See the function of this name."""
        return is_alive(self.path.parent.parent, owner)

    def __enter__(self) -> EngineLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _forget(self) -> None:
        """In a forked child: the lock is the parent's, and must die with the parent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_alive(home: str | os.PathLike[str], owner: str) -> bool:
    """Does a process hold this owner's lock? In doubt (no right to look) yes."""
    if "/" in owner or "\0" in owner or not owner:
        return False
    return _locked(Path(home) / _FOLDER / f"{owner}{_SUFFIX}")


def any_alive(home: str | os.PathLike[str]) -> bool:
    """Does any engine of this home live?"""
    return any(_locked(path) for path in (Path(home) / _FOLDER).glob(f"*{_SUFFIX}"))


def _locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _sweep(folder: Path) -> None:
    for path in folder.glob(f"*{_SUFFIX}"):
        if not _locked(path):
            path.unlink(missing_ok=True)


_held: weakref.WeakSet[EngineLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock._forget()


os.register_at_fork(after_in_child=_forget_all)
