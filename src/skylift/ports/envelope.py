"""A task of ours on its way through an activity: what its worker is given as the input, and answers as the output.

Whoever asks for an activity's tasks sees JSON text. These documents are marked, so that a worker tells them from the
input of anybody's own activity.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from skylift.ports.compute import Outcome, TaskCall
from skylift.ports.foreign import sound

VERSION = 1


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """`{"skylift": {"version": 1, "call": …}}`."""

    call: TaskCall
    version: int = VERSION


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`{"skylift": {"version": 1, "delivery": 1, "outcome": …}}`."""

    delivery: int
    """Of the call that was run: what an earlier delivery failed with says nothing of a later one."""
    outcome: Outcome
    version: int = VERSION


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """`{"skylift": {"version": 1, "answer": DIGEST}}`: an Answer too long for an output is an artifact."""

    answer: str
    version: int = VERSION


def seal(document: Envelope | Answer | Elsewhere) -> str:
    """Its JSON text."""
    value = {"skylift": msgspec.to_builtins(document)}
    try:
        return msgspec.json.encode(value).decode()
    except (OverflowError, msgspec.MsgspecError):  # integers beyond 64 bits
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def open_call(value: Any) -> TaskCall | None:
    """The call in an activity's input; None where that is somebody else's. Raises ValueError for one of ours that
    cannot be read, as of a newer Skylift."""
    found = _open(value, Envelope, "call")
    return None if found is None else found.call


def open_answer(value: Any) -> Answer | None:
    """None where the output is not a worker's answer, or cannot be read."""
    try:
        found: Answer | None = _open(value, Answer, "outcome")
    except ValueError:
        return None
    return None if found is None else msgspec.structs.replace(found, outcome=sound(found.outcome))


def open_elsewhere(value: Any) -> str | None:
    """The digest of the answer, where the output says that it lies elsewhere."""
    try:
        found = _open(value, Elsewhere, "answer")
    except ValueError:
        return None
    return None if found is None else found.answer


def _open(value: Any, kind: Any, mark: str) -> Any:
    inner = value.get("skylift") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(inner, dict) or mark not in inner:
        return None
    if inner.get("version") != VERSION:
        raise ValueError(f"it has version {inner.get('version')!r}, this Skylift knows {VERSION}: upgrade it here")
    try:
        return msgspec.convert(inner, kind)
    except msgspec.ValidationError as problem:
        raise ValueError(str(problem)) from None
