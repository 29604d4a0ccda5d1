"""The tables of the SQLite journal, and the way from every older layout to the newest."""

from __future__ import annotations

import sqlite3

from skylift.errors import JournalDamaged, JournalUnavailable

APPLICATION_ID = 0x536B794C  # "SkyL"

_VERSION_1 = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    tasks TEXT,
    input_digest TEXT NOT NULL,
    status TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    stopped_ms INTEGER,
    output BLOB,
    error TEXT,
    cause TEXT,
    owner TEXT,
    parent TEXT,
    engine_version TEXT NOT NULL,
    attributes BLOB NOT NULL,
    UNIQUE (name, pipeline)
);
CREATE INDEX runs_by_time ON runs (created_ms, run_id);
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX runs_by_owner ON runs (owner) WHERE owner IS NOT NULL AND status IN ('RUNNING', 'PAUSED');
CREATE TABLE appends (
    id INTEGER PRIMARY KEY, -- the run's number * 2^32 + the sequence of its first entry
    last INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    entries BLOB NOT NULL
);
CREATE TABLE snapshots (
    run INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    state BLOB NOT NULL
);
CREATE TABLE cache (
    key TEXT PRIMARY KEY,
    run INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    output BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX cache_by_run ON cache (run);
CREATE TABLE signals (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    event BLOB NOT NULL
);
CREATE INDEX signals_by_run ON signals (run);
CREATE TABLE documents (
    digest TEXT PRIMARY KEY,
    text BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    schedule BLOB NOT NULL
) WITHOUT ROWID;
"""

_VERSION_2 = """
ALTER TABLE runs ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN type TEXT NOT NULL DEFAULT 'STANDARD';
ALTER TABLE runs ADD COLUMN limits TEXT NOT NULL DEFAULT 'local';
CREATE INDEX runs_by_account ON runs (account, created_ms, run_id) WHERE account <> '';
CREATE INDEX runs_by_pipeline ON runs (pipeline, created_ms, run_id);
DROP INDEX runs_by_owner;
CREATE INDEX runs_open ON runs (owner, created_ms) WHERE status IN ('RUNNING', 'PAUSED');
CREATE TABLE offers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE,
    run INTEGER NOT NULL,
    input TEXT NOT NULL,
    offered_ms INTEGER NOT NULL
);
CREATE INDEX offers_by_queue ON offers (queue, number);
CREATE INDEX offers_by_run ON offers (run);
CREATE TABLE resources (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE held ( -- documents that a resource needs
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (kind, key, digest)
) WITHOUT ROWID;
CREATE INDEX held_by_digest ON held (digest);
DROP TABLE schedules;
"""

MIGRATIONS = (_VERSION_1, _VERSION_2)
"""Number n leads from version n to n + 1. Never change one that was released: add the next."""

VERSION = len(MIGRATIONS)


def prepare(db: sqlite3.Connection, path: str) -> None:
    """Make the tables in an empty database, or bring older ones up to date; all of it or nothing."""
    version = _version(db)
    if version == VERSION:
        _check_application(db, path)
        return
    if version > VERSION:
        raise JournalUnavailable(
            f"the journal {path} has layout {version}; this Skylift knows up to {VERSION}",
            hint="it was written by a newer Skylift: upgrade this one, or point SKYLIFT_HOME at another place",
        )
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db)  # another process may have been faster
        if version == 0 and db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise _foreign(path)
        for migration in MIGRATIONS[version:]:
            for statement in _statements(migration):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    return [statement for statement in script.split(";") if statement.strip()]


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _check_application(db: sqlite3.Connection, path: str) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise _foreign(path)


def _foreign(path: str) -> JournalDamaged:
    return JournalDamaged(
        f"{path} is a SQLite database, but not a Skylift journal",
        hint="point SKYLIFT_HOME at another place, or move that file away",
    )
