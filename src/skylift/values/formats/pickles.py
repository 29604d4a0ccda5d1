"""Pickle, the last resort: written with cloudpickle where plain pickle cannot, read only where user code may run."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

from skylift.values.formats import type_name
from skylift.values.tags import ValueNotLoadable, ValueNotStorable, digest_of, reference

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec


def dump(value: Any, codec: ValueCodec) -> dict[str, Any]:
    data = pickled(value)
    return reference(codec.blobs.put(data), format="pickle", type=type_name(value), size=len(data))


def load(node: dict[str, Any], codec: ValueCodec) -> Any:
    if not codec.allow_pickle:
        raise ValueNotLoadable(
            f"a value of type {node.get('type')} is kept as a pickle, which this process does not load",
            hint="only workers and your own program unpickle; look at it with `handle.result()`",
        )
    return unpickled(codec.blobs.get(digest_of(node)), str(node.get("type")))


def pickled(value: Any) -> bytes:
    """cloudpickle also takes functions, lambdas and classes of `__main__`."""
    import cloudpickle

    buffer = io.BytesIO()
    try:
        cloudpickle.CloudPickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except Exception as error:
        raise ValueNotStorable(
            f"a value of type {type_name(value)} cannot be stored: {type(error).__name__}: {error}",
            hint="return plain data, arrays, frames, models or files; open the file or connection inside the step",
        ) from error
    return buffer.getvalue()


def unpickled(data: bytes, kind: str) -> Any:
    try:
        return pickle.loads(data)  # noqa: S301
    except Exception as error:
        raise ValueNotLoadable(
            f"a stored value of type {kind} cannot be loaded: {type(error).__name__}: {error}",
            hint="install what it needs where this step runs, or run the step that made it again",
        ) from error
