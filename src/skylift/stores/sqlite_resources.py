"""Resources in the SQLite file of the journal."""

from __future__ import annotations

from collections.abc import Sequence

from skylift.ports.resources import Resource
from skylift.stores.memory_resources import check_revision, document_gone
from skylift.stores.sqlite_file import SqliteFile, fetch, fetch_one

_LAST_CHAR = "\U0010ffff"


class SqliteResources:
    """The ResourceStore port over an SQLite file, which the journal may share."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def get(self, kind: str, key: str) -> Resource | None:
        row = self._file.read(fetch_one("SELECT body, revision FROM resources WHERE kind = ? AND key = ?", (kind, key)))
        return None if row is None else Resource(kind=kind, key=key, body=bytes(row[0]), revision=row[1])

    def put(
        self, kind: str, key: str, body: bytes, *, expected: int | None = None, documents: Sequence[str] = ()
    ) -> Resource:
        with self._file.writing():
            revision = self._revision(kind, key)
            check_revision(kind, key, revision, expected)
            self._file.execute(
                "INSERT OR REPLACE INTO resources (kind, key, revision, body) VALUES (?, ?, ?, ?)",
                (kind, key, revision + 1, bytes(body)),
            )
            self._let_go(kind, key)
            for digest in dict.fromkeys(documents):
                self._hold(kind, key, digest)
        return Resource(kind=kind, key=key, body=bytes(body), revision=revision + 1)

    def delete(self, kind: str, key: str, *, expected: int | None = None) -> bool:
        with self._file.writing():
            check_revision(kind, key, self._revision(kind, key), expected)
            self._let_go(kind, key)
            gone = self._file.execute("DELETE FROM resources WHERE kind = ? AND key = ?", (kind, key))
            return gone.rowcount == 1

    def kinds(self) -> list[str]:
        return [kind for (kind,) in self._file.read(fetch("SELECT DISTINCT kind FROM resources ORDER BY kind"))]

    def documents(self) -> set[str]:
        return {digest for (digest,) in self._file.read(fetch("SELECT DISTINCT digest FROM held"))}

    def list(self, kind: str, prefix: str = "", *, after: str = "", limit: int = 100) -> list[Resource]:
        rows = self._file.read(
            fetch(
                "SELECT key, body, revision FROM resources WHERE kind = ? AND key > ? AND key >= ? AND key < ? "
                "ORDER BY key LIMIT ?",
                (kind, after, prefix, prefix + _LAST_CHAR, limit),
            )
        )
        return [Resource(kind=kind, key=key, body=bytes(body), revision=revision) for key, body, revision in rows]

    def close(self) -> None:
        self._file.close()

    def _revision(self, kind: str, key: str) -> int:
        row = self._file.execute("SELECT revision FROM resources WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return 0 if row is None else int(row[0])

    def _let_go(self, kind: str, key: str) -> None:
        self._file.execute("DELETE FROM held WHERE kind = ? AND key = ?", (kind, key))

    def _hold(self, kind: str, key: str, digest: str) -> None:
        held = self._file.execute(
            "INSERT INTO held (kind, key, digest) SELECT ?, ?, digest FROM documents WHERE digest = ?",
            (kind, key, digest),
        )
        if held.rowcount != 1:
            raise document_gone(kind, key, digest)
