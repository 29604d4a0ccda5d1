"""PIL images as PNG where PNG holds their mode, else pickled."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from skylift.values.tags import digest_of, reference

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec

_MODES = frozenset({"1", "L", "LA", "RGB", "RGBA", "I;16"})


def dump(value: Any, codec: ValueCodec) -> dict[str, Any] | None:
    """The pixels travel; what a file format kept beside them (EXIF, animation) does not."""
    if value.mode not in _MODES or getattr(value, "n_frames", 1) > 1:
        return None
    buffer = io.BytesIO()
    value.save(buffer, "PNG", compress_level=1, pnginfo=None)
    data = buffer.getbuffer()
    facts = {"mode": value.mode, "shape": [value.width, value.height]}
    return reference(codec.blobs.put(data), format="image", type="PIL.Image.Image", size=len(data), **facts)


def load(node: dict[str, Any], codec: ValueCodec) -> Any:
    from PIL import Image

    with Image.open(io.BytesIO(codec.blobs.get(digest_of(node)))) as file:
        file.load()
        image = file.copy()
    return image if image.mode == node.get("mode", image.mode) else image.convert(node["mode"])
