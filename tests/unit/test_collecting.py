"""Which runs are forgotten, and what stays while somebody works."""

from __future__ import annotations

import os
import time
from pathlib import Path

from skylift.collecting import collect_garbage
from skylift.compute.worker.checkpoint.files import open_files
from skylift.compute.worker.checkpoint.layout import Snapshots
from skylift.compute.worker.checkpoint.place import folder_of
from skylift.compute.worker.checkpoint.versions import claim, saved_ms
from skylift.ports.journal import Batch
from skylift.stores.files import FileBlobStore
from skylift.stores.memory import MemoryJournal
from skylift.stores.ownership import EngineLock, any_alive
from skylift.testing.journals import record


def journal_of(*rows: tuple[str, str, str | None, str]) -> MemoryJournal:
    """Runs by (id, pipeline, parent's id, status), oldest first."""
    journal = MemoryJournal()
    created = [
        record(
            run_id,
            owner="me",
            pipeline=pipeline,
            parent=f"{parent}:3-1" if parent else None,
            status=status,
            created_ms=number,
            stopped_ms=number if status != "RUNNING" else None,
        )
        for number, (run_id, pipeline, parent, status) in enumerate(rows, 1)
    ]
    journal.commit(Batch(owner="me", created=created))
    return journal


def left(journal: MemoryJournal, folder: Path, keep: int = 0) -> list[str]:
    collect_garbage(journal, FileBlobStore(folder / "blobs"), folder, older_than_ms=0, keep=keep, dry_run=False)
    return sorted(one.run_id for one in journal.runs())


def test_nested_runs_go_with_the_run_that_started_them(tmp_path: Path) -> None:
    journal = journal_of(
        ("old", "search", None, "SUCCEEDED"),
        ("old-child", "trial", "old", "SUCCEEDED"),
        ("old-grandchild", "trial", "old-child", "SUCCEEDED"),
        ("new", "search", None, "FAILED"),
        ("new-child", "trial", "new", "SUCCEEDED"),
        ("open", "other", None, "RUNNING"),
        ("open-child", "trial", "open", "SUCCEEDED"),
    )
    assert left(journal, tmp_path, keep=1) == ["new", "new-child", "open", "open-child"]


def test_a_nested_run_whose_starter_is_gone_goes_too(tmp_path: Path) -> None:
    assert left(journal_of(("child", "trial", "gone", "SUCCEEDED")), tmp_path) == []


def test_young_artifacts_stay_while_an_engine_lives(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path / "blobs")
    digest = blobs.put(b"just being recorded")
    for file in (tmp_path / "blobs").rglob("*"):
        os.utime(file, (time.time() - 1, time.time() - 1))
    with EngineLock.acquire(tmp_path):
        assert any_alive(tmp_path)
        left(journal_of(), tmp_path)
        assert blobs.exists(digest)
    assert not any_alive(tmp_path)
    left(journal_of(), tmp_path)
    assert not blobs.exists(digest)


def test_unpacked_code_goes_with_its_bundle(tmp_path: Path) -> None:
    unpacked = tmp_path / "bundles" / ("a" * 64)
    unpacked.mkdir(parents=True)
    left(journal_of(), tmp_path)
    assert not unpacked.exists()


def test_checkpoints_go_with_their_run_or_when_it_has_succeeded(tmp_path: Path) -> None:
    journal = journal_of(
        ("gone", "train", None, "FAILED"),
        ("done", "train", None, "SUCCEEDED"),
        ("failed", "train", None, "FAILED"),
        ("open", "train", None, "RUNNING"),
    )
    location = str(tmp_path / "checkpoints")
    for run_id in ("gone", "done", "failed", "open", "of-another-project"):
        files = open_files(folder_of(location, run_id, "1-1"))
        claim(files, attempt=1, delivery=1, keep=2).write(Snapshots().take(1).chunks(), 5.0)
    blobs = FileBlobStore(tmp_path / "blobs")
    collect_garbage(journal, blobs, tmp_path, older_than_ms=0, keep=2, dry_run=True)
    assert saved_ms(location, "gone", "1-1") == 5.0
    collect_garbage(journal, blobs, tmp_path, older_than_ms=0, keep=2, dry_run=False)
    assert sorted(one.run_id for one in journal.runs()) == ["done", "failed", "open"]
    assert sorted(path.name for path in Path(location).iterdir()) == ["failed", "of-another-project", "open"]
