"""Ids, tokens, digests and ARNs: how runs and attempts are called."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

import msgspec

from skylift.errors import AuthorError

_ACCOUNT = "arn:aws:states:local:000000000000"
_canonical = msgspec.json.Encoder(order="deterministic")


def new_run_id() -> str:
    """16 characters of a-z and 2-7, random: the first few are enough for people to tell runs apart."""
    return base64.b32encode(os.urandom(10)).decode("ascii").lower()


def child_run_id(token: str) -> str:
    """Of the nested run that the attempt with this global token starts; the same again after a crash."""
    return base64.b32encode(hashlib.sha256(token.encode()).digest()[:10]).decode("ascii").lower()


def seed_of(run_id: str) -> int:
    """The 64-bit seed of a run."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], "big")


def input_digest(value: Any) -> str:
    """SHA-256 of the canonical JSON text: keys in order. Raises AuthorError for what is no JSON or nested too deep."""
    try:
        return hashlib.sha256(_canonical.encode(value)).hexdigest()
    except (RecursionError, TypeError, ValueError) as problem:
        raise AuthorError(
            f"the input of a run must be JSON that is not nested too deeply: {problem}", code="INPUT-NOT-JSON"
        ) from problem


def global_token(run_id: str, token: str) -> str:
    """An attempt's token, unique over all runs."""
    return f"{run_id}:{token}"


def split_token(token: str) -> tuple[str, str]:
    """Run id and the token inside the run; the second is empty for what is no global token."""
    run_id, _, local = token.partition(":")
    return run_id, local


def execution_arn(pipeline: str, name: str) -> str:
    return f"{_ACCOUNT}:execution:{pipeline}:{name}"


def machine_arn(pipeline: str) -> str:
    return f"{_ACCOUNT}:stateMachine:{pipeline}"
