"""Plain bytes too large for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skylift.values.tags import digest_of

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec


def load(node: dict[str, Any], codec: ValueCodec) -> bytes | bytearray:
    data = codec.blobs.get(digest_of(node))
    return bytearray(data) if node.get("type") == "bytearray" else data
