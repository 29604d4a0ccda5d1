"""The journal in one SQLite file: the embedded default.

Write-ahead logging: readers never wait for the writer, nor the writer for them. One transaction a batch. With
durability "normal" an acknowledged batch survives the death of the process; with "full" also the loss of power (an
fsync a batch). The file must lie on a local disk: locks and shared memory of network file systems do not hold.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from skylift.asl.events import AnyEvent, TaskStarted
from skylift.errors import JournalDamaged
from skylift.ports.journal import Append, Batch, CacheEntry, Entry, OfferedTask, RunRecord, Signal, Snapshot
from skylift.stores.encoding import (
    damaged,
    decode_entries,
    decode_event,
    decode_json,
    encode_entries,
    encode_event,
    encode_json,
)
from skylift.stores.memory import (
    check_sequence,
    document_missing,
    local_token,
    not_owner,
    refuse_deletion,
    run_exists,
    run_unknown,
)
from skylift.stores.sqlite_file import Durability, Row, SqliteFile, fetch, fetch_one

_COLUMNS = (
    "run_id, name, pipeline, definition, tasks, input_digest, status, created_ms, stopped_ms, output, error, cause, "
    "owner, parent, engine_version, attributes, account, type, limits"
)
_INSERT_RUN = f"INSERT INTO runs ({_COLUMNS}) VALUES ({', '.join('?' * 19)})"
_UPDATE_RUN = "UPDATE runs SET status = ?, stopped_ms = ?, output = ?, error = ?, cause = ? WHERE number = ?"
_INSERT_APPEND = "INSERT INTO appends (id, last, checksum, entries) VALUES (?, ?, ?, ?)"
_INSERT_SNAPSHOT = (
    "INSERT OR REPLACE INTO snapshots (run, sequence, checksum, state) "
    "SELECT number, ?, ?, ? FROM runs WHERE run_id = ?"
)
_INSERT_CACHE = (
    "INSERT OR REPLACE INTO cache (key, run, created_ms, output) SELECT ?, number, ?, ? FROM runs WHERE run_id = ?"
)
_POSITION = (
    "SELECT number, owner, "
    "(SELECT last FROM appends WHERE id BETWEEN number << 32 AND (number << 32) + 0xffffffff ORDER BY id DESC LIMIT 1) "
    "FROM runs WHERE run_id = ?"
)
_ENTRIES = (
    "SELECT id, last, checksum, entries FROM appends WHERE id > ? AND id < ? ORDER BY id LIMIT 4"  # immutable rows
)
_INSERT_OFFER = (
    "INSERT OR IGNORE INTO offers (queue, token, input, offered_ms, run) SELECT ?, ?, ?, ?, number FROM runs "
    "WHERE run_id = ?"
)
_OLDEST_OFFER = (
    "SELECT token, run_id, input, offered_ms, offers.number, run FROM offers JOIN runs ON runs.number = run "
    "WHERE queue = ? ORDER BY offers.number LIMIT 1"
)
_LAST_CHAR = "\U0010ffff"
_LONGEST_ROW = 16 * 1024 * 1024
"""SQLite holds at most 1 GB in a row, and a reader should not need that much memory at once."""


class _Position:
    """Where a run's journal ends and who owns it, as known since the last look at the database."""

    __slots__ = ("last", "number", "owner")

    def __init__(self, number: int, owner: str | None, last: int) -> None:
        self.number = number
        self.owner = owner
        self.last = last


