"""Pages of a listing: how many entries, and tokens that say where the next page goes on."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from skylift.server.errors import ApiError

DEFAULT_RESULTS = 100


def page_size(request: dict[str, Any]) -> int:
    """What `maxResults` asks for; 0 is the default."""
    return request.get("maxResults") or DEFAULT_RESULTS


def make_token(scope: Sequence[str], position: Any) -> str:
    """An opaque token for the next page of the listing that `scope` names: action, account, filters."""
    return base64.urlsafe_b64encode(msgspec.json.encode([_digest(scope), position])).decode("ascii")


def read_token(scope: Sequence[str], token: str) -> Any:
    """The position in it. Raises InvalidToken for what `make_token` has not made for the same listing."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        digest, position = msgspec.json.decode(raw, type=tuple[str, Any])
    except (binascii.Error, ValueError, RecursionError):
        raise invalid_token() from None
    if digest != _digest(scope):
        raise invalid_token()
    return position


def key_after(request: dict[str, Any], scope: Sequence[str]) -> str:
    """Of a listing by key: the last key of the page before."""
    if "nextToken" not in request:
        return ""
    position = read_token(scope, request["nextToken"])
    if not isinstance(position, str):
        raise invalid_token()
    return position


def number_before(request: dict[str, Any], scope: Sequence[str]) -> int | None:
    """Of a listing by number, highest first: the last number of the page before."""
    if "nextToken" not in request:
        return None
    position = read_token(scope, request["nextToken"])
    if not isinstance(position, int):
        raise invalid_token()
    return position


def invalid_token() -> ApiError:
    return ApiError("InvalidToken", "Invalid Token: 'Invalid token'")


def _digest(scope: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(scope).encode()).hexdigest()[:16]
