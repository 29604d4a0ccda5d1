"""NumPy arrays as .npy. Large ones are read by memory map, private to the reader."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from skylift.values.tags import digest_of, reference

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec

_MAP_FROM = 1 << 20


def dump(value: Any, codec: ValueCodec) -> dict[str, Any] | None:
    """None for arrays of objects and for subclasses with more than the numbers (masked arrays, matrices)."""
    if type(value) not in (np.ndarray, np.memmap) or value.dtype.hasobject or value.dtype.metadata:
        return None
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(value), allow_pickle=False)
    data = buffer.getbuffer()
    facts = {"shape": list(value.shape), "dtype": value.dtype.str}
    return reference(codec.blobs.put(data), format="numpy", type="numpy.ndarray", size=len(data), **facts)


def load(node: dict[str, Any], codec: ValueCodec) -> Any:
    """Writable either way: changes to a mapped array stay in this process's memory."""
    digest = digest_of(node)
    if node.get("size", 0) < _MAP_FROM or 0 in node.get("shape", ()):
        return np.lib.format.read_array(io.BytesIO(codec.blobs.get(digest)), allow_pickle=False)
    mapped = np.load(codec.blobs.local_path(digest), mmap_mode="c", allow_pickle=False)
    return mapped.view(np.ndarray)