class SqliteJournal:
    """The Journal port over an SQLite file, which is made with its folder if there is none.

    Methods may be called from any thread; several processes may open the file. Do not use an instance in a forked
    child.
    """

    def __init__(self, path: str | Path | SqliteFile, durability: Durability = "normal") -> None:
        self.file = path if isinstance(path, SqliteFile) else SqliteFile(path, durability)
        self.path = self.file.path
        self._positions: dict[str, _Position] = {}
        self._generation = -1
        self._db = self.file.db
        self._execute = self.file.execute

    def commit(self, batch: Batch) -> None:
        rows = [_rows_of(append.entries) for append in batch.appends]
        with self.file.writing():
            self._forget_if_stale()
            for record in batch.created:
                self._create(record)
            for append, encoded in zip(batch.appends, rows, strict=True):
                self._append(append, encoded, batch.owner)
            for snapshot in batch.snapshots:
                row = (snapshot.sequence, crc32(snapshot.state), snapshot.state, snapshot.run_id)
                self._execute(_INSERT_SNAPSHOT, row)
            for entry in batch.cached:
                self._execute(_INSERT_CACHE, (entry.key, entry.created_ms, encode_json(entry.output), entry.run_id))
            for number in batch.signals_done:
                self._execute("DELETE FROM signals WHERE number = ?", (number,))
            for offer in batch.offered:
                self._execute(_INSERT_OFFER, (offer.queue, offer.token, offer.input, offer.offered_ms, offer.run_id))
            for token in batch.withdrawn:
                self._execute("DELETE FROM offers WHERE token = ?", (token,))

    def _forget_if_stale(self) -> None:
        """What is known of runs holds as long as no other connection has written."""
        if self._generation != self.file.generation:
            self._positions.clear()
            self._generation = self.file.generation

    def _create(self, record: RunRecord) -> None:
        try:
            number = self._execute(_INSERT_RUN, _row_of(record)).lastrowid
        except sqlite3.IntegrityError as error:
            raise run_exists(record) from error
        self._positions[record.run_id] = _Position(number or 0, record.owner, 0)

    def _append(self, append: Append, rows: list[tuple[int, int, bytes]], owner: str) -> None:
        position = self._positions.get(append.run_id) or self._find_position(append.run_id)
        if position is None or position.owner != owner:
            raise not_owner(append.run_id, owner, position.owner if position else None)
        check_sequence(append, position.last)
        for first, last, data in rows:
            self._execute(_INSERT_APPEND, ((position.number << 32) + first, last, crc32(data), data))
            position.last = last
        update = append.update
        if update is not None:
            output = None if update.output is None else encode_json(update.output)
            row = (update.status, update.stopped_ms, output, update.error, update.cause, position.number)
            self._execute(_UPDATE_RUN, row)

    def _find_position(self, run_id: str) -> _Position | None:
        row = self._execute(_POSITION, (run_id,)).fetchone()
        if row is None:
            return None
        position = self._positions[run_id] = _Position(row[0], row[1], row[2] or 0)
        return position

    def put_document(self, text: bytes) -> str:
        digest = hashlib.sha256(text).hexdigest()
        if not self.file.read(lambda db: db.execute("SELECT 1 FROM documents WHERE digest = ?", (digest,)).fetchone()):
            with self.file.writing():
                self._execute("INSERT OR IGNORE INTO documents (digest, text) VALUES (?, ?)", (digest, text))
        return digest

    def document(self, digest: str) -> bytes:
        row = self.file.read(lambda db: db.execute("SELECT text FROM documents WHERE digest = ?", (digest,)).fetchone())
        if row is None:
            raise document_missing(digest)
        text = bytes(row[0])
        if hashlib.sha256(text).hexdigest() != digest:
            raise JournalDamaged(
                f"document {digest} in the journal {self.path} is damaged: its bytes have another digest",
                hint="restore the journal from a backup; only runs of this pipeline are affected",
            )
        return text

    def run(self, run_id: str) -> RunRecord | None:
        return self._one("WHERE run_id = ?", (run_id,))

    def run_named(self, pipeline: str, name: str) -> RunRecord | None:
        return self._one("WHERE name = ? AND pipeline = ?", (name, pipeline))

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
        if pipeline is not None:
            conditions.append("pipeline = ?")
            values.append(pipeline)
        if account is not None:
            conditions.append("account = ? AND account <> ''" if account else "account = ?")  # so the index serves
            values.append(account)
        if status is not None:
            conditions.append(f"status IN ({', '.join('?' * len(status))})")
            values.extend(status)
        if parent is not None:
            conditions.append("parent = ?")
            values.append(parent)
        if before is not None:
            conditions.append("(created_ms, run_id) < (?, ?)")
            values.extend(before)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return self._many(f"{where} ORDER BY created_ms DESC, run_id DESC LIMIT ?", (*values, limit))

    def find_runs(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        end = prefix + _LAST_CHAR
        return self._many(
            "WHERE (run_id >= ? AND run_id < ?) OR (name >= ? AND name < ?) "
            "ORDER BY created_ms DESC, run_id DESC LIMIT ?",
            (prefix, end, prefix, end, limit),
        )

    def entries(self, run_id: str, after: int = 0) -> Iterator[Entry]:
        row = self.file.read(lambda db: db.execute("SELECT number FROM runs WHERE run_id = ?", (run_id,)).fetchone())
        if row is None:
            return
        base = row[0] << 32
        expected = self._first_of_append(base, after + 1)
        while rows := self.file.read(fetch(_ENTRIES, (base + expected - 1, base + (1 << 32)))):
            for identity, last, checksum, data in rows:
                first = identity - base
                if first != expected:
                    raise damaged(run_id, expected, f"it is missing, the next is {first}")
                if type(data) is not bytes or crc32(data) != checksum:
                    raise damaged(run_id, first, "its bytes do not match their checksum")
                entries = decode_entries(data, run_id, first)
                if len(entries) != last - first + 1:
                    raise damaged(run_id, first, f"{len(entries)} events instead of {last - first + 1}")
                expected = last + 1
                yield from entries[after + 1 - first :] if first <= after else entries

    def _first_of_append(self, base: int, sequence: int) -> int:
        """The first entry of the append that holds `sequence`, or `sequence` itself where none does."""
        row = self.file.read(
            lambda db: db.execute(
                "SELECT id, last FROM appends WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1",
                (base, base + sequence),
            ).fetchone()
        )
        return sequence if row is None or row[1] < sequence else int(row[0]) - base

    def snapshot(self, run_id: str) -> Snapshot | None:
        row = self.file.read(
            lambda db: db.execute(
                "SELECT sequence, checksum, state FROM snapshots JOIN runs ON number = run WHERE run_id = ?",
                (run_id,),
            ).fetchone()
        )
        if row is None or crc32(row[2]) != row[1]:
            return None  # a help only: without it all events are replayed
        return Snapshot(run_id=run_id, sequence=row[0], state=bytes(row[2]))

    def claim(self, run_id: str, owner: str, expected: str | None) -> bool:
        with self.file.writing(tell=True):
            changed = self._execute(
                "UPDATE runs SET owner = ? WHERE run_id = ? AND owner IS ?", (owner, run_id, expected)
            )
            self._positions.pop(run_id, None)
            return changed.rowcount == 1

    def owners(self) -> list[str | None]:
        rows = self.file.read(fetch("SELECT DISTINCT owner FROM runs WHERE status IN ('RUNNING', 'PAUSED')"))
        return [owner for (owner,) in rows]

    def adopt(self, owner: str, expected: str | None, limit: int) -> list[str]:
        with self.file.writing(tell=True):
            rows = self._execute(
                "UPDATE runs SET owner = ? WHERE number IN (SELECT number FROM runs WHERE owner IS ? "
                "AND status IN ('RUNNING', 'PAUSED') ORDER BY created_ms, number LIMIT ?) "
                "RETURNING created_ms, number, run_id",
                (owner, expected, limit),
            ).fetchall()
            for row in rows:
                self._positions.pop(row[2], None)
        return [run_id for _, _, run_id in sorted(rows)]

    def take(self, queue: str, worker: str | None) -> OfferedTask | None:
        if not self.file.read(fetch_one("SELECT 1 FROM offers WHERE queue = ? LIMIT 1", (queue,))):
            return None  # the usual answer to a worker who polls costs the writer nothing
        with self.file.writing(tell=True):
            row = self._execute(_OLDEST_OFFER, (queue,)).fetchone()
            if row is None:
                return None
            token, run_id, given, offered_ms, number, run = row
            self._execute("DELETE FROM offers WHERE number = ?", (number,))
            event = encode_event(TaskStarted(token=local_token(token, run_id), worker=worker))
            self._execute("INSERT INTO signals (run, event) VALUES (?, ?)", (run, event))
        return OfferedTask(queue=queue, token=token, run_id=run_id, input=given, offered_ms=offered_ms)

    def release(self, owner: str) -> None:
        with self.file.writing(tell=True):
            self._execute(
                "UPDATE runs SET owner = NULL WHERE owner = ? AND status IN ('RUNNING', 'PAUSED')",
                (owner,),
            )
            self._positions.clear()

    def send(self, run_id: str, event: AnyEvent) -> int:
        with self.file.writing(tell=True):
            sent = self._execute(
                "INSERT INTO signals (run, event) SELECT number, ? FROM runs WHERE run_id = ?",
                (encode_event(event), run_id),
            )
            if sent.rowcount != 1:
                raise run_unknown(run_id)
            return sent.lastrowid or 0

    def signals(self, owner: str) -> list[Signal]:
        rows = self.file.read(
            fetch(
                "SELECT signals.number, run_id, event FROM signals CROSS JOIN runs ON runs.number = signals.run "
                "WHERE owner = ? ORDER BY signals.number",
                (owner,),
            )
        )
        return [Signal(number=number, run_id=run_id, event=decode_event(event)) for number, run_id, event in rows]

    def changed(self) -> bool:
        return self.file.changed()

    def cached(self, key: str) -> CacheEntry | None:
        row = self.file.read(
            lambda db: db.execute(
                "SELECT run_id, cache.output, cache.created_ms FROM cache JOIN runs ON number = run WHERE key = ?",
                (key,),
            ).fetchone()
        )
        if row is None:
            return None
        return CacheEntry(key=key, run_id=row[0], output=decode_json(row[1]), created_ms=row[2])

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        with self.file.writing(tell=True):
            for run_id in run_ids:
                self._delete_run(run_id)
            self._drop_documents()

    def _delete_run(self, run_id: str) -> None:
        row = self._execute(f"SELECT number, {_COLUMNS} FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            return
        refuse_deletion(_record_of(row[1:]))
        number = row[0]
        self._execute("DELETE FROM appends WHERE id BETWEEN ? AND ?", (number << 32, (number << 32) + 0xFFFFFFFF))
        for table, column in (
            ("snapshots", "run"),
            ("signals", "run"),
            ("cache", "run"),
            ("offers", "run"),
            ("runs", "number"),
        ):
            self._execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))
        self._positions.pop(run_id, None)

    def _drop_documents(self) -> None:
        """Those that no run uses any more, nor a resource."""
        self._execute(
            "DELETE FROM documents WHERE digest NOT IN (SELECT definition FROM runs) "
            "AND digest NOT IN (SELECT tasks FROM runs WHERE tasks IS NOT NULL) "
            "AND digest NOT IN (SELECT digest FROM held)"
        )

    def close(self) -> None:
        self.file.close()

    def _one(self, where: str, values: Row) -> RunRecord | None:
        records = self._many(where, values)
        return records[0] if records else None

    def _many(self, where: str, values: Row) -> list[RunRecord]:
        return [_record_of(row) for row in self.file.read(fetch(f"SELECT {_COLUMNS} FROM runs {where}", values))]


