"""What a server keeps besides runs: state machines, activities, keys, triggers. Small documents by kind and key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from skylift.errors import SkyliftError

ACTIVITY = "activity"
"""The kind of activities, by ARN: what a Task that names one needs."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One document as it is stored."""

    kind: str
    key: str
    """Unique in its kind; where it belongs to an account, the ARN."""
    body: bytes
    revision: int
    """1 when created, one more with every change."""


class ResourceChanged(SkyliftError):
    """The resource is not at the revision that the change expected: read it again. Nothing was written."""

    code = "RESOURCE-CHANGED"


class ResourceStore(Protocol):
    """Durable and consistent between processes: what `put` returned is what every later `get` sees.

    Methods may be called from any thread. `skylift.testing.resources.ResourceStoreConformance` is this contract as
    tests. Errors: JournalUnavailable, as the journal's (both live in one database).
    """

    def get(self, kind: str, key: str) -> Resource | None: ...

    def put(
        self, kind: str, key: str, body: bytes, *, expected: int | None = None, documents: Sequence[str] = ()
    ) -> Resource:
        """Create or replace. With `expected` only if that is its present revision (0: only if there is none); else
        ResourceChanged.

        `documents`: digests of all documents of the journal (`Journal.put_document`) that the resource needs. They
        stay in the journal, with the code that a task table among them names, as long as the resource names them; those
        of the revision before are let go. ResourceChanged if one of them is not there: put it, then try again."""
        ...

    def delete(self, kind: str, key: str, *, expected: int | None = None) -> bool:
        """Whether there was one. ResourceChanged as for `put`."""
        ...

    def kinds(self) -> list[str]:
        """Every kind of which there is one, in order."""
        ...

    def documents(self) -> set[str]:
        """Digests of the documents that some resource needs."""
        ...

    def list(self, kind: str, prefix: str = "", *, after: str = "", limit: int = 100) -> list[Resource]:
        """Those whose key starts with `prefix` and comes after `after`, by key."""
        ...

    def close(self) -> None: ...
