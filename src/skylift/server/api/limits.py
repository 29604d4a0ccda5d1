"""How large things may be that a client sends."""

from __future__ import annotations

import re

from skylift.server.api.answers import Refusal
from skylift.server.names import is_name

DOCUMENT_BYTES = 8 * 1024 * 1024
BLOB_BYTES = 4 * 1024**3
REQUEST_BYTES = 16 * 1024 * 1024
"""A start with its input, an answer."""
REGISTRATION_BYTES = 1024 * 1024
MOST_TASKS = 10_000
DIGEST = re.compile(r"[0-9a-f]{64}")
RUN_ID = re.compile(r"[a-z2-7]{16}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_name(what: str, name: str) -> None:
    """Raises Refusal for a name that no state machine or execution could have."""
    if not is_name(name):
        raise Refusal(
            400,
            "NAME",
            f"{what} {name[:100]!r} is no name",
            hint="use 1 to 80 characters without spaces, slashes, colons and the like",
        )


def check_digest(what: str, digest: str) -> None:
    if DIGEST.fullmatch(digest) is None:
        raise Refusal(400, "DIGEST", f"{what} {digest[:100]!r} is no SHA-256 in hexadecimal digits")
