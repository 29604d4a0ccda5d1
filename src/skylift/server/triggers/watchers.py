"""One watcher a kind of source: what has happened since it was last asked. A step may block; it runs on a thread.

Whatever a watcher gives is started by name, so giving it again, here or on another server, starts nothing twice; only
after the start is durable does `done` make it forgotten.
"""

from __future__ import annotations

from typing import Protocol

from skylift.config import ServiceSettings
from skylift.server.triggers.book import TriggerBook
from skylift.server.triggers.trigger import Files, Occurrence, Queue, Trigger


class Watcher(Protocol):
    """Of one trigger, as it was when the watcher was made."""

    def look(self, now_ms: int) -> list[Occurrence]:
        """What happened; may wait for it, at most some seconds. Raises any error: it is told and tried again later."""
        ...

    def done(self, occurrence: Occurrence) -> None:
        """Its run is durable."""
        ...

    def pause_s(self, now_ms: int) -> float:
        """How long until the next look."""
        ...


def watcher_of(trigger: Trigger, book: TriggerBook, services: ServiceSettings) -> Watcher:
    """Imports what the source needs."""
    source = trigger.source
    if isinstance(source, Queue):
        from skylift.server.triggers.queue import QueueWatcher

        return QueueWatcher(trigger, source, services)
    if isinstance(source, Files):
        from skylift.server.triggers.files import FilesWatcher

        return FilesWatcher(trigger, source, book)
    from skylift.server.triggers.schedule import ScheduleWatcher

    return ScheduleWatcher(trigger, source, book)
