"""The SQLite journal against the world: other processes, kill -9, full disks, damaged files, other programs' files."""

from __future__ import annotations

import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skylift.errors import JournalDamaged, JournalUnavailable, NotOwner, SetupError
from skylift.ports.journal import Batch
from skylift.stores import sqlite_schema
from skylift.stores.sqlite import SqliteJournal
from skylift.testing.journals import append, record, sequences

WRITER = """
import sys
from skylift.ports.journal import Batch, Snapshot
from skylift.stores.sqlite import SqliteJournal
from skylift.testing.journals import append
journal = SqliteJournal(sys.argv[1], durability=sys.argv[2])
last = max((entry.sequence for entry in journal.entries("r1")), default=0)
while True:
    count = last % 40 + 1
    batch = Batch(owner="me", appends=[append("r1", last + 1, count), append("r2", last + 1, count)])
    batch.snapshots = [Snapshot(run_id="r1", sequence=last + count, state=b"x" * 5000)]
    journal.commit(batch)
    last += count
    print(last, flush=True)
"""


def two_runs(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.commit(Batch(owner="me", created=[record("r1"), record("r2")]))
    journal.close()


def write_until_killed(path: Path, durability: str, seconds: float) -> int:
    """The last sequence that the killed writer had acknowledged."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), durability], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    first = writer.stdout.readline()
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate()
    lines = [line for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]
    return int(lines[-1])


def check_after_kill(path: Path, acknowledged: int) -> None:
    journal = SqliteJournal(path)
    ends = []
    for run_id in ("r1", "r2"):
        found = sequences(journal, run_id)
        assert found == list(range(1, len(found) + 1))
        ends.append(len(found))
    assert ends[0] == ends[1] >= acknowledged, "half a batch, or an acknowledged one lost"
    snapshot = journal.snapshot("r1")
    assert snapshot is not None
    assert snapshot.sequence == ends[0]
    journal.close()


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_kill_9_between_any_two_instructions(tmp_path: Path, durability: str) -> None:
    path, chance = tmp_path / "journal.db", random.Random(7)
    two_runs(path)
    for _ in range(3):
        check_after_kill(path, write_until_killed(path, durability, chance.random() * 0.15))


@pytest.mark.slow
def test_kill_9_many_times(tmp_path: Path) -> None:
    path, chance = tmp_path / "journal.db", random.Random(11)
    two_runs(path)
    for _ in range(50):
        check_after_kill(path, write_until_killed(path, "normal", chance.random() * 0.2))


def test_two_processes_write_and_each_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    two_runs(path)
    journal = SqliteJournal(path)
    journal.commit(Batch(owner="you", created=[record("r3", owner="you")]))
    journal.changed()
    assert not journal.changed()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), "normal"], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    writer.stdout.readline()
    assert journal.changed()
    for number in range(1, 101):
        journal.commit(Batch(owner="you", appends=[append("r3", number)]))
        seen = sequences(journal, "r1")
        assert seen == list(range(1, len(seen) + 1))
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert len(sequences(journal, "r3")) == 100
    journal.close()


def test_an_owner_that_another_process_took_over_is_fenced(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    two_runs(path)
    old, new = SqliteJournal(path), SqliteJournal(path)
    old.commit(Batch(owner="me", appends=[append("r1", 1)]))
    assert new.claim("r1", "you", "me")
    with pytest.raises(NotOwner):
        old.commit(Batch(owner="me", appends=[append("r2", 1), append("r1", 2)]))
    new.commit(Batch(owner="you", appends=[append("r1", 2)]))
    assert sequences(old, "r1") == [1, 2]
    assert sequences(old, "r2") == []
    assert new.claim("r1", "me", "you")
    old.commit(Batch(owner="me", appends=[append("r1", 3)]))
    old.close()
    new.close()


def test_readers_do_not_wait_for_a_writer_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    two_runs(path)
    journal = SqliteJournal(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE runs SET status = 'FAILED'")
    began = time.monotonic()
    assert [run.status for run in journal.runs()] == ["RUNNING", "RUNNING"]
    assert time.monotonic() - began < 1
    other.execute("ROLLBACK")
    other.close()
    journal.close()


def test_a_lock_held_for_long_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    monkeypatch.setattr("skylift.stores.sqlite_file.BUSY_S", 0.1)
    two_runs(path)
    journal = SqliteJournal(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalUnavailable, match="locked by another process"):
        journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
    other.execute("ROLLBACK")
    other.close()
    journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
    journal.close()


def test_no_space_writes_nothing_of_the_batch_and_goes_on_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    two_runs(path)
    journal = SqliteJournal(path)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(JournalUnavailable, match="disk is full") as caught:
        journal.commit(Batch(owner="me", appends=[append("r1", 1, 10), append("r2", 1, 5_000)]))
    assert "gc" in (caught.value.hint or "")
    assert sequences(journal, "r1") == sequences(journal, "r2") == []
    journal._db.execute("PRAGMA max_page_count = 1000000")
    journal.commit(Batch(owner="me", appends=[append("r1", 1, 10)]))
    assert len(sequences(journal, "r1")) == 10
    journal.close()


def test_a_file_that_may_not_grow_further(tmp_path: Path) -> None:
    """The operating system refuses the write itself (here by RLIMIT_FSIZE, as a full disk would)."""
    path = tmp_path / "journal.db"
    two_runs(path)
    journal = SqliteJournal(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(JournalUnavailable):
            for step in range(100):
                journal.commit(Batch(owner="me", appends=[append("r1", step * 500 + 1, 500)]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    found = len(sequences(journal, "r1"))
    assert found % 500 == 0
    journal.commit(Batch(owner="me", appends=[append("r1", found + 1)]))
    journal.close()


def test_a_flipped_byte_in_the_events_names_run_and_event(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    two_runs(path)
    journal = SqliteJournal(path)
    journal.commit(Batch(owner="me", appends=[append("r1", 1, 3), append("r2", 1)]))
    journal.commit(Batch(owner="me", appends=[append("r1", 4, 3)]))
    journal._db.execute("UPDATE appends SET entries = CAST(replace(entries, '1004', '1009') AS BLOB) WHERE last = 6")
    with pytest.raises(JournalDamaged, match="event 4 of run r1"):
        sequences(journal, "r1")
    assert sequences(journal, "r2") == [1]
    journal._db.execute("DELETE FROM appends WHERE id = (SELECT number << 32 | 1 FROM runs WHERE run_id = 'r1')")
    with pytest.raises(JournalDamaged, match=r"event 1 of run r1.*missing"):
        sequences(journal, "r1")
    journal.close()


def test_a_flipped_byte_in_the_pages_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    two_runs(path)
    journal = SqliteJournal(path)
    journal.commit(Batch(owner="me", appends=[append("r1", 1, 3_000)]))
    journal.close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2_000] = b"\x55" * 2_000
    path.write_bytes(data)
    with pytest.raises(JournalDamaged):
        journal = SqliteJournal(path)
        try:
            sequences(journal, "r1")
        finally:
            journal.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"x"])
def test_another_kind_of_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(JournalDamaged, match="is not a SQLite database"):
        SqliteJournal(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE precious (x)")
    other.commit()
    with pytest.raises(JournalDamaged, match="not a Skylift journal"):
        SqliteJournal(path)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("precious",)]
    other.close()


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    two_runs(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(JournalUnavailable, match="layout 99") as caught:
        SqliteJournal(path)
    assert "upgrade" in (caught.value.hint or "")


def test_an_older_layout_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    two_runs(path)
    migrations = (*sqlite_schema.MIGRATIONS, "CREATE TABLE added (x); INSERT INTO added VALUES (1)")
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(sqlite_schema, "VERSION", len(migrations))
    journal = SqliteJournal(path)
    assert journal.run("r1") is not None
    assert journal._db.execute("SELECT x FROM added").fetchall() == [(1,)]
    journal.close()
    SqliteJournal(path).close()


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="cannot be opened"):
        SqliteJournal(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnavailable):
        SqliteJournal(tmp_path / "file" / "journal.db")


def test_a_wrong_durability_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="'normal' or 'full'"):
        SqliteJournal(tmp_path / "journal.db", durability="safe")  # type: ignore[arg-type]


def test_closed_means_closed(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.close()
    journal.close()
    with pytest.raises(JournalUnavailable, match="closed"):
        journal.runs()


def test_processes_that_make_the_file_at_the_same_moment(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.db"
    code = "import sys; from skylift.stores.sqlite import SqliteJournal; SqliteJournal(sys.argv[1]).close()"
    makers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(4)]
    assert [maker.wait() for maker in makers] == [0, 0, 0, 0]


def test_a_very_long_append_is_kept_in_several_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skylift.stores.sqlite._LONGEST_ROW", 1_000)
    path = tmp_path / "journal.db"
    two_runs(path)
    journal = SqliteJournal(path)
    journal.commit(Batch(owner="me", appends=[append("r1", 1, 100)]))
    journal.commit(Batch(owner="me", appends=[append("r1", 101)]))
    assert journal._db.execute("SELECT count(*) FROM appends").fetchone()[0] > 5
    assert sequences(journal, "r1") == list(range(1, 102))
    assert sequences(journal, "r1", 57) == list(range(58, 102))
    journal.close()
