"""AWS Signature Version 4: made by our client, checked by our server. Pure: no clock, no store, no network."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "states"
EMPTY_DIGEST = hashlib.sha256(b"").hexdigest()

Headers = Sequence[tuple[str, str]]
"""Names in lower case. A name may come more than once."""

_UNRESERVED = "-_.~"
_DATE = re.compile(r"\d{8}T\d{6}Z")
_PARAMETERS = ("Credential", "SignedHeaders", "Signature")


class Incomplete(ValueError):
    """What should be a signature lacks something or is not well-formed; the message says what, as the service does."""


class Scope(msgspec.Struct, frozen=True):
    """What a signature is good for: one day, region and service."""

    date: str
    """`20261121`."""
    region: str
    service: str

    @property
    def text(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What an Authorization header says."""

    key_id: str
    scope: Scope
    headers: tuple[str, ...]
    signature: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a request that a signature covers."""

    method: str
    path: str
    """As it stands on the wire, without the query; `/` when empty."""
    query: str = ""
    """As it stands on the wire, without the question mark."""
    headers: Headers
    digest: str
    """SHA-256 of the body in hexadecimal digits."""


def parse_authorization(text: str) -> Signed:
    """Raises Incomplete for anything that is not a whole Signature V4."""
    algorithm, _, rest = text.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise Incomplete(f"Unsupported authorization type: the Authorization header must begin with {ALGORITHM}.")
    given: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in given or name not in _PARAMETERS:
            raise Incomplete(f"'{part.strip()[:100]}' not a valid key=value pair in Authorization header.")
        given[name] = value
    missing = [f"Authorization header requires '{name}' parameter." for name in _PARAMETERS if not given.get(name)]
    if missing:
        raise Incomplete(" ".join(missing))
    key_id, scope = _credential(given["Credential"])
    return Signed(
        key_id=key_id,
        scope=scope,
        headers=tuple(given["SignedHeaders"].split(";")),
        signature=given["Signature"],
    )


def region_of(authorization: str) -> str | None:
    """The region that an Authorization header names, whatever else is wrong with it."""
    found = re.search(r"Credential=[^/,\s]{0,128}/\d{8}/([a-z0-9-]{1,40})/", authorization)
    return found[1] if found else None


def parse_date(text: str) -> datetime:
    """An X-Amz-Date. Raises Incomplete."""
    try:
        if _DATE.fullmatch(text) and text.isascii():
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise Incomplete(
        f"Date must be in ISO-8601 'basic format'. Got '{text[:40]}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def signing_key(secret: str, scope: Scope) -> bytes:
    """Of one day, region and service: worth keeping, it takes four of the five HMACs."""
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(key: bytes, scope: Scope, date: str, request: Request, signed: Sequence[str]) -> str:
    """`key` is of `signing_key`; `date` the X-Amz-Date; `signed` the names of the headers, in order."""
    canonical = canonical_request(request, signed)
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = f"{ALGORITHM}\n{date}\n{scope.text}\n{digest}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def matches(key: bytes, given: Signed, date: str, request: Request) -> bool:
    """Whether the signature is right, in a time that does not tell how much of it is."""
    wanted = signature(key, given.scope, date, request, given.headers)
    return hmac.compare_digest(wanted.encode(), given.signature.encode("utf-8", "surrogateescape"))


def sign(
    *,
    key_id: str,
    secret: str,
    region: str,
    method: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str],
    digest: str,
    now: datetime,
    service: str = SERVICE,
) -> dict[str, str]:
    """The headers to add to a request: X-Amz-Date, X-Amz-Content-SHA256, Authorization.

    `headers` must hold Host; all of them are signed, so none may change on the way. `path` and `query` are as on the
    wire; `digest` is the body's SHA-256.
    """
    date = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"X-Amz-Date": date, "X-Amz-Content-SHA256": digest}
    all_headers = sorted((name.lower(), value) for name, value in {**headers, **added}.items())
    names = [name for name, _ in all_headers]
    scope = Scope(date[:8], region, service)
    request = Request(method=method, path=path, query=query, headers=all_headers, digest=digest)
    found = signature(signing_key(secret, scope), scope, date, request, names)
    added["Authorization"] = (
        f"{ALGORITHM} Credential={key_id}/{scope.text}, SignedHeaders={';'.join(names)}, Signature={found}"
    )
    return added


def canonical_request(request: Request, signed: Sequence[str]) -> str:
    """The text that is hashed and signed."""
    values: dict[str, list[str]] = {name: [] for name in signed}
    for name, value in request.headers:
        if name in values:
            values[name].append(" ".join(value.split()))
    lines = "".join(f"{name}:{','.join(values[name])}\n" for name in signed)
    return "\n".join(
        (
            request.method,
            canonical_path(request.path),
            canonical_query(request.query),
            lines,
            ";".join(signed),
            request.digest,
        )
    )


def canonical_path(path: str) -> str:
    """Without `.`, `..` and doubled slashes, and encoded once more than on the wire."""
    if path in ("", "/"):
        return "/"
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    end = "/" if path.endswith("/") and kept else ""
    return quote("/" + "/".join(kept) + end, safe="/" + _UNRESERVED)


def canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return "&".join(
        f"{name}={value}" for name, value in sorted((_once(name), _once(value)) for name, _, value in pairs)
    )


def _once(text: str) -> str:
    """Percent-encoded in the one way that counts."""
    return quote(unquote_to_bytes(text), safe=_UNRESERVED)


def _credential(text: str) -> tuple[str, Scope]:
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request" or not parts[0]:
        raise Incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{text[:200]}'"
        )
    key_id, date, region, service, _ = parts
    return key_id, Scope(date, region, service)
