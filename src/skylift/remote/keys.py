"""Who we are to a server: an access key from the environment, and requests signed with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime

from skylift.errors import SetupError
from skylift.sigv4 import sign

PAIRS = (
    ("SKYLIFT_ACCESS_KEY_ID", "SKYLIFT_SECRET_ACCESS_KEY"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
)
DEFAULT_REGION = "us-east-1"


class Signer:
    """Signs requests by AWS Signature V4."""

    def __init__(self, access_key: str, secret: str, region: str) -> None:
        self._access_key = access_key
        self._secret = secret
        self._region = region

    def sign(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, digest: str | None = None
    ) -> dict[str, str]:
        """The headers with those of the signature. `digest` is the body's SHA-256 where the body is not at hand."""
        path, _, query = target.partition("?")
        added = sign(
            key_id=self._access_key,
            secret=self._secret,
            region=self._region,
            method=method,
            path=path,
            query=query,
            headers=headers,
            digest=digest or hashlib.sha256(body).hexdigest(),
            now=datetime.now(UTC),
        )
        return {**headers, **added}


def signer_of(environ: Mapping[str, str] | None = None) -> Signer | None:
    """From SKYLIFT_ACCESS_KEY_ID and SKYLIFT_SECRET_ACCESS_KEY, else their AWS_ forms; None where there are none.

    Raises SetupError where one of a pair is missing.
    """
    environ = os.environ if environ is None else environ
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    for pair in PAIRS:
        key, secret = (environ.get(name) for name in pair)
        if key and secret:
            return Signer(key, secret, region)
        if key or secret:
            there, lacking = pair if key else reversed(pair)
            raise SetupError(f"{there} is set but {lacking} is not", code="KEY")
    return None
