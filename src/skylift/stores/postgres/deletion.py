"""Forgetting runs, with all that belongs to them."""

from __future__ import annotations

from skylift.stores.memory import refuse_deletion
from skylift.stores.postgres.connection import Connection
from skylift.stores.postgres.rows import COLUMNS, record_of

_OF_RUNS = "DELETE FROM {table} WHERE run = ANY (%b::bigint[])"


def check_deletable(connection: Connection, run_ids: list[bytes]) -> None:
    """Raises NotOwner for a run that somebody drives."""
    rows = connection.rows(
        f"SELECT {COLUMNS} FROM runs WHERE run_id = ANY (%b::bytea[]) AND owner IS NOT NULL "
        "AND status IN ('RUNNING', 'PAUSED') LIMIT 1",
        (run_ids,),
    )
    for row in rows:
        refuse_deletion(record_of(row))


def delete(connection: Connection, run_ids: list[bytes]) -> None:
    rows = connection.rows(
        "SELECT number FROM runs WHERE run_id = ANY (%b::bytea[]) ORDER BY number FOR UPDATE", (run_ids,)
    )
    check_deletable(connection, run_ids)  # again: one may have been taken over meanwhile
    numbers = [row[0] for row in rows]
    if not numbers:
        return
    for table in ("appends", "snapshots", "signals", "cache", "offers"):
        connection.rows(_OF_RUNS.format(table=table), (numbers,))
    connection.rows("DELETE FROM runs WHERE number = ANY (%b::bigint[])", (numbers,))


def drop_documents(connection: Connection) -> None:
    """Those that no run uses any more, nor a resource; and signals that came for a run while it was deleted."""
    connection.rows("DELETE FROM signals WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.number = signals.run)")
    connection.rows(
        "DELETE FROM documents WHERE NOT EXISTS (SELECT 1 FROM runs WHERE definition = documents.digest) "
        "AND NOT EXISTS (SELECT 1 FROM runs WHERE tasks = documents.digest) "
        "AND NOT EXISTS (SELECT 1 FROM held WHERE held.digest = documents.digest)"
    )
