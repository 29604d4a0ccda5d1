"""ONNX models as their own protobuf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skylift.values.tags import digest_of, reference

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec


def dump(value: Any, codec: ValueCodec) -> dict[str, Any] | None:
    """None for more than the 2 GiB that protobuf can write in one piece."""
    if value.ByteSize() >= 2**31:
        return None
    data = value.SerializeToString(deterministic=True)
    return reference(codec.blobs.put(data), format="onnx", type="onnx.ModelProto", size=len(data))


def load(node: dict[str, Any], codec: ValueCodec) -> Any:
    import onnx

    return onnx.load_model_from_string(codec.blobs.get(digest_of(node)))
