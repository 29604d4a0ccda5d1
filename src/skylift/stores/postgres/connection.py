"""Connections: how they are set up, and a few kept open for readers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import BytesBinaryDumper, StrBinaryDumper

from skylift.errors import JournalUnavailable
from skylift.stores.postgres.address import Address
from skylift.stores.postgres.errors import is_broken, translate, unavailable

T = TypeVar("T")
Row = tuple[Any, ...]
Use = Literal["read", "write", "lease"]

OLDEST_SERVER = 130000
_CONNECT_S = 5
_STATEMENT_S = {"read": 20, "write": 40, "lease": 3}
_TRIES = 4
_PAUSE_S = 0.02
_MOST_READERS = 24
_IDLE_READERS = 8

_DEFAULTS = {
    "connect_timeout": str(_CONNECT_S),
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""So that a server whose machine is gone is noticed; the URL may say otherwise."""


class Connection(psycopg.Connection[Row]):
    """Gives up on a server that does not answer, also one that is too stuck to keep its own time limit."""

    patience_s: float = 60.0

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        return super().wait(gen, interval, self.patience_s if timeout is None else timeout)

    def rows(self, sql: str, values: Row = ()) -> list[Row]:
        """All rows that a statement gives; none where it gives no table."""
        cursor = self.cursor(binary=True)
        cursor.execute(sql.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def row(self, sql: str, values: Row = ()) -> Row | None:
        rows = self.rows(sql, values)
        return rows[0] if rows else None


def connect(address: Address, use: Use) -> Connection:
    """Raises psycopg's errors."""
    statement_s = _STATEMENT_S[use]
    options = {
        "search_path": address.schema,
        "statement_timeout": statement_s * 1000,
        "lock_timeout": min(10, statement_s) * 1000,
        "idle_in_transaction_session_timeout": 10_000,
        "default_transaction_isolation": "read\\ committed",
        "client_encoding": "UTF8",
        "enable_seqscan": "off",  # everything goes by an index; a plan made for a small table must not outlive it
        "jit": "off",
    }
    ours = " ".join(f"-c {name}={value}" for name, value in options.items())
    settings = {**_DEFAULTS, "application_name": f"skylift {use}", **address.settings}
    settings["options"] = f"{address.settings.get('options', '')} {ours}".strip()
    if use != "read":
        settings.setdefault("target_session_attrs", "read-write")
    connection = Connection.connect(make_conninfo(**settings), autocommit=True)
    connection.patience_s = statement_s + 2.0
    for kind, dumper in ((int, Int8BinaryDumper), (str, StrBinaryDumper), (bytes, BytesBinaryDumper)):
        connection.adapters.register_dumper(kind, dumper)
    return connection


def check_version(connection: Connection, place: str) -> None:
    if connection.info.server_version < OLDEST_SERVER:
        raise JournalUnavailable(
            f"the {place} is PostgreSQL {connection.info.server_version // 10000}; Skylift needs 13 or newer",
            hint="upgrade the database server",
        )


class Readers:
    """A few connections for queries that change nothing. Thread-safe."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_MOST_READERS)
        self._idle: list[Connection] = []
        self.closed = False

    def read(self, query: Callable[[Connection], T]) -> T:
        """A query whose connection breaks is asked again over a new one, unless nobody answers."""
        if not self._slots.acquire(timeout=_STATEMENT_S["read"]):
            raise JournalUnavailable(
                f"all {_MOST_READERS} connections for readers of the {self._address.place} are busy",
                hint="the server is overloaded or stalled: look at it",
            )
        try:
            for tries_left in reversed(range(_TRIES)):
                began = time.monotonic()
                try:
                    return self._ask(self._take() or connect(self._address, "read"), query)
                except psycopg.OperationalError as error:
                    if not tries_left or time.monotonic() - began > 1 or not is_broken(error):
                        raise
                    self._drop_idle()  # whatever ended this one has most likely ended them all
                    if tries_left < _TRIES - 1:
                        time.sleep(_PAUSE_S)
            raise AssertionError("the last try returns or raises")
        except psycopg.Error as error:
            raise translate(error, self._address.place) from error
        finally:
            self._slots.release()

    def _ask(self, connection: Connection, query: Callable[[Connection], T]) -> T:
        try:
            found = query(connection)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if not self.closed and len(self._idle) < _IDLE_READERS:
                self._idle.append(connection)
                return found
        connection.close()
        return found

    def _take(self) -> Connection | None:
        with self._lock:
            if self.closed:
                raise unavailable(psycopg.InterfaceError("it was closed"), self._address.place)
            return self._idle.pop() if self._idle else None

    def _drop_idle(self) -> None:
        with self._lock:
            dropped, self._idle = self._idle, []
        for connection in dropped:
            connection.close()

    def close(self) -> None:
        self.closed = True
        self._drop_idle()
