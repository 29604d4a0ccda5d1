"""Records and entries as rows of the database, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from skylift.ports.journal import Entry, RunRecord
from skylift.stores.encoding import damaged, decode_json, encode_entries, encode_json
from skylift.stores.postgres.connection import Row

COLUMNS = (
    "run_id, name, pipeline, definition, tasks, input_digest, status, created_ms, stopped_ms, output, error, cause, "
    "owner, parent, engine_version, attributes, account, type, limits"
)
_LONGEST_ROW = 16 * 1024 * 1024
"""A reader should not need much more memory than this at once."""


def packed(text: str) -> bytes:
    return text.encode()


def packed_or_none(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def text_or_none(data: bytes | None) -> str | None:
    return None if data is None else data.decode()


def output_of(value: Any) -> bytes | None:
    return None if value is None else encode_json(value)


def row_of(record: RunRecord) -> Row:
    return (
        packed(record.run_id),
        packed(record.name),
        packed(record.pipeline),
        record.definition,
        record.tasks,
        record.input_digest,
        record.status,
        record.created_ms,
        record.stopped_ms,
        output_of(record.output),
        packed_or_none(record.error),
        packed_or_none(record.cause),
        packed_or_none(record.owner),
        packed_or_none(record.parent),
        packed(record.engine_version),
        encode_json(record.attributes),
        packed(record.account),
        record.type,
        record.limits,
    )


def record_of(row: Row) -> RunRecord:
    try:
        output = None if row[9] is None else decode_json(row[9])
        attributes = decode_json(row[15])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise damaged(row[0].decode(errors="replace"), 0, f"its record cannot be decoded: {error}") from error
    return RunRecord(
        run_id=row[0].decode(),
        name=row[1].decode(),
        pipeline=row[2].decode(),
        definition=row[3],
        tasks=row[4],
        input_digest=row[5],
        status=row[6],
        created_ms=row[7],
        stopped_ms=row[8],
        output=output,
        error=text_or_none(row[10]),
        cause=text_or_none(row[11]),
        owner=text_or_none(row[12]),
        parent=text_or_none(row[13]),
        engine_version=row[14].decode(),
        attributes=attributes,
        account=row[16].decode(),
        type=row[17],
        limits=row[18],
    )


def rows_of(entries: Sequence[Entry]) -> list[tuple[int, int, bytes]]:
    """One row an append (first, last, encoded), unless that would be a very long one."""
    if not entries:
        return []
    data = encode_entries(entries)
    if len(data) <= _LONGEST_ROW or len(entries) == 1:
        return [(entries[0].sequence, entries[-1].sequence, data)]
    half = len(entries) // 2
    return rows_of(entries[:half]) + rows_of(entries[half:])
