"""Artifact formats: how values without a JSON form become bytes.

A format is a module of this package with `dump(value, codec) -> reference | None` (None: this value does not suit,
take pickle) and loaders `NAME(reference, codec) -> value`. The tables below name types by text, so that nothing of a
library is imported before the user has a value of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from skylift.values.tags import ValueNotLoadable

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec

_PACKAGE = __name__

DUMPERS: dict[str, str] = {
    "numpy.ndarray": "arrays",
    "numpy.bool": "numbers",
    "numpy.bool_": "numbers",
    "numpy.generic": "numbers",
    "pandas.DataFrame": "frames",
    "pandas.Series": "frames",
    "pandas.core.frame.DataFrame": "frames",
    "pandas.core.series.Series": "frames",
    "polars.dataframe.frame.DataFrame": "frames",
    "polars.series.series.Series": "frames",
    "pyarrow.lib.Table": "frames",
    "pyarrow.lib.RecordBatch": "frames",
    "torch.Tensor": "tensors",
    "torch.nn.parameter.Parameter": "tensors",
    "torch.nn.modules.module.Module": "tensors",
    "collections.OrderedDict": "tensors",
    "onnx.onnx_ml_pb2.ModelProto": "onnx_models",
    "PIL.Image.Image": "images",
    "skylift.values.files.File": "paths",
    "skylift.values.files.Directory": "paths",
}
"""Module of this package by the full name of a type; the nearest class of a value's MRO counts."""

LOADERS: dict[str, str] = {
    "bytes": "raw:load",
    "numpy": "arrays:load",
    "pandas": "frames:load_pandas",
    "polars": "frames:load_polars",
    "arrow": "frames:load_arrow",
    "torch": "tensors:load_torch",
    "safetensors": "tensors:load_safetensors",
    "onnx": "onnx_models:load",
    "image": "images:load",
    "file": "paths:load_file",
    "directory": "paths:load_directory",
    "pickle": "pickles:load",
}
"""`module:function` by the `format` of a reference."""

_loaded: dict[str, Callable[..., Any]] = {}
_dumper_of: dict[type, str | None] = {}


def dump(value: Any, codec: ValueCodec, *, pickle_only: bool = False) -> Any:
    """JSON (mostly a reference) for a value that JSON cannot hold. The last resort is pickle."""
    name = None if pickle_only else _dumper(type(value))
    if name is not None:
        node = _function(f"{name}:dump")(value, codec)
        if node is not None:
            return node
    return _function("pickles:dump")(value, codec)


def load(node: dict[str, Any], codec: ValueCodec) -> Any:
    """The value behind a reference."""
    name = LOADERS.get(str(node.get("format")))
    if name is None:
        raise ValueNotLoadable(
            f"an artifact has the unknown format {node.get('format')!r}; known are {', '.join(LOADERS)} and json",
            hint="it was written by a newer Skylift: upgrade this one",
        )
    try:
        return _function(name)(node, codec)
    except ImportError as error:
        raise ValueNotLoadable(
            f"an artifact of type {node.get('type')} cannot be loaded: {error}",
            hint=f"install {getattr(error, 'name', None) or 'the missing package'} where this step runs",
        ) from error


def _dumper(cls: type) -> str | None:
    try:
        return _dumper_of[cls]
    except KeyError:
        names = (f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__)
        found = _dumper_of[cls] = next((DUMPERS[name] for name in names if name in DUMPERS), None)
        return found


def _function(name: str) -> Callable[..., Any]:
    function = _loaded.get(name)
    if function is None:
        module, _, attribute = name.partition(":")
        full = f"{_PACKAGE}.{module}"
        function = _loaded[name] = getattr(sys.modules.get(full) or import_module(full), attribute)
    return function


def type_name(value: Any) -> str:
    cls = type(value)
    return f"{cls.__module__}.{cls.__qualname__}"
