"""Requests where authentication is off: from programs of this machine only, not from pages that its browsers show."""

from __future__ import annotations

import ipaddress
import re

from skylift.server.auth.request import Head
from skylift.server.caller import DEFAULT_REGION, Caller
from skylift.server.errors import ApiError
from skylift.sigv4 import region_of

_FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
"""What a page may send anywhere without asking."""
_HOST = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::[0-9]*)?")
_FORWARDED = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"})
"""A proxy's clients are not this machine's."""


def is_loopback(host: str) -> bool:
    """Of a name or address, without a port."""
    name = host.strip("[]").lower().rstrip(".").removeprefix("sync-")  # SDKs put it before the host of some actions
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def anonymous(head: Head) -> Caller:
    """Who asks: the default account, in the region that an (unchecked) signature names. Raises ApiError for what a
    browser may have sent for somebody else's page."""
    host = head.get("host") or ""
    if not is_loopback(_without_port(host)):
        raise refused(
            f"The Host header is {host[:100]!r}: without authentication only requests to localhost are answered. "
            "Make a key: skylift keys create"
        )
    if "origin" in head.by_name or head.get("sec-fetch-site") not in (None, "none"):
        raise refused("Without authentication no requests of web pages are answered. Make a key: skylift keys create")
    if not _FORWARDED.isdisjoint(head.by_name):
        raise refused("Without authentication no requests are answered that a proxy has passed on: use --auth required")
    kind = (head.get("content-type") or "").partition(";")[0].strip().lower()
    if head.method not in ("GET", "HEAD") and kind in _FORMS:
        raise refused(f"The content type {kind} is not accepted: use application/json or application/x-amz-json-1.0")
    return Caller(region=region_of(head.get("authorization") or "") or DEFAULT_REGION)


def refused(message: str) -> ApiError:
    return ApiError("AccessDeniedException", message, status=403)


def _without_port(host: str) -> str:
    """Nothing for what is no host with or without a port."""
    found = _HOST.fullmatch(host)
    return found[1] if found is not None else ""
