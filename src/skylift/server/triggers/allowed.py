"""What triggers may look at: the server works with its own credentials and files for everybody."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from skylift.compute.services.policy import plain_host
from skylift.config import ServerSettings, ServiceSettings
from skylift.engine.buckets import OBJECT_STORES
from skylift.engine.places import Places
from skylift.server.errors import ApiError
from skylift.server.triggers.files import split_pattern
from skylift.server.triggers.queue import is_amazon
from skylift.server.triggers.trigger import Files, Queue, Trigger

_SCHEME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*")
_HERE = ("file", "local")


def check_allowed(trigger: Trigger, settings: ServerSettings, services: ServiceSettings) -> None:
    """Raises ApiError for a source that no administrator has allowed. Asked when a trigger is made, and again when a
    server begins to watch it: settings change."""
    source = trigger.source
    places = Places(folders=settings.allow_paths, services=settings.allow_services)
    if isinstance(source, Queue):
        if not places.allows("sqs:receiveMessage"):
            raise _not_allowed("read queues", "sqs:*", "allow_services")
        _check_queue(source, settings, services)
    if isinstance(source, Files):
        _check_place(source, places)


def _check_queue(source: Queue, settings: ServerSettings, services: ServiceSettings) -> None:
    """Requests are signed with the server's keys and go to where the queue's URL says, if that is not AWS and the
    settings name no endpoint: such a host must be listed by its name, which a pattern is not."""
    host = plain_host(urlsplit(source.url).hostname or "")
    if services.endpoints.get("sqs") or services.endpoint_url or is_amazon(host):
        return
    if host not in map(plain_host, settings.allow_http):
        raise _not_allowed(f"ask {host} for messages", host, "allow_http")


def _check_place(source: Files, places: Places) -> None:
    scheme, found, _ = source.url.partition("://")
    if not found or scheme == "file":
        _check_folder(source, places)
        return
    if "::" in source.url or _SCHEME.fullmatch(scheme) is None or scheme.lower() in _HERE:
        raise ApiError(
            "NOT-ALLOWED", f"{source.url!r} is no plain URL: places inside other places are not watched", status=403
        )
    named = any(pattern.lower().partition(":")[0] == scheme.lower() for pattern in places.services)
    if not places.allows(f"{scheme}:list") or not (named or f"{scheme}://" in OBJECT_STORES):
        raise _not_allowed(f"list {scheme}:// places", f"{scheme}:*", "allow_services")


def _check_folder(source: Files, places: Places) -> None:
    """fsspec would find more in a relative path, such as `~` and `zip::`, than a path."""
    folder = split_pattern(source.url.removeprefix("file://"))[0]
    if "::" in folder or not Path(folder).is_absolute() or not places.allows_folder(Path(folder)):
        raise _not_allowed(f"look into {folder}", folder, "allow_paths")


def _not_allowed(what: str, example: str, setting: str) -> ApiError:
    message = f'this server may not {what}: an administrator allows it with {setting} = ["{example}"] under [server]'
    return ApiError("NOT-ALLOWED", message, status=403)
