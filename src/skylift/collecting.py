"""Forgetting old runs, with their logs, bundles and the artifacts that only they used."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.reader import ENDED
from skylift.stores.gc import all_runs, collect

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore
    from skylift.ports.journal import Journal, RunRecord

GRACE_MS = 60 * 60 * 1000
"""An artifact younger than this may belong to a result that is just being recorded."""


class Freed(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted, or with a dry run would have been."""

    runs: int
    blobs: int
    bytes: int


def collect_garbage(
    journal: Journal, blobs: BlobStore, home: Path, *, older_than_ms: int, keep: int, dry_run: bool
) -> Freed:
    """See `Runtime.collect_garbage`."""
    before_ms = int(time.time() * 1000) - older_than_ms
    old = [record.run_id for record in _old_runs(journal, before_ms, keep)]
    if not dry_run:
        journal.delete_runs(old)
        for run_id in old:
            shutil.rmtree(home / "logs" / run_id, ignore_errors=True)
    found = collect(journal, blobs, grace_ms=min(GRACE_MS, older_than_ms), dry_run=dry_run)
    return Freed(runs=len(old), blobs=found.deleted, bytes=found.freed_bytes)


def _old_runs(journal: Journal, before_ms: int, keep: int) -> list[RunRecord]:
    """Newest first, so that the ones to keep are met first. A nested run goes with the run that started it."""
    kept: dict[str, int] = {}
    old = []
    for record in all_runs(journal):
        if record.status not in ENDED or (record.stopped_ms or 0) > before_ms:
            continue
        kept[record.pipeline] = kept.get(record.pipeline, 0) + 1
        if kept[record.pipeline] > keep:
            old.append(record)
    return old
