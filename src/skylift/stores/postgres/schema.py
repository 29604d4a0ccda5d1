"""Brings the database's schema to the newest layout; several processes may start at once."""

from __future__ import annotations

import psycopg

from skylift.errors import JournalDamaged, JournalUnavailable
from skylift.stores.postgres import layout_1
from skylift.stores.postgres.address import Address
from skylift.stores.postgres.connection import Connection, check_version, connect
from skylift.stores.postgres.errors import translate

MIGRATIONS = (layout_1.SQL,)
"""Number n leads from layout n to n + 1. Never change one that was released: add the next."""

VERSION = len(MIGRATIONS)
_PATIENCE_S = 600.0
"""For a migration of a big database, ours or one that another process is making."""
_LOCK = 0x536B794C  # "SkyL"


def prepare(address: Address) -> None:
    """All of it or nothing. Raises JournalUnavailable where the database cannot be used or is newer than we are."""
    try:
        with connect(address, "write") as connection:
            check_version(connection, address.place)
            if _version(connection, address) != VERSION:
                _migrate(connection, address)
    except psycopg.Error as error:
        raise translate(error, address.place) from error


def _migrate(connection: Connection, address: Address) -> None:
    connection.patience_s = _PATIENCE_S
    connection.execute("SET lock_timeout = 0; SET statement_timeout = 0")
    # Held until the connection is closed; taken before the transaction, which then sees what another has made.
    connection.rows("SELECT pg_advisory_lock(%s::integer, hashtext(%s))", (_LOCK, address.schema))
    with connection.transaction():
        version = _version(connection, address)  # another process may have been faster
        if version > VERSION:
            raise JournalUnavailable(
                f"the {address.place} has layout {version}; this Skylift knows up to {VERSION}",
                hint="it was written by a newer Skylift: upgrade this one",
            )
        if version == 0:
            _check_free(connection, address)
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{address.schema}"'.encode())
            connection.execute("CREATE TABLE layout (version integer NOT NULL)")
            connection.execute("INSERT INTO layout VALUES (0)")
        for migration in MIGRATIONS[version:]:
            connection.execute(migration.encode())
        connection.rows("UPDATE layout SET version = %s", (VERSION,))


def _version(connection: Connection, address: Address) -> int:
    known = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'layout'"
    if connection.row(known, (address.schema,)) is None:
        return 0
    row = connection.row("SELECT version FROM layout")
    return 0 if row is None else int(row[0])


def _check_free(connection: Connection, address: Address) -> None:
    taken = connection.row("SELECT 1 FROM pg_tables WHERE schemaname = %s LIMIT 1", (address.schema,))
    if taken is not None:
        raise JournalDamaged(
            f"schema {address.schema} of the {address.place} holds tables that are not Skylift's",
            hint="choose another schema with ?schema=NAME in the store's URL",
        )
