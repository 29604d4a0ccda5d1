"""Files that arrive at any place fsspec knows."""

from __future__ import annotations

import fnmatch
import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from skylift.errors import SetupError
from skylift.server.triggers.book import TriggerBook
from skylift.server.triggers.trigger import Files, InvalidTrigger, Occurrence, Trigger, TriggerState

MOST = 100_000
"""Files under one trigger's folder: what was started is remembered as long as it lies there."""
BATCH = 500
"""Started between two looks."""


class Found(msgspec.Struct, frozen=True):
    """A file as the place lists it."""

    path: str
    size: int
    modified_ms: int | None
    tag: str
    """What changes with the content: an ETag, else size and time."""

    @property
    def version(self) -> str:
        """16 hex digits of path and content's tag."""
        return hashlib.sha256(f"{self.path}\0{self.tag}".encode()).hexdigest()[:16]


class FilesWatcher:
    """Gives each version of a file once it has settled."""

    def __init__(self, trigger: Trigger, source: Files, book: TriggerBook) -> None:
        self._trigger = trigger
        self._source = source
        self._book = book
        self._folder, self._pattern = split_pattern(source.url)
        self._waiting: dict[str, tuple[str, int]] = {}
        """By path of files without a time: the version last seen, and when first."""

    def begin(self) -> None:
        """When the trigger is made: what lies there has not arrived since. Raises SetupError for a place that cannot be
        listed."""
        found = self._list()
        if not self._source.existing:
            self._remember(add={file.version for file in found})

    def look(self, now_ms: int) -> list[Occurrence]:
        found = self._list()
        state = self._book.state(self._trigger.key)
        seen = set(state.seen)
        gone = seen - {file.version for file in found}
        if gone:
            self._remember(gone=gone)
        fresh = [file for file in found if file.version not in seen]
        ready = [file for file in fresh if self._has_settled(file, now_ms)]
        return [Occurrence(file.version, _event(file)) for file in ready[:BATCH]]

    def done(self, occurrence: Occurrence) -> None:
        self._remember(add={occurrence.key})

    def pause_s(self, now_ms: int) -> float:
        return self._source.every_s

    def _list(self) -> list[Found]:
        found = list_files(self._folder, self._pattern)
        if len(found) > MOST:
            raise InvalidTrigger(
                f"{len(found)} files lie under {self._source.url}; a trigger remembers at most {MOST}",
                hint="move files away once they are worked on, or watch folders of their own",
            )
        return found

    def _remember(self, *, add: set[str] | None = None, gone: set[str] | None = None) -> None:
        def change(state: TriggerState) -> None:
            state.seen = sorted((set(state.seen) | (add or set())) - (gone or set()))

        self._book.change_state(self._trigger.key, change)

    def _has_settled(self, file: Found, now_ms: int) -> bool:
        """Whoever writes it may not be done: its time, or its first sight where it has none, must be long ago."""
        since = file.modified_ms
        if since is None:
            version, first_ms = self._waiting.get(file.path, ("", 0))
            if version != file.version:
                self._waiting[file.path] = (file.version, now_ms)
                return self._source.settle_s == 0
            since = first_ms
        return now_ms - since >= self._source.settle_s * 1000


def split_pattern(url: str) -> tuple[str, str]:
    """The folder to list, and the pattern below it: `s3://b/in/*.csv` → `s3://b/in`, `*.csv`."""
    head, found, _ = url.partition("*")
    if not found:
        return url.rstrip("/"), "*"
    folder = head.rpartition("/")[0]
    return folder, url[len(folder) + 1 :]


def list_files(folder: str, pattern: str) -> list[Found]:
    """By path. A folder that is not there holds none yet. Raises SetupError when it cannot be listed."""
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(folder)
        system.invalidate_cache()
        listed = system.find(root, detail=True)
    except FileNotFoundError:
        return []
    except Exception as problem:  # each file system has errors of its own
        raise SetupError(f"{folder} cannot be listed: {problem}", code="FILES") from problem
    start = len(root.rstrip("/")) + 1
    chosen = [path for path in sorted(listed) if fnmatch.fnmatchcase(path[start:], pattern)]
    return [_found(system.unstrip_protocol(path), listed[path]) for path in chosen]


def _found(path: str, facts: dict[str, Any]) -> Found:
    modified = facts.get("LastModified") or facts.get("mtime") or facts.get("last_modified") or facts.get("updated")
    stamp = modified.timestamp() if isinstance(modified, datetime) else modified
    modified_ms = int(stamp * 1000) if isinstance(stamp, int | float) else None
    size = int(facts.get("size") or 0)
    tag = str(facts.get("ETag") or facts.get("etag") or f"{size}-{modified}")
    return Found(path, size, modified_ms, tag)


def _event(file: Found) -> dict[str, Any]:
    at = None
    if file.modified_ms is not None:
        at = datetime.fromtimestamp(file.modified_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"url": file.path, "size": file.size, "modified": at}
