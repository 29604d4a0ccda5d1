"""PyTorch tensors and state dictionaries as safetensors; modules and odd tensors by `torch.save`.

Safetensors hold no code. `torch.save` files of tensors are read with `weights_only`; a whole module is a pickle and is
read only where user code may run.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

from skylift.values.formats import type_name
from skylift.values.tags import ValueNotLoadable, digest_of, reference

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec

_SINGLE = "tensor"


def dump(value: Any, codec: ValueCodec) -> dict[str, Any] | None:
    """None (pickle) for an OrderedDict that is no state dictionary."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(value, torch.nn.Module):
        return _dump_saved(value, codec, weights_only=False)
    if isinstance(value, dict) and not (value and all(_is_weight(torch, item) for item in value.items())):
        return None
    if type(value) is torch.Tensor:
        tensors = {_SINGLE: value}
    elif isinstance(value, dict):
        tensors = dict(value)
    else:
        return _dump_saved(value, codec, weights_only=True)
    return _dump_safe(value, tensors, codec) or _dump_saved(value, codec, weights_only=True)


def load_safetensors(node: dict[str, Any], codec: ValueCodec) -> Any:
    from safetensors.torch import load_file

    tensors = load_file(codec.blobs.local_path(digest_of(node)))
    if node.get("single"):
        return tensors[_SINGLE]
    if node.get("type") == "collections.OrderedDict":
        from collections import OrderedDict

        return OrderedDict((name, tensors[name]) for name in node.get("order", tensors))
    return tensors


def load_torch(node: dict[str, Any], codec: ValueCodec) -> Any:
    import torch

    weights_only = bool(node.get("weights_only", True))
    if not weights_only and not codec.allow_pickle:
        raise ValueNotLoadable(
            f"a {node.get('type')} holds code, which this process does not load",
            hint="return `model.state_dict()` instead of the module",
        )
    data = io.BytesIO(codec.blobs.get(digest_of(node)))
    return torch.load(data, map_location="cpu", weights_only=weights_only)


def _is_weight(torch: Any, item: tuple[Any, Any]) -> bool:
    return type(item[0]) is str and type(item[1]) is torch.Tensor


def _dump_safe(value: Any, tensors: dict[str, Any], codec: ValueCodec) -> dict[str, Any] | None:
    """None for what safetensors cannot say: gradients, sparse or complex tensors, shared memory."""
    try:
        from safetensors.torch import save
    except ImportError:
        return None
    if any(tensor.requires_grad or tensor.layout is not sys.modules["torch"].strided for tensor in tensors.values()):
        return None
    try:
        data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    except (RuntimeError, ValueError, KeyError):
        return None
    facts: dict[str, Any] = {"single": True} if type(value).__module__ == "torch" else {"order": list(tensors)}
    digest = codec.blobs.put(data)
    return reference(digest, format="safetensors", type=type_name(value), size=len(data), **facts)


def _dump_saved(value: Any, codec: ValueCodec, *, weights_only: bool) -> dict[str, Any]:
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    data = buffer.getbuffer()
    digest = codec.blobs.put(data)
    return reference(digest, format="torch", type=type_name(value), size=len(data), weights_only=weights_only)
