"""Which parts of a too large JSON value become artifacts."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.ports.blobs import BlobStore
from skylift.values.tags import ARTIFACT, TYPE, reference

_to_json = msgspec.json.Encoder().encode
_NESTED = f'"{ARTIFACT}":"sha256:'.encode()
_SMALLEST = 2048


class Shrinker:
    """Replaces parts of a JSON value by references until its own text is not longer than `limit` bytes.

    Of an object only the large fields go, so that the others stay visible to the graph; an array of many small items
    goes whole.
    """

    def __init__(self, blobs: BlobStore, limit: int) -> None:
        self._blobs = blobs
        self._limit = limit

    def shrink(self, node: Any) -> Any:
        text = _to_json(node)
        if len(text) <= self._limit:
            return node
        if type(node) is dict and ARTIFACT not in node:
            return self._shrink_object(node)
        if type(node) is list:
            return self._shrink_array(node)
        return self._store(node, text)

    def _shrink_object(self, node: dict[str, Any]) -> Any:
        parts = dict(node)
        sizes = {key: len(_to_json(part)) for key, part in parts.items() if key != TYPE}
        total = sum(sizes.values()) + sum(len(key) + 4 for key in parts)
        for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if total <= self._limit or sizes[key] < _SMALLEST:
                break
            part = parts[key]
            parts[key] = self.shrink(part) if sizes[key] > self._limit else self._store(part, _to_json(part))
            total += len(_to_json(parts[key])) - sizes[key]
        text = _to_json(parts)
        return parts if len(text) <= self._limit else self._store(parts, text)

    def _shrink_array(self, node: list[Any]) -> Any:
        parts = [self.shrink(part) if type(part) in (dict, list, str) else part for part in node]
        text = _to_json(parts)
        return parts if len(text) <= self._limit else self._store(parts, text)

    def _store(self, node: Any, text: bytes) -> Any:
        if type(node) is dict and ARTIFACT in node:
            return node
        facts = {"nested": True} if _NESTED in text else {}
        kind = node.get(TYPE, "dict") if type(node) is dict else type(node).__name__
        return reference(self._blobs.put(text), format="json", type=kind, size=len(text), **facts)
