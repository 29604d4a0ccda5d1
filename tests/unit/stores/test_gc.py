from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from skylift.asl.events import ItemsRead, RunStarted, TaskSucceeded
from skylift.ports.journal import Append, Batch, Entry, RunRecord
from skylift.ports.tasks import TaskTable
from skylift.stores.files import FileBlobStore
from skylift.stores.gc import collect, reachable
from skylift.stores.memory import MemoryJournal
from skylift.stores.memory_resources import MemoryResources
from skylift.testing.journals import record
from skylift.values.bundle import write_manifest
from skylift.values.codec import ValueCodec
from skylift.values.files import Directory

LATER = int(time.time() * 1000) + 10 * 24 * 3600 * 1000


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(tmp_path / "blobs")


@pytest.fixture
def codec(blobs: FileBlobStore) -> ValueCodec:
    return ValueCodec(blobs)


def journal_with(run: RunRecord, *events: Any) -> MemoryJournal:
    journal = MemoryJournal()
    entries = [Entry(number, 1, event) for number, event in enumerate(events, start=1)]
    journal.commit(Batch(owner="me", created=[run], appends=[Append(run_id=run.run_id, entries=entries)]))
    return journal


def test_keeps_what_runs_need_and_deletes_the_rest(blobs: FileBlobStore, codec: ValueCodec, tmp_path: Path) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "a.txt").write_text("text")
    nested = codec.dump([{"array": np.arange(number), "pad": "y" * 900} for number in range(100)])
    bundle = write_manifest(blobs, files={"m.py": blobs.put(b"code")})
    journal = MemoryJournal()
    tasks = journal.put_document(msgspec.json.encode(TaskTable(bundle=bundle, tasks={})))
    other = codec.dump(np.arange(77))
    events = [
        RunStarted(input=codec.dump({"x": b"1" * 100_000}), seed=1, context={}),
        TaskSucceeded(token="t", output=nested),
        ItemsRead(reader=1, items=[codec.dump(Directory(tmp_path / "folder"))]),
    ]
    entries = [Entry(number, 1, event) for number, event in enumerate(events, start=1)]
    run = record(tasks=tasks, output=codec.dump(np.arange(9)), status="SUCCEEDED")
    run_2 = record("r2", output=other, status="SUCCEEDED")
    journal.commit(Batch(owner="me", created=[run, run_2], appends=[Append(run_id="r1", entries=entries)]))
    needed = set(blobs.digests())
    garbage = blobs.put(b"garbage")

    done = collect(journal, blobs, now_ms=LATER)
    assert (done.kept, done.deleted, done.freed_bytes, done.young) == (len(needed), 1, 7, 0)
    assert not blobs.exists(garbage)
    assert set(blobs.digests()) == needed == reachable(journal, blobs)

    journal.delete_runs(["r1"])
    assert collect(journal, blobs, now_ms=LATER).kept == 1
    assert np.array_equal(codec.load(other), np.arange(77))


def test_what_was_just_put_is_left_alone(blobs: FileBlobStore) -> None:
    blobs.put(b"a result whose event is still to come")
    done = collect(MemoryJournal(), blobs)
    assert (done.deleted, done.young) == (0, 1)
    assert len(list(blobs.digests())) == 1


def test_a_dry_run_deletes_nothing(blobs: FileBlobStore) -> None:
    blobs.put(b"garbage")
    assert collect(MemoryJournal(), blobs, now_ms=LATER, dry_run=True).deleted == 1
    assert len(list(blobs.digests())) == 1


def test_a_missing_artifact_does_not_stop_the_collection(blobs: FileBlobStore, codec: ValueCodec) -> None:
    node = codec.dump(["x" * 40_000, np.arange(3), "y" * 40_000])
    for digest in list(blobs.digests()):
        blobs.delete(digest)
    journal = journal_with(record(), TaskSucceeded(token="t", output=node))
    garbage = blobs.put(b"garbage")
    assert collect(journal, blobs, now_ms=LATER).deleted == 1
    assert not blobs.exists(garbage)


def test_what_resources_need_stays(blobs: FileBlobStore, codec: ValueCodec) -> None:
    """The code of a registered pipeline, and an artifact that a trigger's input names, outlive every run."""
    journal = MemoryJournal()
    resources = MemoryResources(journal)
    bundle = write_manifest(blobs, files={"m.py": blobs.put(b"code")})
    tasks = journal.put_document(msgspec.json.encode(TaskTable(bundle=bundle, tasks={})))
    definition = journal.put_document(b'{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}')
    resources.put("state-machine", "arn:m", b"{}", documents=[definition, tasks])
    given = codec.dump(np.arange(5_000))
    resources.put("trigger", "daily", msgspec.json.encode({"input": given}))
    resources.put("key", "AKIA", b"\x00 sealed, no JSON")
    needed = set(blobs.digests())
    garbage = blobs.put(b"garbage")
    assert len(needed) == 3
    assert reachable(journal, blobs, resources) == needed
    journal.delete_runs([])
    found = collect(journal, blobs, resources=resources, now_ms=LATER)
    assert (found.deleted, found.kept) == (1, len(needed))
    assert not blobs.exists(garbage)
    resources.delete("state-machine", "arn:m")
    resources.delete("trigger", "daily")
    assert collect(journal, blobs, resources=resources, now_ms=LATER).deleted == len(needed)