def _rows_of(entries: Sequence[Entry]) -> list[tuple[int, int, bytes]]:
    """One row an append (first, last, encoded), unless that would be a very long one."""
    if not entries:
        return []
    data = encode_entries(entries)
    if len(data) <= _LONGEST_ROW or len(entries) == 1:
        return [(entries[0].sequence, entries[-1].sequence, data)]
    half = len(entries) // 2
    return _rows_of(entries[:half]) + _rows_of(entries[half:])


def _row_of(record: RunRecord) -> Row:
    return (
        record.run_id,
        record.name,
        record.pipeline,
        record.definition,
        record.tasks,
        record.input_digest,
        record.status,
        record.created_ms,
        record.stopped_ms,
        None if record.output is None else encode_json(record.output),
        record.error,
        record.cause,
        record.owner,
        record.parent,
        record.engine_version,
        encode_json(record.attributes),
        record.account,
        record.type,
        record.limits,
    )


def _record_of(row: Row) -> RunRecord:
    try:
        output = None if row[9] is None else decode_json(row[9])
        attributes = decode_json(row[15])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise damaged(row[0], 0, f"its record cannot be decoded: {error}") from error
    return RunRecord(
        run_id=row[0],
        name=row[1],
        pipeline=row[2],
        definition=row[3],
        tasks=row[4],
        input_digest=row[5],
        status=row[6],
        created_ms=row[7],
        stopped_ms=row[8],
        output=output,
        error=row[10],
        cause=row[11],
        owner=row[12],
        parent=row[13],
        engine_version=row[14],
        attributes=attributes,
        account=row[16],
        type=row[17],
        limits=row[18],
    )
