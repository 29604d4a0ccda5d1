"""Forgetting old runs, with their logs, bundles and the artifacts that only they used."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.asl.status import ENDED
from skylift.compute.environments import drop_unused
from skylift.compute.worker.checkpoint.place import NAME as CHECKPOINTS
from skylift.compute.worker.checkpoint.versions import forget, runs_with_checkpoints
from skylift.engine.names import split_token
from skylift.stores.gc import all_runs, collect
from skylift.stores.ownership import any_alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from skylift.ports.blobs import BlobStore
    from skylift.ports.journal import Journal, RunRecord
    from skylift.ports.resources import ResourceStore

GRACE_MS = 60 * 60 * 1000
"""While an engine lives, an artifact younger than this may belong to a result that is just being recorded."""
DIGEST_LENGTH = 64


class Freed(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted, or with a dry run would have been."""

    runs: int
    blobs: int
    bytes: int
    environments: int = 0
    """Virtual environments that no task has used for so long; built again when one needs them."""
    environment_bytes: int = 0


def collect_garbage(
    journal: Journal,
    blobs: BlobStore,
    home: Path,
    *,
    older_than_ms: int,
    keep: int,
    dry_run: bool,
    resources: ResourceStore | None = None,
    is_busy: Callable[[], bool] | None = None,
    checkpoints: str | None = None,
) -> Freed:
    """See `Runtime.collect_garbage`. `is_busy` tells whether any engine of the journal lives; without it those of the
    home are looked at. `checkpoints` is where those are; without it, in the home."""
    before_ms = int(time.time() * 1000) - older_than_ms
    old = _old_runs(journal, before_ms, keep)
    if not dry_run:
        _drop_checkpoints(checkpoints or str(home / CHECKPOINTS), journal, set(old), before_ms)
        journal.delete_runs(old)
        for run_id in old:
            shutil.rmtree(home / "logs" / run_id, ignore_errors=True)
    busy = any_alive(home) if is_busy is None else is_busy()
    grace_ms = GRACE_MS if busy else min(GRACE_MS, older_than_ms)
    found = collect(journal, blobs, resources=resources, grace_ms=grace_ms, dry_run=dry_run)
    if not dry_run:
        _drop_unpacked(home / "bundles", blobs)
    dropped, dropped_bytes = drop_unused(home / "environments", before_ms, dry_run=dry_run)
    return Freed(
        runs=len(old),
        blobs=found.deleted,
        bytes=found.freed_bytes,
        environments=dropped,
        environment_bytes=dropped_bytes,
    )


def _old_runs(journal: Journal, before_ms: int, keep: int) -> list[str]:
    """Ids of the runs to forget. Newest first, so that the ones to keep are met first. A nested run goes with the run
    that started it."""
    kept: dict[str, int] = {}
    old: dict[str, bool] = {}
    nested = []
    for record in all_runs(journal):
        if record.parent is not None:
            nested.append((record.run_id, split_token(record.parent)[0], _ended_before(record, before_ms)))
            continue
        old[record.run_id] = False
        if _ended_before(record, before_ms):
            kept[record.pipeline] = kept.get(record.pipeline, 0) + 1
            old[record.run_id] = kept[record.pipeline] > keep
    for run_id, parent, ended in reversed(nested):  # those that started others come first
        old[run_id] = ended and old.get(parent, True)
    return [run_id for run_id, forget in old.items() if forget]


def _ended_before(record: RunRecord, before_ms: int) -> bool:
    return record.status in ENDED and (record.stopped_ms or 0) <= before_ms


def _drop_checkpoints(location: str, journal: Journal, old: set[str], before_ms: int) -> None:
    """Of runs that are forgotten, and of those that have succeeded: nothing will go on from them. A run that failed may
    be redriven. Before the runs themselves, so that none is left behind by a crash."""
    kept = set(runs_with_checkpoints(location))
    if not kept:
        return
    for record in all_runs(journal):
        over = record.status == "SUCCEEDED" and _ended_before(record, before_ms)
        if record.run_id in kept and (over or record.run_id in old):
            forget(location, record.run_id)


def _drop_unpacked(folder: Path, blobs: BlobStore) -> None:
    """Delete the unpacked code of bundles that are gone."""
    for unpacked in folder.iterdir() if folder.is_dir() else ():
        if len(unpacked.name) == DIGEST_LENGTH and not blobs.exists(unpacked.name):
            shutil.rmtree(unpacked, ignore_errors=True)
