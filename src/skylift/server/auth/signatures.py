"""Requests that must be signed: whose key it is, whether the signature is right and recent."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec

from skylift import sigv4
from skylift.server.auth.keys import Keys, StoredKey
from skylift.server.auth.request import Head
from skylift.server.caller import Caller
from skylift.server.errors import ApiError

SKEW = timedelta(minutes=5)
"""How far the clocks of client and server may be apart, as at the service. Within it a request may be sent again."""
KNOWN_S = 1.0
"""How long what the store says of a key is believed: a revoked key works no longer than this."""
MOST_KNOWN = 10_000

_REGION = re.compile(r"[a-z0-9-]{1,40}")
DIGEST = "x-amz-content-sha256"
_NOT_OURS = "The security token included in the request is invalid."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class KnownKey(msgspec.Struct, frozen=True, kw_only=True):
    key: StoredKey
    secret: str


class KeyCache:
    """Keys that were looked up lately, for one event loop. `load` gets one from the store."""

    def __init__(
        self, load: Callable[[str], Awaitable[KnownKey | None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._clock = clock
        self._known: dict[str, tuple[KnownKey | None, float]] = {}
        self._signing: dict[tuple[str, sigv4.Scope], bytes] = {}

    async def get(self, key_id: str) -> KnownKey | None:
        found, until = self._known.get(key_id, (None, 0.0))
        if self._clock() < until:
            return found
        until = self._clock() + KNOWN_S  # from before it is read: a revocation in between counts
        found = await self._load(key_id)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[key_id] = (found, until)
        return found

    def signing_key(self, known: KnownKey, scope: sigv4.Scope) -> bytes:
        at = (known.secret, scope)
        found = self._signing.get(at)
        if found is None:
            if len(self._signing) >= MOST_KNOWN:
                self._signing.clear()
            found = self._signing[at] = sigv4.signing_key(known.secret, scope)
        return found


def loader(keys: Keys) -> Callable[[str], KnownKey | None]:
    """Blocks. Raises MasterKeyError."""

    def load(key_id: str) -> KnownKey | None:
        key = keys.get(key_id)
        return None if key is None else KnownKey(key=key, secret=keys.secret(key))

    return load


async def verified(head: Head, digest: str | None, cache: KeyCache, now: datetime) -> tuple[Caller, str]:
    """Who has signed the request, and the SHA-256 that the signature says its body has. `digest` is the body's where
    it has been read; where it is None the caller must compare. Raises ApiError."""
    signed, date = _signed(head)
    claimed = _claimed_digest(head, digest)
    known = await _known(head, signed, cache)
    request = sigv4.Request(method=head.method, path=head.path, query=head.query, headers=head.headers, digest=claimed)
    if not sigv4.matches(cache.signing_key(known, signed.scope), signed, date, request):
        raise invalid(_MISMATCH)
    _check_time(date, now)
    key = known.key
    return Caller(account=key.account, region=signed.scope.region, role=key.role, key_id=key.key_id), claimed


async def admit(head: Head, cache: KeyCache, now: datetime) -> None:
    """What can be said before there is a body. Raises ApiError for a request that is refused whatever it is."""
    signed, date = _signed(head)
    _check_time(date, now)
    await _known(head, signed, cache)


def _signed(head: Head) -> tuple[sigv4.Signed, str]:
    """The signature, and the date of it."""
    signed = _parse(head)
    date = _date(head, signed)
    _check_headers(head, signed)
    return signed, date


async def _known(head: Head, signed: sigv4.Signed, cache: KeyCache) -> KnownKey:
    if "x-amz-security-token" in head.by_name or not _may_be_key(signed.key_id):
        raise ApiError("UnrecognizedClientException", _NOT_OURS)
    known = await cache.get(signed.key_id)
    if known is None:
        raise ApiError("UnrecognizedClientException", _NOT_OURS)
    return known


def invalid(message: str) -> ApiError:
    return ApiError("InvalidSignatureException", message)


def _parse(head: Head) -> sigv4.Signed:
    given = head.get("authorization")
    if not given:
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
    try:
        return sigv4.parse_authorization(given)
    except sigv4.Incomplete as problem:
        raise _incomplete(str(problem)) from None


def _incomplete(message: str) -> ApiError:
    return ApiError("IncompleteSignatureException", message)


def _date(head: Head, signed: sigv4.Signed) -> str:
    date = head.get("x-amz-date")
    if date is None:
        raise _incomplete("Authorization header requires existence of a 'X-Amz-Date' header.")
    try:
        sigv4.parse_date(date)
    except sigv4.Incomplete as problem:
        raise _incomplete(str(problem)) from None
    scope = signed.scope
    if scope.date != date[:8]:
        raise invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{scope.date[:20]}' != '{date[:8]}', from '{date}'."
        )
    if scope.service != sigv4.SERVICE:
        raise invalid("Credential should be scoped to correct service: 'states'. ")
    if not _REGION.fullmatch(scope.region):
        raise invalid("Credential should be scoped to a valid region. ")
    return date


def _check_headers(head: Head, signed: sigv4.Signed) -> None:
    names = signed.headers
    if list(names) != sorted(set(names)) or any(name not in head.by_name for name in names):
        raise invalid(_MISMATCH)
    unsigned = [
        name for name in sorted(head.by_name) if (name == "host" or name.startswith("x-amz-")) and name not in names
    ]
    if unsigned or "host" not in names:
        shown = ", ".join(unsigned or ["host"])[:200]
        raise invalid(f"'Host' and all 'X-Amz-' headers must be a 'SignedHeader' in the AWS Authorization: {shown}")
    if sum(name in ("host", "x-amz-date") for name, _ in head.headers) != 2:
        raise invalid(_MISMATCH)


def _claimed_digest(head: Head, digest: str | None) -> str:
    claimed = head.get(DIGEST)
    if claimed is None:
        if digest is None:
            raise invalid("X-Amz-Content-Sha256 is needed for this request")
        return digest
    if digest is not None and claimed != digest:
        raise invalid("The provided 'x-amz-content-sha256' header does not match what was computed.")
    return claimed


def _may_be_key(key_id: str) -> bool:
    return len(key_id) <= 128 and key_id.isascii() and key_id.isalnum()


def _check_time(date: str, now: datetime) -> None:
    at = sigv4.parse_date(date)
    if at < now - SKEW:
        raise invalid(f"Signature expired: {date} is now earlier than {_basic(now - SKEW)} ({_basic(now)} - 5 min.)")
    if at > now + SKEW:
        raise invalid(
            f"Signature not yet current: {date} is still later than {_basic(now + SKEW)} ({_basic(now)} + 5 min.)"
        )


def _basic(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
