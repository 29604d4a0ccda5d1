"""What SQLite's errors mean to the person at the keyboard."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skylift.errors import JournalDamaged, JournalUnavailable, SkyliftError

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: (
        "is locked by another process",
        "another program holds it for long: find it with `lsof`, or try again",
    ),
    sqlite3.SQLITE_LOCKED: ("is locked", "try again"),
    sqlite3.SQLITE_FULL: (
        "cannot grow: the disk is full",
        "free some space (`skylift gc` deletes old runs), then `skylift resume`",
    ),
    sqlite3.SQLITE_READONLY: (
        "cannot be written",
        "give this user the right to write the file and its folder, or point SKYLIFT_HOME at another place",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "check that its folder exists and that this user may write there, or point SKYLIFT_HOME at another place",
    ),
    sqlite3.SQLITE_PERM: ("cannot be opened: no permission", "check the rights of the file and its folder"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "check the disk; network file systems are not supported"),
    sqlite3.SQLITE_PROTOCOL: ("is locked by another process", "try again"),
    sqlite3.SQLITE_NOMEM: ("cannot be used: out of memory", "end other programs"),
}

_DAMAGED = {
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database",
    sqlite3.SQLITE_FORMAT: "is not a SQLite database",
}


_LEAST_FREE = 128 * 1024
"""Below this many bytes an input/output error is a full disk."""


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn what SQLite raises into JournalUnavailable or JournalDamaged."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error


def translate(error: sqlite3.Error, path: str) -> SkyliftError:
    code = getattr(error, "sqlite_errorcode", 0) or 0
    primary = code & 0xFF
    if primary in _DAMAGED or "no such table" in str(error):
        return JournalDamaged(
            f"the journal {path} {_DAMAGED.get(primary, 'is damaged')}: {error}",
            hint="move the file away to start with a new journal, or restore it from a backup "
            "(`sqlite3 FILE .recover` saves what can be saved)",
        )
    if primary == sqlite3.SQLITE_IOERR and _is_full(path):
        primary = sqlite3.SQLITE_FULL  # the write-ahead log's index could not grow
    what, hint = _UNAVAILABLE.get(primary, ("cannot be used", "check the file and its disk"))
    return JournalUnavailable(f"the journal {path} {what}: {error}; nothing was written", hint=hint)


def _is_full(path: str) -> bool:
    try:
        free = shutil.disk_usage(Path(path).parent).free
    except OSError:
        return False
    return free < _LEAST_FREE
