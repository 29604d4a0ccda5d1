"""What triggers may look at: the server works with its own credentials and files for everybody."""

from __future__ import annotations

from pathlib import Path

from skylift.config import ServerSettings
from skylift.engine.places import Places
from skylift.server.errors import ApiError
from skylift.server.triggers.files import split_pattern
from skylift.server.triggers.trigger import Files, Queue, Trigger


def check_allowed(trigger: Trigger, settings: ServerSettings) -> None:
    """Raises ApiError for a source that no administrator has allowed. Asked when a trigger is made, and again when a
    server begins to watch it: settings change."""
    source = trigger.source
    places = Places(folders=settings.allow_paths, services=settings.allow_services)
    if isinstance(source, Queue) and not places.allows("sqs:receiveMessage"):
        raise _not_allowed("read queues", "sqs:*", "allow_services")
    if isinstance(source, Files):
        _check_place(source, places)


def _check_place(source: Files, places: Places) -> None:
    scheme, found, _ = source.url.partition("://")
    if found and scheme != "file":
        if not places.allows(f"{scheme}:list"):
            raise _not_allowed(f"list {scheme}:// places", f"{scheme}:*", "allow_services")
        return
    folder = split_pattern(source.url.removeprefix("file://"))[0]
    if not places.allows_folder(Path(folder)):
        raise _not_allowed(f"look into {folder}", folder, "allow_paths")


def _not_allowed(what: str, example: str, setting: str) -> ApiError:
    message = f'this server may not {what}: an administrator allows it with {setting} = ["{example}"] under [server]'
    return ApiError("NOT-ALLOWED", message, status=403)
