"""Who drives a run where engines share a database: a lease each, which its holder renews and the database's clock ends.

An engine counts as dead when its row is gone, or when its lease has run out and has stayed so for a while during which
the database answered: a server that was stopped or stalled gives everybody the time to renew first.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time

import psycopg

from skylift.errors import JournalUnavailable
from skylift.stores.postgres.address import Address
from skylift.stores.postgres.connection import Connection, Readers, connect
from skylift.stores.postgres.errors import translate
from skylift.stores.postgres.rows import packed

LEASE_S = 5.0
RENEW_S = 1.0
DOUBT_S = 1.5
"""How long a lease must be seen as run out before its holder counts as dead."""
_CACHE_S = 0.4
_RENEW = (
    "INSERT INTO engines (owner, expires, started) VALUES (%s, clock_timestamp() + make_interval(secs => %s), now()) "
    "ON CONFLICT (owner) DO UPDATE SET expires = excluded.expires"
)
_LIVING = (
    "SELECT owner, greatest(expires, pg_postmaster_start_time() + make_interval(secs => %s)) > clock_timestamp() "
    "FROM engines"
)
_SWEEP = "DELETE FROM engines WHERE expires < now() - interval '1 hour'"
_SWEEP_WRITERS = "DELETE FROM writers WHERE seen < now() - interval '30 days'"


class Engines:
    """Who is alive, as the database says; asked at most every so often. Thread-safe."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._lock = threading.Lock()
        self._asked_s = float("-inf")
        self._known: dict[str, bool] | None = None
        """Owner → its lease holds. None while the database cannot be asked."""
        self._lapsed_s: dict[str, float] = {}
        """When a lease was first seen run out."""

    def is_alive(self, owner: str) -> bool:
        with self._lock:
            self._look()
            if self._known is None:
                return True
            if owner not in self._known:
                return False
            return not self._is_over(owner)

    def any_alive(self) -> bool:
        with self._lock:
            self._look()
            return self._known is None or not all(self._is_over(owner) for owner in self._known)

    def _is_over(self, owner: str) -> bool:
        since = self._lapsed_s.get(owner)
        return since is not None and self._asked_s - since >= DOUBT_S

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._asked_s < _CACHE_S:
            return
        try:
            rows = self._readers.read(lambda connection: connection.rows(_LIVING, (LEASE_S,)))
        except JournalUnavailable:
            self._known = None
            self._lapsed_s.clear()  # time in which nobody could renew does not count
            return
        self._asked_s = time.monotonic()
        self._known = {owner.decode(): holds for owner, holds in rows}
        lapsed = [owner for owner, holds in self._known.items() if not holds]
        self._lapsed_s = {owner: self._lapsed_s.get(owner, self._asked_s) for owner in lapsed}

    def forget(self) -> None:
        """Ask anew."""
        with self._lock:
            self._asked_s = float("-inf")


class PostgresLease:
    """The Ownership port. A thread of its own renews it over a connection of its own."""

    def __init__(self, address: Address, engines: Engines) -> None:
        self.owner = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(6)}"
        self._address = address
        self._engines = engines
        self._ended = threading.Event()
        self._connection: Connection | None = None
        try:
            self._renew()
            self._sweep()
        except psycopg.Error as error:
            raise translate(error, address.place) from error
        engines.forget()
        self._thread = threading.Thread(target=self._keep, name="skylift-lease", daemon=True)
        self._thread.start()

    def is_alive(self, owner: str) -> bool:
        if owner == self.owner:
            return not self._ended.is_set()
        return self._engines.is_alive(owner)

    def release(self) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        try:
            self._connected().rows("DELETE FROM engines WHERE owner = %s", (packed(self.owner),))
        except psycopg.Error:
            pass  # it runs out by itself
        finally:
            self._drop()
            self._engines.forget()

    def _keep(self) -> None:
        rounds = 0
        while not self._ended.wait(RENEW_S):
            rounds += 1
            try:
                self._renew()
                if rounds % 600 == 0:
                    self._sweep()
            except psycopg.Error:
                self._drop()  # the next round tries with a new one

    def _renew(self) -> None:
        self._connected().rows(_RENEW, (packed(self.owner), LEASE_S))

    def _sweep(self) -> None:
        for statement in (_SWEEP, _SWEEP_WRITERS):
            self._connected().rows(statement)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._address, "lease")
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
