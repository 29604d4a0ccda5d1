"""Changes that happen exactly once, also where the connection breaks while they are being committed.

Each writer has a row in the database with the number of its last change, which every change counts up in its own
transaction. Who has lost the connection opens a new one, raises the row's epoch, and reads the number: the change is
in or it is not, and what an old connection may still deliver is refused because it comes from an older epoch. See
docs/decisions/0110-postgresql-store.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from skylift.errors import JournalUnavailable
from skylift.stores.postgres.address import Address
from skylift.stores.postgres.connection import Connection, Row, connect
from skylift.stores.postgres.errors import FENCED, is_ended, is_lost, is_retried, translate, unavailable

T = TypeVar("T")

_TRIES = 30
"""A server that cannot be reached ends them at once. They are used up only where every new session is lost before its
change is in, as on a busy machine whose sessions somebody ends again and again."""
_CONNECTS = 3
"""Where nobody answers, or what is in between breaks the connection. A session that the server itself ended is no sign
of that: it is as with a change."""
_PAUSE_S = 0.02
_REGISTER = "INSERT INTO writers (epoch, batch, seen) VALUES (1, 0, now()) RETURNING number, epoch, batch"
_FENCE = "UPDATE writers SET epoch = epoch + 1, seen = now() WHERE number = %s RETURNING number, epoch, batch"
_DURABLE = {
    "normal": "SELECT set_config('synchronous_commit', 'local', false) "
    "WHERE current_setting('synchronous_commit') = 'off'",
    "full": "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')",
}
"""What was acknowledged survives a crash of the server in any case: the server's own setting is never lowered."""
_ADVANCE = "SELECT advance_writer(%s, %s, %s)"


class _Change(Generic[T]):
    """One change under way. `result` is set before it can be committed."""

    def __init__(self, batch: int, undo: Callable[[Connection, T], None] | None) -> None:
        self.batch = batch
        self.undo = undo
        self.result: T
        self.awaited = True
        """Its caller has not been told yet that it failed."""

    def take_back(self, connection: Connection) -> None:
        if self.undo is not None:
            self.undo(connection, self.result)


class Writer:
    """One connection, one change at a time. Thread-safe."""

    def __init__(self, address: Address, durability: str) -> None:
        self._address = address
        self._durability = durability
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._number: int | None = None
        self._epoch = 0
        self._batch = 0
        self._unknown: _Change[Any] | None = None
        self._closed = False

    @property
    def uncertain(self) -> bool:
        """Is it unknown whether the last change was written?"""
        return self._unknown is not None

    def settle(self) -> None:
        """Find out. Raises JournalUnavailable while that is not possible; readers must not look before."""
        with self._lock:
            self._connected()

    def call(self, sql: str, values: Row) -> None:
        """One statement that is a transaction of its own: one round trip. `sql` gives what is selected beside the
        writer's own step."""

        def change(connection: Connection, change: _Change[None]) -> None:
            change.result = None
            connection.rows(f"{_ADVANCE}, {sql}", (self._number, self._epoch, change.batch, *values))

        self._do(change, None)

    def transaction(self, work: Callable[[Connection], T], undo: Callable[[Connection, T], None] | None = None) -> T:
        """Several statements, committed together. `undo` takes the change back where the caller was told that it could
        not be made, and later it turns out that it was."""

        def change(connection: Connection, change: _Change[T]) -> None:
            connection.rows("BEGIN")
            connection.rows(_ADVANCE, (self._number, self._epoch, change.batch))
            change.result = work(connection)
            connection.rows("COMMIT")

        return self._do(change, undo)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._drop()

    def _do(self, perform: Callable[[Connection, _Change[T]], None], undo: Callable[[Connection, T], None] | None) -> T:
        with self._lock:
            for tries_left in reversed(range(_TRIES)):
                connection = self._connected()
                change: _Change[T] = _Change(self._batch + 1, undo)
                try:
                    perform(connection, change)
                except psycopg.Error as error:
                    if self._is_done(change, connection, error, tries_left):
                        return change.result
                    continue
                except BaseException:
                    self._abandon(change, connection)
                    raise
                self._batch = change.batch
                return change.result
        raise AssertionError("the last try returns or raises")

    def _is_done(self, change: _Change[Any], connection: Connection, error: psycopg.Error, tries_left: int) -> bool:
        """Whether the change is in although an error came; False to try it again. Raises what stays an error."""
        if not is_lost(error, connection):
            self._roll_back(connection)
            if tries_left and error.sqlstate == FENCED:
                self._drop()
                return False
            if tries_left and is_retried(error):
                return False
            raise error
        self._unknown = change
        self._drop()
        try:
            self._connected()
        except JournalUnavailable:
            change.awaited = False
            raise
        if self._batch != change.batch and not tries_left:
            raise unavailable(error, self._address.place)
        return self._batch == change.batch

    def _connected(self) -> Connection:
        """The connection, a new one if need be; then what was unknown is known, and taken back if nobody waits."""
        if self._closed:
            raise unavailable(psycopg.InterfaceError("it was closed"), self._address.place)
        if self._connection is None or self._connection.closed:
            self._drop()
            self._connection = self._reconnect_soon()
        return self._connection

    def _reconnect_soon(self) -> Connection:
        """Tries again at once where the new connection was cut as well; not where nobody answers."""
        refused = 0
        for tries_left in reversed(range(_TRIES)):
            began = time.monotonic()
            try:
                return self._reconnect()
            except psycopg.Error as error:
                if not is_ended(error):
                    refused = _CONNECTS if time.monotonic() - began > 1 else refused + 1
                if not tries_left or refused >= _CONNECTS:
                    raise translate(error, self._address.place, uncertain=self.uncertain) from error
                time.sleep(_PAUSE_S)
        raise AssertionError("the last try returns or raises")

    def _reconnect(self) -> Connection:
        connection = connect(self._address, "write")
        try:
            connection.rows(_DURABLE[self._durability])
            row = None if self._number is None else connection.row(_FENCE, (self._number,))
            if row is None:
                row = connection.row(_REGISTER)
                assert row is not None
            self._number, self._epoch, self._batch = row
            self._resolve(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _resolve(self, connection: Connection) -> None:
        change = self._unknown
        if change is not None and self._batch == change.batch and not change.awaited:
            change.take_back(connection)
        self._unknown = None

    def _roll_back(self, connection: Connection) -> None:
        try:
            if connection.info.transaction_status != TransactionStatus.IDLE:
                connection.rows("ROLLBACK")
        except psycopg.Error:
            self._drop()

    def _abandon(self, change: _Change[Any], connection: Connection) -> None:
        """Something else than the database ended it: what the caller's own code raised, or an interrupt."""
        if not connection.closed and connection.info.transaction_status == TransactionStatus.INTRANS:
            self._roll_back(connection)
        else:
            change.awaited = False
            self._unknown = change
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
