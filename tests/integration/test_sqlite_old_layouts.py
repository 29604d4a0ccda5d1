"""Databases that older versions wrote are kept here and must open for ever. Never change one; add the next."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from skylift.asl.events import StopRequested
from skylift.ports.journal import Batch
from skylift.stores.sqlite import SqliteJournal
from skylift.testing.journals import append, sequences

KEPT = sorted((Path(__file__).parent / "kept").glob("journal-layout-*.sqlite"))


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_a_kept_database_opens_and_goes_on(kept: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(kept, tmp_path / "journal.db"))
    journal = SqliteJournal(path)
    assert [run.run_id for run in journal.runs()] == ["run-2", "run-1"]
    finished = journal.run_named("faces", "second")
    assert finished is not None
    assert (finished.status, finished.output) == ("SUCCEEDED", {"accuracy": 0.97})
    assert b"StartAt" in journal.document(finished.definition)
    assert sequences(journal, "run-1") == [1, 2, 3]
    snapshot = journal.snapshot("run-1")
    assert snapshot is not None
    assert (snapshot.sequence, snapshot.state) == (2, b"state")
    cached = journal.cached("k")
    assert cached is not None
    assert cached.output == [1]
    assert [signal.event for signal in journal.signals("engine-1")] == [StopRequested(error="E")]
    assert [schedule.name for schedule in journal.schedules()] == ["daily"]
    assert journal.claim("run-1", "me", "engine-1")
    journal.commit(Batch(owner="me", appends=[append("run-1", 4)]))
    assert sequences(journal, "run-1") == [1, 2, 3, 4]
    journal.close()


def test_there_is_one_for_every_layout() -> None:
    from skylift.stores.sqlite_schema import VERSION

    assert len(KEPT) == VERSION
