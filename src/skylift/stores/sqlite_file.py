"""One SQLite file: a writing connection, reading ones beside it, transactions, and who else has written."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from skylift.errors import JournalDamaged, SetupError
from skylift.stores.sqlite_errors import translate, translated
from skylift.stores.sqlite_schema import prepare

T = TypeVar("T")
Row = tuple[Any, ...]
Durability = Literal["normal", "full"]

BUSY_S = 10.0
_READERS_KEPT = 8


class SqliteFile:
    """The database, which is made with its folder if there is none. Thread-safe; not for use in a forked child."""

    def __init__(self, path: str | Path, durability: Durability = "normal") -> None:
        if durability not in ("normal", "full"):
            raise SetupError(
                f"durability must be 'normal' or 'full', not {durability!r}", hint="see `durability` in skylift.toml"
            )
        self.path = os.fspath(path)
        self.durability = durability
        self.generation = 0
        """Goes up whenever what is remembered of the content may not hold any more: another connection has written, or
        a transaction of ours was taken back."""
        self._lock = threading.RLock()
        self._readers: list[sqlite3.Connection] = []
        self._pool = threading.Lock()
        """Of the readers: they must not wait for a transaction."""
        self._closed = False
        self._written_version = -1
        self._seen_version = -1
        self._told = True
        self.db = self._open()
        self.execute = self.db.cursor().execute
        """Of the writing connection: only inside `writing`."""

    @contextmanager
    def writing(self, *, tell: bool = False) -> Iterator[None]:
        """One transaction of the writer. With `tell`, `changed` says so in this process too."""
        with self._lock:
            self._check_open()
            try:
                self.execute("BEGIN IMMEDIATE")
                self._look_for_others()
                yield
                self.execute("COMMIT")
            except BaseException as error:
                self._roll_back()
                if isinstance(error, sqlite3.Error):
                    raise translate(error, self.path) from error
                raise
            self._told = self._told or tell

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query on a connection of its own, so that it neither waits for the writer nor sees half a batch."""
        with translated(self.path):
            reader = self._take_reader()
            try:
                return query(reader)
            finally:
                self._put_reader_back(reader)

    def changed(self) -> bool:
        """May another connection, or one of ours that told so, have written since the last call?"""
        with self._lock, translated(self.path):
            version = self.execute("PRAGMA data_version").fetchone()[0]
            changed = self._told or version != self._seen_version
            self._told, self._seen_version = False, version
            return changed

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            with self._pool:
                self._closed = True
                for reader in self._readers:
                    reader.close()
                self._readers.clear()
            self.db.close()

    def _look_for_others(self) -> None:
        version = self.execute("PRAGMA data_version").fetchone()[0]
        if version != self._written_version:
            self.generation += 1
            self._written_version = version

    def _roll_back(self) -> None:
        self.generation += 1
        try:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
        except sqlite3.Error:  # SQLite has rolled back by itself
            return

    def _take_reader(self) -> sqlite3.Connection:
        with self._pool:
            self._check_open()
            if self._readers:
                return self._readers.pop()
        reader = self._connect()
        reader.execute("PRAGMA query_only = ON")
        return reader

    def _put_reader_back(self, reader: sqlite3.Connection) -> None:
        with self._pool:
            if not self._closed and len(self._readers) < _READERS_KEPT:
                self._readers.append(reader)
                return
        reader.close()

    def _check_open(self) -> None:
        if self._closed:
            raise translate(sqlite3.ProgrammingError("it was closed"), self.path)

    def _open(self) -> sqlite3.Connection:
        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise translate(sqlite3.OperationalError(str(error)), self.path) from error
        _check_header(self.path)
        with translated(self.path):
            db = self._connect()
            try:
                _use_write_ahead_log(db)
                prepare(db, self.path)
                db.execute(f"PRAGMA synchronous = {self.durability.upper()}")
                db.execute(f"PRAGMA fullfsync = {int(self.durability == 'full')}")
                db.execute("PRAGMA wal_autocheckpoint = 2000")
                db.execute("PRAGMA journal_size_limit = 67108864")
            except BaseException:
                db.close()
                raise
            return db

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA cache_size = -8000")
        db.execute("PRAGMA temp_store = MEMORY")
        return db


def fetch(sql: str, values: Row = ()) -> Callable[[sqlite3.Connection], list[Row]]:
    """For `read`: all rows of a query."""
    return lambda db: db.execute(sql, values).fetchall()


def fetch_one(sql: str, values: Row = ()) -> Callable[[sqlite3.Connection], Row | None]:
    """For `read`: the first row of a query."""
    return lambda db: db.execute(sql, values).fetchone()


def _check_header(path: str) -> None:
    """SQLite takes a file of a few bytes for an empty one and would write over it."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            header = file.read(16)
    except OSError:
        return  # there is none, or SQLite will say what is wrong with it
    if header and header != b"SQLite format 3\0":
        raise JournalDamaged(
            f"the journal {path} is not a SQLite database",
            hint="move the file away to start with a new journal, or restore it from a backup",
        )


def _use_write_ahead_log(db: sqlite3.Connection) -> None:
    """Set once for the life of the file. Two processes that make it at the same moment get in each other's way."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = (error.sqlite_errorcode & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
