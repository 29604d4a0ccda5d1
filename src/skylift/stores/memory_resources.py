"""Resources in memory, beside a journal in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from skylift.errors import JournalDamaged
from skylift.ports.resources import Resource, ResourceChanged
from skylift.stores.memory import MemoryJournal


class MemoryResources:
    """The ResourceStore port without a file. Thread-safe."""

    def __init__(self, journal: MemoryJournal | None = None) -> None:
        self._journal = journal if journal is not None else MemoryJournal()
        self._journal.held = self.documents
        self._lock = threading.RLock()
        self._resources: dict[tuple[str, str], Resource] = {}
        self._held: dict[tuple[str, str], frozenset[str]] = {}

    def get(self, kind: str, key: str) -> Resource | None:
        with self._lock:
            return self._resources.get((kind, key))

    def put(
        self, kind: str, key: str, body: bytes, *, expected: int | None = None, documents: Sequence[str] = ()
    ) -> Resource:
        with self._lock:
            revision = self._revision(kind, key)
            check_revision(kind, key, revision, expected)
            for digest in documents:
                self._check_document(kind, key, digest)
            resource = Resource(kind=kind, key=key, body=bytes(body), revision=revision + 1)
            self._resources[kind, key] = resource
            self._held[kind, key] = frozenset(documents)
            return resource

    def delete(self, kind: str, key: str, *, expected: int | None = None) -> bool:
        with self._lock:
            check_revision(kind, key, self._revision(kind, key), expected)
            self._held.pop((kind, key), None)
            return self._resources.pop((kind, key), None) is not None

    def kinds(self) -> list[str]:
        with self._lock:
            return sorted({kind for kind, _ in self._resources})

    def documents(self) -> set[str]:
        with self._lock:
            return {digest for held in self._held.values() for digest in held}

    def list(self, kind: str, prefix: str = "", *, after: str = "", limit: int = 100) -> list[Resource]:
        with self._lock:
            found = [
                resource
                for resource in self._resources.values()
                if resource.kind == kind and resource.key.startswith(prefix) and resource.key > after
            ]
        return sorted(found, key=lambda resource: resource.key)[:limit]

    def close(self) -> None:
        """Nothing to give back; the content stays readable."""

    def _revision(self, kind: str, key: str) -> int:
        resource = self._resources.get((kind, key))
        return 0 if resource is None else resource.revision

    def _check_document(self, kind: str, key: str, digest: str) -> None:
        try:
            self._journal.document(digest)
        except JournalDamaged as error:
            raise document_gone(kind, key, digest) from error


def check_revision(kind: str, key: str, actual: int, expected: int | None) -> None:
    """Refuse a change that was made from another revision than the present one; 0 is none."""
    if expected is not None and expected != actual:
        raise ResourceChanged(
            f"{kind} {key} is at revision {actual}, not at {expected}; nothing was written",
            hint="somebody else has changed it: read it again",
        )


def document_gone(kind: str, key: str, digest: str) -> ResourceChanged:
    return ResourceChanged(
        f"{kind} {key} needs document {digest}, which the journal does not hold; nothing was written",
        hint="put the document, then the resource",
    )
