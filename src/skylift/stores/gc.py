"""Which artifacts nothing refers to any more, and their deletion beside running engines and workers.

A writer stores a blob first and journals the reference later, so what was put within the grace period is never touched,
reachable or not; and a blob put again counts as new (`BlobStore.expire`). Choose the grace longer than the longest time
between a worker's storing of a result and its recording: a day unless you know better.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from skylift.asl.events import AnyEvent, ItemsRead, ResultsWritten, RunStarted, TaskSubmitted, TaskSucceeded
from skylift.errors import BlobMissing
from skylift.ports.blobs import BlobStore
from skylift.ports.journal import Journal, RunRecord
from skylift.ports.resources import Resource, ResourceStore
from skylift.ports.tasks import TaskTable
from skylift.values.bundle import bundle_blobs
from skylift.values.tags import ARTIFACT, ValueNotLoadable, digest_of

DAY_MS = 24 * 3600 * 1000
_PAGE = 500
_HEX = frozenset("0123456789abcdef")


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection did, or with `dry_run` would have done."""

    kept: int
    deleted: int
    freed_bytes: int
    young: int
    """Unreachable, but put within the grace period."""


def collect(
    journal: Journal,
    blobs: BlobStore,
    *,
    resources: ResourceStore | None = None,
    grace_ms: int = DAY_MS,
    now_ms: int | None = None,
    dry_run: bool = False,
) -> Collected:
    """Delete the artifacts that no run or cached result in the journal needs, nor one of the resources."""
    before_ms = (int(time.time() * 1000) if now_ms is None else now_ms) - grace_ms
    candidates = set(blobs.digests())  # listed first: what is put while we look is not in it
    needed = reachable(journal, blobs, resources)
    deleted = freed = young = 0
    for digest in sorted(candidates - needed):
        try:
            size = blobs.size(digest)
        except BlobMissing:
            continue
        if dry_run or blobs.expire(digest, before_ms):
            deleted += 1
            freed += size
        else:
            young += 1
    return Collected(kept=len(candidates & needed), deleted=deleted, freed_bytes=freed, young=young)


def reachable(journal: Journal, blobs: BlobStore, resources: ResourceStore | None = None) -> set[str]:
    """Digests that the journal's runs need, and the resources, directly or through other blobs."""
    found: set[str] = set()
    tables: set[str] = set()
    for run in all_runs(journal):
        _follow_run(run, journal, blobs, found)
        if run.tasks is not None:
            tables.add(run.tasks)
    if resources is not None:
        for resource in all_resources(resources):
            _follow(_json(resource.body), blobs, found)
        tables |= {digest for digest in resources.documents() if _is_table(journal.document(digest))}
    _follow_tables(tables, journal, blobs, found)
    return found


def run_blobs(journal: Journal, blobs: BlobStore, run: RunRecord) -> set[str]:
    """Digests that one run needs, directly or through other blobs."""
    found: set[str] = set()
    _follow_run(run, journal, blobs, found)
    _follow_tables({run.tasks} if run.tasks is not None else set(), journal, blobs, found)
    return found


def value_blobs(value: Any, blobs: BlobStore) -> set[str]:
    """Digests that a JSON value needs, directly or through other blobs."""
    found: set[str] = set()
    _follow(value, blobs, found)
    return found


def _follow_run(run: RunRecord, journal: Journal, blobs: BlobStore, found: set[str]) -> None:
    _follow(run.output, blobs, found)
    for entry in journal.entries(run.run_id):
        for value in _values(entry.event):
            _follow(value, blobs, found)


def _follow_tables(tables: set[str], journal: Journal, blobs: BlobStore, found: set[str]) -> None:
    bundles: set[str] = set()
    for digest in tables:
        table = msgspec.json.decode(journal.document(digest), type=TaskTable)
        found |= {spec.requirements.environment for spec in table.tasks.values() if spec.requirements.environment}
        if table.bundle is not None:
            bundles.add(table.bundle)
    for digest in bundles:
        found |= bundle_blobs(digest, blobs) if blobs.exists(digest) else {digest}


def _is_table(document: bytes) -> bool:
    """Is it a task table? Definitions of state machines are none."""
    try:
        msgspec.json.decode(document, type=TaskTable)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def all_resources(resources: ResourceStore) -> Iterator[Resource]:
    """Every resource, a page at a time."""
    for kind in resources.kinds():
        after = ""
        while page := resources.list(kind, after=after, limit=_PAGE):
            yield from page
            after = page[-1].key


def _json(body: bytes) -> Any:
    """None for a resource that is not JSON: it can name no artifact."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def all_runs(journal: Journal) -> Iterator[RunRecord]:
    """Every run, newest first, a page at a time."""
    before: tuple[int, str] | None = None
    while page := journal.runs(before=before, limit=_PAGE):
        yield from page
        before = (page[-1].created_ms, page[-1].run_id)


def _values(event: AnyEvent) -> tuple[Any, ...]:
    """The parts of an event that may hold a user's values."""
    match event:
        case RunStarted():
            return (event.input, event.context)
        case TaskSucceeded() | TaskSubmitted():
            return (event.output,)
        case ItemsRead():
            return (event.items, event.cursor)
        case ResultsWritten():
            return (event.details,)
        case _:
            return ()


def _follow(value: Any, blobs: BlobStore, found: set[str]) -> None:
    """Add the references in a value, and those in the JSON blobs and listings that they name."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind is list:
            waiting.extend(node)
        elif kind is dict:
            if ARTIFACT not in node:
                waiting.extend(node.values())
            elif (digest := _referred(node)) is not None and digest not in found:
                found.add(digest)
                if node.get("nested") and blobs.exists(digest):
                    waiting.append(_content(digest, blobs))


def _referred(node: dict[str, Any]) -> str | None:
    """The digest of a reference; None for an object that only looks like one: a run may hold any JSON."""
    try:
        digest = digest_of(node)
    except ValueNotLoadable:
        return None
    return digest if len(digest) == 64 and set(digest) <= _HEX else None


def _content(digest: str, blobs: BlobStore) -> Any:
    """The JSON of a nested value's blob; None where it is none."""
    try:
        return msgspec.json.decode(blobs.get(digest))
    except (BlobMissing, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
