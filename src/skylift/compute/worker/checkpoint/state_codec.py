"""`ValueCodec` for states: tensors and arrays lie as raw numbers beside the JSON, and nothing is pickled."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, Protocol

from skylift.values.codec import ValueCodec
from skylift.values.formats import type_name
from skylift.values.resolver import ImportResolver, program_name
from skylift.values.tags import TYPE, ValueNotLoadable, ValueNotStorable

_TENSOR, _ARRAY, _NUMBER, _PAIRS = "checkpoint.tensor", "checkpoint.array", "checkpoint.number", "checkpoint.pairs"
_PLAIN_KINDS = "biufcmMSU"
_PAIR_TYPES: dict[str, Callable[[Any], Any]] = {
    "ordered": OrderedDict,
    "counter": lambda pairs: Counter(dict(pairs)),
    "int": lambda pairs: defaultdict(int, pairs),
    "float": lambda pairs: defaultdict(float, pairs),
    "list": lambda pairs: defaultdict(list, pairs),
    "dict": lambda pairs: defaultdict(dict, pairs),
    "set": lambda pairs: defaultdict(set, pairs),
    "none": lambda pairs: defaultdict(None, pairs),
}


class Add(Protocol):
    def __call__(self, size: int, copy: Callable[[memoryview], None], *, on_gpu: bool = False) -> int: ...


class StateCodec(ValueCodec):
    """Dumps with `add`, which takes parts in and numbers them; loads with `part`, which gives them back."""

    def __init__(self, blobs: Any, add: Add | None, part: Callable[[int], memoryview] | None = None) -> None:
        super().__init__(blobs, allow_pickle=False, resolver=ImportResolver(program_name()))
        self._add = add
        self._part = part
        self._encoders |= {OrderedDict: self._pairs, Counter: self._pairs, defaultdict: self._pairs}

    def _encode_other(self, value: Any) -> Any:
        torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
        if torch is not None and type(value) in (torch.Tensor, torch.nn.Parameter) and _is_dense(torch, value):
            return self._tensor(torch, value)
        if numpy is not None and isinstance(value, numpy.generic) and value.dtype.kind in _PLAIN_KINDS:
            return {**self._array(numpy, numpy.asarray(value)), TYPE: _NUMBER}
        if numpy is not None and type(value) in (numpy.ndarray, numpy.memmap) and _is_plain(value.dtype):
            return self._array(numpy, value)
        if torch is not None and type(value) is torch.Size:
            return self._encode(tuple(value))
        return super()._encode_other(value)

    def _encode_artifact(self, value: Any, *, pickle_only: bool = False) -> Any:
        node = None if pickle_only or _is_module(value) else super()._encode_artifact(value)
        if node is None or node.get("format") == "pickle":
            if type(value) in (list, dict, tuple):
                raise ValueNotStorable(
                    f"a checkpoint cannot hold a {type_name(value)} that is nested so deeply, or holds itself",
                    hint="keep flat lists and dicts of numbers, text, arrays and tensors",
                )
            raise ValueNotStorable(
                f"a checkpoint cannot hold a {type_name(value)}: nothing in it may be code",
                hint="keep its `state_dict()`, or numbers, text, lists, dicts, dataclasses, arrays, frames and files",
            )
        return node

    def _pairs(self, value: Any) -> Any:
        kind = "ordered" if type(value) is OrderedDict else "counter" if type(value) is Counter else None
        if kind is None:
            kind = "none" if value.default_factory is None else getattr(value.default_factory, "__name__", "")
        if kind not in _PAIR_TYPES:
            raise ValueNotStorable(
                f"a checkpoint cannot hold a defaultdict of {kind or 'a function'}", hint="keep a plain dict instead"
            )
        items = [[self._encode(key), self._encode(part)] for key, part in value.items()]
        return {TYPE: _PAIRS, "kind": kind, "items": items}

    def _tensor(self, torch: Any, value: Any) -> Any:
        def copy(target: memoryview) -> None:
            there = torch.frombuffer(target, dtype=value.dtype, count=value.numel()).view(value.shape)
            there.copy_(value.detach(), non_blocking=value.is_cuda)

        assert self._add is not None
        size = value.numel() * value.element_size()
        node: dict[str, Any] = {
            TYPE: _TENSOR,
            "dtype": str(value.dtype).removeprefix("torch."),
            "shape": list(value.shape),
        }
        if size:
            node["part"] = self._add(size, copy, on_gpu=value.is_cuda)
        if value.requires_grad:
            node["grad"] = True
        return node

    def _array(self, numpy: Any, value: Any) -> Any:
        def copy(target: memoryview) -> None:
            numpy.copyto(numpy.frombuffer(target, dtype=value.dtype).reshape(value.shape), value)

        assert self._add is not None
        node: dict[str, Any] = {TYPE: _ARRAY, "dtype": value.dtype.str, "shape": list(value.shape)}
        if value.nbytes:
            node["part"] = self._add(value.nbytes, copy)
        return node

    def _decode_tagged(self, node: dict[str, Any]) -> Any:
        tag = node[TYPE]
        if tag not in (_TENSOR, _ARRAY, _NUMBER, _PAIRS):
            return super()._decode_tagged(node)
        try:
            if tag == _TENSOR:
                return self._read_tensor(node)
            if tag == _PAIRS:
                pairs = [(self._decode(key), self._decode(part)) for key, part in node["items"]]
                return _PAIR_TYPES[node["kind"]](pairs)
            return self._read_array(node, number=tag == _NUMBER)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ValueNotLoadable(
                f"a {tag} of a checkpoint is not as Skylift writes it: {type(error).__name__}: {error}"
            ) from error

    def _read_tensor(self, node: dict[str, Any]) -> Any:
        import torch

        dtype = getattr(torch, node["dtype"])
        if not isinstance(dtype, torch.dtype):
            raise ValueError(f"no dtype: {node['dtype']}")
        tensor = torch.empty(node["shape"], dtype=dtype)
        if "part" in node:
            assert self._part is not None
            tensor = torch.frombuffer(self._part(node["part"]), dtype=dtype).view(node["shape"])
        return tensor.requires_grad_() if node.get("grad") else tensor

    def _read_array(self, node: dict[str, Any], *, number: bool) -> Any:
        import numpy

        dtype = numpy.dtype(node["dtype"])
        if dtype.hasobject:
            raise ValueError(f"no plain dtype: {dtype}")
        array = numpy.empty(node["shape"], dtype)
        if "part" in node:
            assert self._part is not None
            array = numpy.frombuffer(self._part(node["part"]), dtype).reshape(node["shape"])
        return array[()] if number else array


def _is_dense(torch: Any, value: Any) -> bool:
    return bool(value.layout is torch.strided and not value.is_quantized and value.device.type != "meta")


def _is_plain(dtype: Any) -> bool:
    return dtype.kind in _PLAIN_KINDS and dtype.fields is None and not dtype.metadata


def _is_module(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)
