"""How journal content becomes bytes, the same in every store: compact JSON by msgspec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from skylift.asl.events import AnyEvent
from skylift.errors import JournalDamaged
from skylift.ports.journal import Entry

_encoder = msgspec.json.Encoder()
_entries_decoder = msgspec.json.Decoder(list[Entry])
_event_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode_entries(entries: Sequence[Entry]) -> bytes:
    return _encoder.encode(entries)


def decode_entries(data: bytes | memoryview, run_id: str, first: int) -> list[Entry]:
    """The entries of one append; they must count up from `first`."""
    try:
        entries = _entries_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise damaged(run_id, first, f"its bytes cannot be decoded: {error}") from error
    for offset, entry in enumerate(entries):
        if entry.sequence != first + offset:
            raise damaged(run_id, first + offset, f"found sequence {entry.sequence} in its place")
    return entries


def damaged(run_id: str, sequence: int, problem: str) -> JournalDamaged:
    return JournalDamaged(
        f"the journal is damaged at event {sequence} of run {run_id}: {problem}",
        hint="restore the journal from a backup, or delete this run with `skylift gc`; other runs are not affected",
    )


def encode_event(event: AnyEvent) -> bytes:
    return _encoder.encode(event)


def decode_event(data: bytes | memoryview) -> AnyEvent:
    return _event_decoder.decode(data)


def encode_json(value: Any) -> bytes:
    return _encoder.encode(value)


def decode_json(data: bytes | memoryview) -> Any:
    return msgspec.json.decode(data)
