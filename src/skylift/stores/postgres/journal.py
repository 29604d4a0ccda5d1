"""The journal in a PostgreSQL database, which several engines may share.

The engine's changes go over a connection of their own, one round trip a batch; what other threads ask for (signals,
activities' tasks, resources) goes over a second one, and readers have a few more. Every change happens exactly once,
also where a connection breaks while it is committed (see `writer`).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

import psycopg

from skylift.asl.events import AnyEvent, TaskStarted
from skylift.errors import JournalDamaged, NotOwner
from skylift.ports.journal import Batch, CacheEntry, Entry, OfferedTask, RunRecord, Signal, Snapshot
from skylift.stores.encoding import damaged, decode_entries, decode_event, decode_json, encode_event
from skylift.stores.memory import document_missing, local_token, not_owner, run_exists, run_unknown
from skylift.stores.postgres.address import Address
from skylift.stores.postgres.batches import statement_of
from skylift.stores.postgres.connection import Connection, Readers, Row
from skylift.stores.postgres.deletion import check_deletable, delete, drop_documents
from skylift.stores.postgres.errors import NOT_OWNED, translate
from skylift.stores.postgres.rows import COLUMNS, packed, packed_or_none, record_of, text_or_none
from skylift.stores.postgres.writer import Writer

_LOOK_S = 0.1
_SOME_RUNS = 200
"""Runs deleted in one transaction: others must not wait long."""
_PAGE = 4
_ENTRIES = (
    "SELECT first, last, checksum, entries FROM appends "
    f"WHERE run = (SELECT number FROM runs WHERE run_id = %s) AND first >= %s ORDER BY first LIMIT {_PAGE}"
)
_ADOPT = (
    "WITH orphans AS (SELECT number FROM runs WHERE owner {same} AND status IN ('RUNNING', 'PAUSED') "
    "ORDER BY created_ms, number LIMIT %s FOR UPDATE SKIP LOCKED) "
    "UPDATE runs SET owner = %s FROM orphans WHERE runs.number = orphans.number "
    "RETURNING runs.created_ms, runs.number, runs.run_id"
)
_OWNERS = """
WITH RECURSIVE known (owner) AS (
    (SELECT owner FROM runs WHERE status IN ('RUNNING', 'PAUSED') AND owner IS NOT NULL ORDER BY owner LIMIT 1)
    UNION ALL
    SELECT (SELECT owner FROM runs WHERE status IN ('RUNNING', 'PAUSED') AND owner > known.owner ORDER BY owner LIMIT 1)
    FROM known WHERE known.owner IS NOT NULL
)
SELECT owner FROM known WHERE owner IS NOT NULL
UNION ALL
SELECT NULL WHERE EXISTS (SELECT 1 FROM runs WHERE status IN ('RUNNING', 'PAUSED') AND owner IS NULL)
"""
_TAKE = (
    "WITH oldest AS (SELECT number FROM offers WHERE queue = %s ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED), "
    "taken AS (DELETE FROM offers USING oldest WHERE offers.number = oldest.number RETURNING offers.*) "
    "SELECT token, run_id, input, offered_ms, run FROM taken JOIN runs ON runs.number = taken.run"
)
_SIGNALS = (
    "SELECT signals.number, driven.run_id, event FROM signals "
    "CROSS JOIN LATERAL (SELECT run_id, owner FROM runs WHERE runs.number = signals.run OFFSET 0) AS driven "
    "WHERE driven.owner = %s ORDER BY signals.number"
)


class PostgresJournal:
    """The Journal port over a PostgreSQL schema. Thread-safe; do not use an instance in a forked child."""

    def __init__(self, address: Address, readers: Readers, engine: Writer, others: Writer) -> None:
        self.place = address.place
        self._readers = readers
        self._engine = engine
        self._others = others
        self._lock = threading.Lock()
        self._looked_s = float("-inf")

    # -- what engines do -----------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        statement = statement_of(batch)
        if not statement:
            return
        try:
            self._engine.call(statement.sql, statement.values)
        except psycopg.errors.UniqueViolation as error:
            raise self._taken(batch) from error
        except psycopg.Error as error:
            if error.sqlstate == NOT_OWNED:
                raise _refused(batch, error.diag.message_detail or "") from error
            raise translate(error, self.place) from error

    def _taken(self, batch: Batch) -> Exception:
        names: set[tuple[str, str]] = set()
        for record in batch.created:
            key = (record.pipeline, record.name)
            if key in names or self.run(record.run_id) or self.run_named(*key):
                return run_exists(record)
            names.add(key)
        return run_exists(batch.created[-1])

    def claim(self, run_id: str, owner: str, expected: str | None) -> bool:
        def work(connection: Connection) -> list[bytes]:
            rows = connection.rows(
                "UPDATE runs SET owner = %s WHERE run_id = %s AND owner IS NOT DISTINCT FROM %s::bytea "
                "RETURNING run_id",
                (packed(owner), packed(run_id), packed_or_none(expected)),
            )
            return [row[0] for row in rows]

        return bool(self._change_owner(work, owner, expected))

    def adopt(self, owner: str, expected: str | None, limit: int) -> list[str]:
        same = "IS NULL" if expected is None else "= %s"
        values = (limit, packed(owner)) if expected is None else (packed(expected), limit, packed(owner))

        def work(connection: Connection) -> list[bytes]:
            return [row[2] for row in sorted(connection.rows(_ADOPT.format(same=same), values))]

        return [run_id.decode() for run_id in self._change_owner(work, owner, expected)]

    def _change_owner(self, work: Any, owner: str, expected: str | None) -> list[bytes]:
        """Where nobody learns that the runs are ours, nobody drives them: then they must not be ours."""

        def undo(connection: Connection, run_ids: list[bytes]) -> None:
            connection.rows(
                "UPDATE runs SET owner = %s WHERE run_id = ANY (%b::bytea[]) AND owner = %s",
                (packed_or_none(expected), run_ids, packed(owner)),
            )

        with _translated(self.place):
            found: list[bytes] = self._engine.transaction(work, undo)
        self._tell()
        return found

    def owners(self) -> list[str | None]:
        return [text_or_none(row[0]) for row in self._rows(_OWNERS)]

    def release(self, owner: str) -> None:
        def work(connection: Connection) -> None:
            connection.rows(
                "UPDATE runs SET owner = NULL WHERE owner = %s AND status IN ('RUNNING', 'PAUSED')", (packed(owner),)
            )

        with _translated(self.place):
            self._engine.transaction(work)
        self._tell()

    def signals(self, owner: str) -> list[Signal]:
        rows = self._rows(_SIGNALS, (packed(owner),))
        return [
            Signal(number=number, run_id=run_id.decode(), event=decode_event(event)) for number, run_id, event in rows
        ]

    def changed(self) -> bool:
        """Asking would cost as much as looking, and other engines write all the time: so True every so often."""
        now = time.monotonic()
        with self._lock:
            if now - self._looked_s < _LOOK_S:
                return False
            self._looked_s = now
            return True

    def _tell(self) -> None:
        with self._lock:
            self._looked_s = float("-inf")

    # -- what anybody asks for -----------------------------------------------------------------------------------------

    def send(self, run_id: str, event: AnyEvent) -> int:
        data = encode_event(event)

        def work(connection: Connection) -> int:
            row = connection.row(
                "INSERT INTO signals (run, event) SELECT number, %s FROM runs WHERE run_id = %s RETURNING number",
                (data, packed(run_id)),
            )
            if row is None:
                raise run_unknown(run_id)
            return int(row[0])

        with _translated(self.place):
            number = self._others.transaction(work)
        self._tell()
        return number

    def take(self, queue: str, worker: str | None) -> OfferedTask | None:
        if self._row("SELECT 1 FROM offers WHERE queue = %s LIMIT 1", (packed(queue),)) is None:
            return None  # the usual answer to a worker who polls costs no transaction

        def work(connection: Connection) -> OfferedTask | None:
            row = connection.row(_TAKE, (packed(queue),))
            if row is None:
                return None
            token, run_id, given, offered_ms, run = row
            taken = OfferedTask(
                queue=queue, token=token.decode(), run_id=run_id.decode(), input=given.decode(), offered_ms=offered_ms
            )
            event = encode_event(TaskStarted(token=local_token(taken.token, taken.run_id), worker=worker))
            connection.rows("INSERT INTO signals (run, event) VALUES (%s, %s)", (run, event))
            return taken

        with _translated(self.place):
            taken = self._others.transaction(work)
        if taken is not None:
            self._tell()
        return taken

    def put_document(self, text: bytes) -> str:
        digest = hashlib.sha256(text).hexdigest()
        if self._row("SELECT 1 FROM documents WHERE digest = %s", (digest,)) is None:
            self._write("INSERT INTO documents (digest, text) VALUES (%s, %s) ON CONFLICT DO NOTHING", (digest, text))
        return digest

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        names = list(dict.fromkeys(packed(run_id) for run_id in run_ids))
        with _translated(self.place):
            if names:
                self._others.transaction(lambda connection: check_deletable(connection, names))
            for start in range(0, len(names), _SOME_RUNS):
                some = names[start : start + _SOME_RUNS]
                self._others.transaction(lambda connection, some=some: delete(connection, some))  # type: ignore[misc]
            self._others.transaction(drop_documents)
        self._tell()

    def _write(self, sql: str, values: Row) -> list[Row]:
        with _translated(self.place):
            return self._others.transaction(lambda connection: connection.rows(sql, values))

    # -- what is there -------------------------------------------------------------------------------------------------

    def document(self, digest: str) -> bytes:
        row = self._row("SELECT text FROM documents WHERE digest = %s", (digest,)) if "\0" not in digest else None
        if row is None:
            raise document_missing(digest)
        text = bytes(row[0])
        if hashlib.sha256(text).hexdigest() != digest:
            raise JournalDamaged(
                f"document {digest} in the {self.place} is damaged: its bytes have another digest",
                hint="restore the database from a backup; only runs of this pipeline are affected",
            )
        return text

    def run(self, run_id: str) -> RunRecord | None:
        return next(iter(self._many("WHERE run_id = %s", (packed(run_id),))), None)

    def run_named(self, pipeline: str, name: str) -> RunRecord | None:
        return next(iter(self._many("WHERE name = %s AND pipeline = %s", (packed(name), packed(pipeline)))), None)

    def runs(
        self,
        *,
        pipeline: str | None = None,
        account: str | None = None,
        status: Sequence[str] | None = None,
        parent: str | None = None,
        before: tuple[int, str] | None = None,
        limit: int = 100,
    ) -> list[RunRecord]:
        conditions: list[str] = []
        values: list[Any] = []
        for column, value in (("pipeline", pipeline), ("account", account), ("parent", parent)):
            if value is not None:
                conditions.append(f"{column} = %s")
                values.append(packed(value))
        if account:
            conditions.append("account <> ''")  # so the index serves
        if status is not None:
            conditions.append("status = ANY (%b::text[])")
            values.append(list(status))
        if before is not None:
            conditions.append("(created_ms, run_id) < (%s, %s)")
            values.extend((before[0], packed(before[1])))
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return self._many(f"{where} ORDER BY created_ms DESC, run_id DESC LIMIT %s", (*values, limit))

    def find_runs(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        start = packed(prefix)
        end = start + b"\xff"  # no text has this byte
        return self._many(
            "WHERE (run_id >= %s AND run_id < %s) OR (name >= %s AND name < %s) "
            "ORDER BY created_ms DESC, run_id DESC LIMIT %s",
            (start, end, start, end, limit),
        )

    def entries(self, run_id: str, after: int = 0) -> Iterator[Entry]:
        run = packed(run_id)
        expected = self._first_of_append(run, after + 1) if after else 1
        rows: list[Row] | None = None
        while rows is None or len(rows) == _PAGE:  # a shorter page was the last
            rows = self._rows(_ENTRIES, (run, expected))
            for first, last, checksum, data in rows:
                if first != expected:
                    raise damaged(run_id, expected, f"it is missing, the next is {first}")
                if crc32(data) != checksum:
                    raise damaged(run_id, first, "its bytes do not match their checksum")
                entries = decode_entries(data, run_id, first)
                if len(entries) != last - first + 1:
                    raise damaged(run_id, first, f"{len(entries)} events instead of {last - first + 1}")
                expected = last + 1
                yield from entries[after + 1 - first :] if first <= after else entries

    def _first_of_append(self, run: bytes, sequence: int) -> int:
        """The first entry of the append that holds `sequence`, or `sequence` itself where none does."""
        row = self._row(
            "SELECT first, last FROM appends WHERE run = (SELECT number FROM runs WHERE run_id = %s) AND first <= %s "
            "ORDER BY first DESC LIMIT 1",
            (run, sequence),
        )
        return sequence if row is None or row[1] < sequence else int(row[0])

    def snapshot(self, run_id: str) -> Snapshot | None:
        row = self._row(
            "SELECT sequence, checksum, state FROM snapshots JOIN runs ON number = run WHERE run_id = %s",
            (packed(run_id),),
        )
        if row is None or crc32(row[2]) != row[1]:
            return None  # a help only: without it all events are replayed
        return Snapshot(run_id=run_id, sequence=row[0], state=bytes(row[2]))

    def cached(self, key: str) -> CacheEntry | None:
        row = self._row(
            "SELECT run_id, cache.output, cache.created_ms FROM cache JOIN runs ON number = run WHERE key = %s",
            (packed(key),),
        )
        if row is None:
            return None
        return CacheEntry(key=key, run_id=row[0].decode(), output=decode_json(row[1]), created_ms=row[2])

    def close(self) -> None:
        self._engine.close()
        self._others.close()
        self._readers.close()

    def _rows(self, sql: str, values: Row = ()) -> list[Row]:
        """An engine whose last change is uncertain must not read from before it: find out first."""
        for writer in (self._engine, self._others):
            if writer.uncertain:
                writer.settle()
        return self._readers.read(lambda connection: connection.rows(sql, values))

    def _row(self, sql: str, values: Row = ()) -> Row | None:
        rows = self._rows(sql, values)
        return rows[0] if rows else None

    def _many(self, where: str, values: Row) -> list[RunRecord]:
        return [record_of(row) for row in self._rows(f"SELECT {COLUMNS} FROM runs {where}", values)]


class _translated:
    """Turns what PostgreSQL raises into the journal's errors."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, psycopg.Error):
            raise translate(error, self._place) from error


def _refused(batch: Batch, detail: str) -> NotOwner:
    """Why the database refused an append: `detail` is what `refuse_append` found."""
    run_id, owner, *last = detail.split(" ") if detail else ("", "-")
    name = bytes.fromhex(run_id).decode()
    if owner != packed(batch.owner).hex():
        return not_owner(name, batch.owner, None if owner == "-" else bytes.fromhex(owner).decode())
    first = next(append.entries[0].sequence for append in batch.appends if append.run_id == name and append.entries)
    return NotOwner(
        f"event {first} of run {name} does not follow its last journaled event {last[0]}: "
        "another engine has gone on with the run"
    )
