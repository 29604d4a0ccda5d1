"""Cache keys: when two calls of a task must give the same result."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

_VERSION = b"skylift cache 1\n"


def canonical_json(value: Any) -> bytes:
    """The one text of a JSON value: keys sorted, no spaces."""
    return msgspec.json.encode(value, order="sorted")


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical text, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def cache_key(*, task: str, fingerprint: str, arguments: Any, environment: Any = None) -> str:
    """The key of one call: the task's name, its code (closure digest), its encoded arguments (references stand for
    their content) and whatever of the environment its result depends on."""
    return hashlib.sha256(_VERSION + canonical_json([task, fingerprint, arguments, environment])).hexdigest()


def explain_miss(
    before: tuple[str, Any, Any],
    now: tuple[str, Any, Any],
) -> str:
    """Why a call did not hit the cache entry of an earlier one; each is (fingerprint, arguments, environment)."""
    if before[0] != now[0]:
        return "the code of the task, or project code it uses, has changed"
    if before[2] != now[2]:
        return "the environment has changed"
    old, new = before[1], now[1]
    if isinstance(old, dict) and isinstance(new, dict):
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if changed:
            return f"changed inputs: {', '.join(changed)}"
    return "the inputs have changed" if old != new else "nothing has changed"
