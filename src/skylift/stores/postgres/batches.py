"""A batch as one statement: the steps it needs, in their order, each a function of the database."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec

from skylift.ports.journal import Append, Batch, CacheEntry, RunUpdate, Snapshot
from skylift.stores.encoding import encode_json
from skylift.stores.memory import check_sequence
from skylift.stores.postgres.connection import Row
from skylift.stores.postgres.rows import output_of, packed, packed_or_none, row_of, rows_of


class Statement:
    """Calls of functions with arrays, one value for each row."""

    def __init__(self) -> None:
        self._calls: list[str] = []
        self._values: list[Any] = []

    def call(self, function: str, kinds: str, rows: list[Row], *first: Any) -> None:
        """`kinds` are the columns' types; `first` are values before the arrays. Nothing to do for no rows."""
        if not rows:
            return
        marks = ["%s"] * len(first) + [f"%b::{kind}[]" for kind in kinds.split()]
        self._calls.append(f"{function}({', '.join(marks)})")
        self._values.extend(first)
        self._values.extend(map(list, zip(*rows, strict=True)))

    @property
    def sql(self) -> str:
        return ", ".join(self._calls)

    @property
    def values(self) -> Row:
        return tuple(self._values)

    def __bool__(self) -> bool:
        return bool(self._calls)


class _Progress(msgspec.Struct):
    """Of one run in this batch."""

    before: int | None = None
    last: int | None = None
    update: RunUpdate | None = None


_RUN_KINDS = (
    "bytea bytea bytea text text text text bigint bigint bytea bytea bytea bytea bytea bytea bytea bytea text text"
)


def statement_of(batch: Batch) -> Statement:
    """Raises NotOwner for entries that do not follow each other."""
    statement = Statement()
    statement.call("create_runs", _RUN_KINDS, [row_of(record) for record in batch.created])
    _add_appends(batch, statement)
    _add_kept(batch, statement)
    statement.call("drop_signals", "bigint", [(number,) for number in batch.signals_done])
    offers = [
        (packed(offer.queue), packed(offer.token), packed(offer.run_id), packed(offer.input), offer.offered_ms)
        for offer in batch.offered
    ]
    statement.call("offer_tasks", "bytea bytea bytea bytea bigint", offers)
    statement.call("withdraw_tasks", "bytea", [(packed(token),) for token in batch.withdrawn])
    return statement


def _add_appends(batch: Batch, statement: Statement) -> None:
    runs = _progress(batch.appends)
    owner = packed(batch.owner)
    advanced: list[Row] = []
    updated: list[Row] = []
    for run_id, run in runs.items():
        if run.update is None and run.last is not None:
            advanced.append((packed(run_id), run.before, run.last))
        else:
            updated.append((packed(run_id), run.before, run.last, *_update_row(run.update)))
    statement.call("advance_runs", "bytea bigint bigint", advanced, owner)
    kinds = "bytea bigint bigint text bigint bytea bytea bytea boolean"
    statement.call("update_runs", kinds, updated, owner)
    entries = [
        (packed(append.run_id), first, last, crc32(data), data)
        for append in batch.appends
        for first, last, data in rows_of(append.entries)
    ]
    statement.call("add_entries", "bytea bigint bigint bigint bytea", entries)


def _progress(appends: list[Append]) -> dict[str, _Progress]:
    """What each run's appends come to; the database compares `before` with where its journal ends."""
    runs: dict[str, _Progress] = {}
    for append in appends:
        run = runs.setdefault(append.run_id, _Progress())
        if append.entries:
            check_sequence(append, append.entries[0].sequence - 1 if run.last is None else run.last)
            if run.before is None:
                run.before = append.entries[0].sequence - 1
            run.last = append.entries[-1].sequence
        if append.update is not None:
            run.update = append.update
    return runs


def _update_row(update: RunUpdate | None) -> Row:
    if update is None:
        return (None, None, None, None, None, False)
    error, cause = packed_or_none(update.error), packed_or_none(update.cause)
    return (update.status, update.stopped_ms, output_of(update.output), error, cause, True)


def _add_kept(batch: Batch, statement: Statement) -> None:
    """A database changes a row once in a statement: the newest of a run, and of a key, counts."""
    snapshots: dict[str, Snapshot] = {snapshot.run_id: snapshot for snapshot in batch.snapshots}
    statement.call(
        "keep_snapshots",
        "bytea bigint bigint bytea",
        [(packed(one.run_id), one.sequence, crc32(one.state), one.state) for one in snapshots.values()],
    )
    cached: dict[str, CacheEntry] = {entry.key: entry for entry in batch.cached}
    statement.call(
        "keep_cached",
        "bytea bytea bigint bytea",
        [(packed(one.key), packed(one.run_id), one.created_ms, encode_json(one.output)) for one in cached.values()],
    )
