"""A journal in memory: for tests, and for pipelines run without a trace.

It keeps what it is given encoded, as a database would, so that nobody shares a mutable value with it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from skylift.asl.events import AnyEvent, TaskStarted
from skylift.asl.status import OPEN
from skylift.errors import JournalDamaged, NotOwner, RunAlreadyExists, RunNotFound
from skylift.ports.journal import Append, Batch, CacheEntry, Entry, OfferedTask, RunRecord, Signal, Snapshot
from skylift.stores.encoding import decode_entries, decode_event, encode_entries, encode_event

T = TypeVar("T")


class MemoryJournal:
    """The Journal port without a file. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._runs: dict[str, RunRecord] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._appends: dict[str, list[tuple[int, int, bytes]]] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._cache: dict[str, CacheEntry] = {}
        self._signals: dict[int, tuple[str, bytes]] = {}
        self._last_signal = 0
        self._documents: dict[str, bytes] = {}
        self._offers: dict[str, OfferedTask] = {}
        """By token, oldest first."""
        self.held: Callable[[], set[str]] = set
        """Digests of the documents that resources need."""
        self._changed = True

    def commit(self, batch: Batch) -> None:
        with self._lock:
            encoded = self._check(batch)
            for record in batch.created:
                self._runs[record.run_id] = _copy(record)
                self._names[record.pipeline, record.name] = record.run_id
                self._appends[record.run_id] = []
            for append, data in zip(batch.appends, encoded, strict=True):
                self._append(append, data)
            for snapshot in batch.snapshots:
                self._snapshots[snapshot.run_id] = snapshot
            for entry in batch.cached:
                self._cache[entry.key] = _copy(entry)
            for number in batch.signals_done:
                self._signals.pop(number, None)
            for offer in batch.offered:
                if offer.run_id in self._runs:
                    self._offers.setdefault(offer.token, offer)
            for token in batch.withdrawn:
                self._offers.pop(token, None)

    def _check(self, batch: Batch) -> list[bytes]:
        """Refuse the batch before anything of it is kept; the encoded entries of its appends."""
        last: dict[str, int] = {}
        created = {}
        for record in batch.created:
            taken = (record.pipeline, record.name) in self._names or record.run_id in self._runs
            if taken or record.run_id in created:
                raise run_exists(record)
            created[record.run_id] = record
            last[record.run_id] = 0
        for append in batch.appends:
            owned = created.get(append.run_id) or self._runs.get(append.run_id)
            if owned is None or owned.owner != batch.owner:
                raise not_owner(append.run_id, batch.owner, owned.owner if owned else None)
            known = last.get(append.run_id)
            check_sequence(append, self._last(append.run_id) if known is None else known)
            if append.entries:
                last[append.run_id] = append.entries[-1].sequence
        return [encode_entries(append.entries) for append in batch.appends]

    def _append(self, append: Append, data: bytes) -> None:
        if append.entries:
            first, last = append.entries[0].sequence, append.entries[-1].sequence
            self._appends[append.run_id].append((first, last, data))
        update = append.update
        if update is not None:
            changed = msgspec.structs.replace(
                self._runs[append.run_id],
                status=update.status,
                stopped_ms=update.stopped_ms,
                output=update.output,
                error=update.error,
                cause=update.cause,
            )
            self._runs[append.run_id] = _copy(changed)

    def _last(self, run_id: str) -> int:
        appends = self._appends.get(run_id)
        return appends[-1][1] if appends else 0

    def put_document(self, text: bytes) -> str:
        digest = hashlib.sha256(text).hexdigest()
        with self._lock:
            self._documents.setdefault(digest, bytes(text))
        return digest

    def document(self, digest: str) -> bytes:
        with self._lock:
            text = self._documents.get(digest)
        if text is None:
            raise document_missing(digest)
        return text

    def run(self, run_id: str) -> RunRecord | None:
        with self._lock:
            record = self._runs.get(run_id)
            return None if record is None else _copy(record)

    def run_named(self, pipeline: str, name: str) -> RunRecord | None:
        with self._lock:
            run_id = self._names.get((pipeline, name))
            return None if run_id is None else _copy(self._runs[run_id])

    def runs(
        self,
        *,
        pipeline: str | None = None,
        account: str | None = None,
        status: Sequence[str] | None = None,
        parent: str | None = None,
        before: tuple[int, str] | None = None,
        limit: int = 100,
    ) -> list[RunRecord]:
        with self._lock:
            found = [
                record
                for record in self._runs.values()
                if (pipeline is None or record.pipeline == pipeline)
                and (account is None or record.account == account)
                and (status is None or record.status in status)
                and (parent is None or record.parent == parent)
                and (before is None or (record.created_ms, record.run_id) < before)
            ]
            found.sort(key=lambda record: (record.created_ms, record.run_id), reverse=True)
            return [_copy(record) for record in found[:limit]]

    def find_runs(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        return [
            record
            for record in self.runs(limit=len(self._runs) + 1)
            if record.run_id.startswith(prefix) or record.name.startswith(prefix)
        ][:limit]

    def entries(self, run_id: str, after: int = 0) -> Iterator[Entry]:
        with self._lock:
            appends = list(self._appends.get(run_id, ()))
        for first, last, data in appends:
            if last > after:
                for entry in decode_entries(data, run_id, first):
                    if entry.sequence > after:
                        yield entry

    def snapshot(self, run_id: str) -> Snapshot | None:
        with self._lock:
            return self._snapshots.get(run_id)

    def claim(self, run_id: str, owner: str, expected: str | None) -> bool:
        with self._lock:
            record = self._runs.get(run_id)
            if record is None or record.owner != expected:
                return False
            record.owner = owner
            self._changed = True
            return True

    def owners(self) -> list[str | None]:
        with self._lock:
            return list({record.owner for record in self._runs.values() if record.status in OPEN})

    def adopt(self, owner: str, expected: str | None, limit: int) -> list[str]:
        with self._lock:
            orphans = [run for run in self._runs.values() if run.owner == expected and run.status in OPEN]
            orphans = sorted(orphans, key=lambda run: run.created_ms)[:limit]
            for run in orphans:
                run.owner = owner
            self._changed = True
            return [run.run_id for run in orphans]

    def take(self, queue: str, worker: str | None) -> OfferedTask | None:
        with self._lock:
            offer = next((offer for offer in self._offers.values() if offer.queue == queue), None)
            if offer is None:
                return None
            del self._offers[offer.token]
            self.send(offer.run_id, TaskStarted(token=local_token(offer.token, offer.run_id), worker=worker))
            return offer

    def release(self, owner: str) -> None:
        with self._lock:
            for record in self._runs.values():
                if record.owner == owner and record.status in OPEN:
                    record.owner = None
            self._changed = True

    def send(self, run_id: str, event: AnyEvent) -> int:
        with self._lock:
            if run_id not in self._runs:
                raise run_unknown(run_id)
            self._last_signal += 1
            self._signals[self._last_signal] = (run_id, encode_event(event))
            self._changed = True
            return self._last_signal

    def signals(self, owner: str) -> list[Signal]:
        with self._lock:
            return [
                Signal(number=number, run_id=run_id, event=decode_event(data))
                for number, (run_id, data) in self._signals.items()
                if self._runs[run_id].owner == owner
            ]

    def changed(self) -> bool:
        with self._lock:
            changed, self._changed = self._changed, False
            return changed

    def cached(self, key: str) -> CacheEntry | None:
        with self._lock:
            entry = self._cache.get(key)
            return None if entry is None else _copy(entry)

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        with self._lock:
            doomed = {run_id for run_id in run_ids if run_id in self._runs}
            for run_id in doomed:
                refuse_deletion(self._runs[run_id])
            for run_id in doomed:
                record = self._runs.pop(run_id)
                del self._names[record.pipeline, record.name], self._appends[run_id]
                self._snapshots.pop(run_id, None)
            self._signals = {number: kept for number, kept in self._signals.items() if kept[0] not in doomed}
            self._cache = {key: entry for key, entry in self._cache.items() if entry.run_id not in doomed}
            self._offers = {token: offer for token, offer in self._offers.items() if offer.run_id not in doomed}
            self._drop_documents()
            self._changed = True

    def _drop_documents(self) -> None:
        used = {digest for run in self._runs.values() for digest in (run.definition, run.tasks)} | self.held()
        self._documents = {digest: text for digest, text in self._documents.items() if digest in used}

    def close(self) -> None:
        """Nothing to give back; the content stays readable."""


def local_token(token: str, run_id: str) -> str:
    """The token inside its run of an offer's token."""
    return token.removeprefix(f"{run_id}:")


def check_sequence(append: Append, last: int) -> None:
    """Entries must go on where the run's journal ends. A gap means that another engine wrote, or a bug."""
    expected = last + 1
    for entry in append.entries:
        if entry.sequence != expected:
            raise NotOwner(
                f"event {entry.sequence} of run {append.run_id} does not follow its last journaled event "
                f"{expected - 1}: another engine has gone on with the run"
            )
        expected += 1


def not_owner(run_id: str, asked: str, actual: str | None) -> NotOwner:
    return NotOwner(f"engine {asked} does not own run {run_id} (owner: {actual or 'nobody'}); nothing was written")


def run_exists(record: RunRecord) -> RunAlreadyExists:
    return RunAlreadyExists(
        f"pipeline {record.pipeline} has a run named {record.name!r} (or with id {record.run_id}) already",
        hint="choose another name, or leave the name out to get a fresh one",
    )


def run_unknown(run_id: str) -> RunNotFound:
    return RunNotFound(f"no run has the id {run_id!r}", hint="see the runs with `skylift runs`")


def refuse_deletion(record: RunRecord) -> None:
    if record.owner is not None and record.status in OPEN:
        raise NotOwner(
            f"run {record.run_id} is {record.status} and owned by engine {record.owner}; it cannot be deleted",
            hint=f"stop it first: `skylift stop {record.run_id}`",
        )


def document_missing(digest: str) -> JournalDamaged:
    return JournalDamaged(
        f"the journal holds no document {digest}",
        hint="the journal was cut off or belongs to another project; check SKYLIFT_HOME",
    )


def _copy(value: T) -> T:
    """Through JSON and back, as a database would give it."""
    return msgspec.json.decode(msgspec.json.encode(value), type=type(value))
