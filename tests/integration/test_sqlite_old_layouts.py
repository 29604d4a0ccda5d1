"""Databases that older versions wrote are kept here and must open for ever. Never change one; add the next."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from skylift.asl.events import StopRequested
from skylift.ports.journal import Batch
from skylift.stores.sqlite import SqliteJournal
from skylift.stores.sqlite_resources import SqliteResources
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
    assert journal.runs(account="")[0].limits == "local"
    assert journal.claim("run-1", "me", "engine-1")
    journal.commit(Batch(owner="me", appends=[append("run-1", 4)]))
    assert sequences(journal, "run-1") == [1, 2, 3, 4]
    journal.close()


def test_what_layout_2_added_is_kept(tmp_path: Path) -> None:
    path = Path(shutil.copy(KEPT[1], tmp_path / "journal.db"))
    journal = SqliteJournal(path)
    run = journal.run("run-1")
    assert run is not None
    assert (run.account, run.type, run.limits) == ("123456789012", "EXPRESS", "service")
    assert journal.owners() == ["engine-1"]
    taken = journal.take("arn:q", "w")
    assert taken is not None
    assert taken.token == "run-1:t1"
    resources = SqliteResources(journal.file)
    machine = resources.get("state-machine", "arn:m")
    assert machine is not None
    assert (machine.body, machine.revision) == (b"{}", 1)
    assert len(resources.documents()) == 1
    journal.close()


def test_there_is_one_for_every_layout() -> None:
    from skylift.stores.sqlite_schema import VERSION

    assert len(KEPT) == VERSION
