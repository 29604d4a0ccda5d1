"""Resources in the database of the journal."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from skylift.ports.resources import Resource
from skylift.stores.memory_resources import check_revision, document_gone
from skylift.stores.postgres.address import Address
from skylift.stores.postgres.connection import Connection, Readers, Row
from skylift.stores.postgres.errors import translate
from skylift.stores.postgres.rows import packed
from skylift.stores.postgres.writer import Writer

_PUT = (
    "INSERT INTO resources (kind, key, revision, body) VALUES (%s, %s, 1, %s) "
    "ON CONFLICT (kind, key) DO UPDATE SET revision = resources.revision + 1, body = excluded.body RETURNING revision"
)


class PostgresResources:
    """The ResourceStore port over a PostgreSQL schema. Thread-safe."""

    def __init__(self, address: Address, readers: Readers, writer: Writer) -> None:
        self._place = address.place
        self._readers = readers
        self._writer = writer

    def get(self, kind: str, key: str) -> Resource | None:
        rows = self._rows("SELECT body, revision FROM resources WHERE kind = %s AND key = %s", _name(kind, key))
        return Resource(kind=kind, key=key, body=rows[0][0], revision=rows[0][1]) if rows else None

    def put(
        self, kind: str, key: str, body: bytes, *, expected: int | None = None, documents: Sequence[str] = ()
    ) -> Resource:
        digests = list(dict.fromkeys(documents))

        def work(connection: Connection) -> int:
            _check(connection, kind, key, expected)
            row = connection.row(_PUT, (*_name(kind, key), bytes(body)))
            assert row is not None
            _hold(connection, kind, key, digests)
            if expected is not None and row[0] != expected + 1:  # made by somebody else since we looked
                check_revision(kind, key, row[0] - 1, expected)
            return int(row[0])

        try:
            revision = self._writer.transaction(work)
        except psycopg.Error as error:
            raise translate(error, self._place) from error
        return Resource(kind=kind, key=key, body=bytes(body), revision=revision)

    def delete(self, kind: str, key: str, *, expected: int | None = None) -> bool:
        def work(connection: Connection) -> bool:
            _check(connection, kind, key, expected)
            connection.rows("DELETE FROM held WHERE kind = %s AND key = %s", _name(kind, key))
            return bool(
                connection.rows("DELETE FROM resources WHERE kind = %s AND key = %s RETURNING key", _name(kind, key))
            )

        try:
            return self._writer.transaction(work)
        except psycopg.Error as error:
            raise translate(error, self._place) from error

    def kinds(self) -> list[str]:
        return [row[0].decode() for row in self._rows("SELECT DISTINCT kind FROM resources ORDER BY kind")]

    def documents(self) -> set[str]:
        return {row[0] for row in self._rows("SELECT DISTINCT digest FROM held")}

    def close(self) -> None:
        self._writer.close()
        self._readers.close()

    def _rows(self, sql: str, values: Row = ()) -> list[Row]:
        if self._writer.uncertain:
            self._writer.settle()
        return self._readers.read(lambda connection: connection.rows(sql, values))

    def list(self, kind: str, prefix: str = "", *, after: str = "", limit: int = 100) -> list[Resource]:
        rows = self._rows(
            "SELECT key, body, revision FROM resources WHERE kind = %s AND key > %s AND key >= %s AND key < %s "
            "ORDER BY key LIMIT %s",
            (packed(kind), packed(after), packed(prefix), packed(prefix) + b"\xff", limit),
        )
        return [Resource(kind=kind, key=key.decode(), body=body, revision=revision) for key, body, revision in rows]


def _name(kind: str, key: str) -> Row:
    return (packed(kind), packed(key))


def _check(connection: Connection, kind: str, key: str, expected: int | None) -> None:
    row = connection.row("SELECT revision FROM resources WHERE kind = %s AND key = %s FOR UPDATE", _name(kind, key))
    check_revision(kind, key, 0 if row is None else row[0], expected)


def _hold(connection: Connection, kind: str, key: str, digests: list[str]) -> None:
    connection.rows("DELETE FROM held WHERE kind = %s AND key = %s", _name(kind, key))
    held = (
        connection.rows(
            "INSERT INTO held (kind, key, digest) SELECT %s, %s, digest FROM documents WHERE digest = ANY (%b::text[]) "
            "RETURNING digest",
            (*_name(kind, key), digests),
        )
        if digests
        else []
    )
    gone = set(digests) - {row[0] for row in held}
    if gone:
        raise document_gone(kind, key, min(gone))
