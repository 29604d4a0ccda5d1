"""Pickle, the last resort: written with cloudpickle where plain pickle cannot, read only where user code may run."""

from __future__ import annotations

import io
import pickle
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from skylift.values.formats import type_name
from skylift.values.resolver import lookup, program_name, walk
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
    buffer = io.BytesIO()
    try:
        _pickler()(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except Exception as error:
        raise ValueNotStorable(
            f"a value of type {type_name(value)} cannot be stored: {type(error).__name__}: {error}",
            hint="return plain data, arrays, frames, models or files; open the file or connection inside the step",
        ) from error
    return buffer.getvalue()


@cache
def _pickler() -> Any:
    import cloudpickle

    main = program_name()

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
        """Classes of a program that has a file go by name, so that both sides mean the same class."""

        def reducer_override(self, thing: Any) -> Any:
            named = main is not None and isinstance(thing, type) and thing.__module__ == "__main__"
            if named and walk(sys.modules["__main__"], thing.__qualname__) is thing:
                return lookup, (main, thing.__qualname__)
            return super().reducer_override(thing)

    return Pickler


class _Unpickler(pickle.Unpickler):
    """Finds in `__main__` what a worker knows by the name of this program's module."""

    def find_class(self, module: str, name: str) -> Any:
        if module == program_name():
            return lookup(module, name)
        return super().find_class(module, name)


def unpickled(data: bytes, kind: str) -> Any:
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:
        raise ValueNotLoadable(
            f"a stored value of type {kind} cannot be loaded: {type(error).__name__}: {error}",
            hint="install what it needs where this step runs, or run the step that made it again",
        ) from error
