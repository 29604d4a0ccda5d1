"""The generators of random numbers that a training draws from: Python's, NumPy's, PyTorch's, and its own."""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Iterator
from typing import Any

from skylift.values.tags import ValueNotLoadable

_WORDS = struct.Struct("<625I")

State = dict[str, Any]
"""State by generator."""


class Randomness:
    """All generators of a session. The global ones of Python, NumPy and PyTorch belong to it once they are there."""

    def __init__(self) -> None:
        self._own: dict[str, Any] = {}
        self._pending: State = {}

    def add(self, name: str, generator: Any) -> None:
        """A generator of the training's own. One that a state was put into before it came gets its part now."""
        if any(generator is known for known in self._own.values()):
            return
        self._own[name] = generator
        if name in self._pending:
            _put_own(generator, self._pending.pop(name))

    def get(self) -> State:
        state: State = {"python": _python_state()}
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        if numpy is not None:
            name, keys, *rest = numpy.random.get_state()
            state["numpy"] = [name, keys.tobytes(), *rest] if name == "MT19937" else [name, keys, *rest]
        if torch is not None:
            state["torch"] = torch.get_rng_state()
            if torch.cuda.is_available() and torch.cuda.is_initialized():
                state["cuda"] = torch.cuda.get_rng_state_all()
        return state | {f"own:{name}": _get_own(generator) for name, generator in self._own.items()}

    def put(self, state: State) -> None:
        _put_python(state["python"])
        if "numpy" in state:
            import numpy

            name, keys, *rest = state["numpy"]
            words = numpy.frombuffer(keys, numpy.uint32) if isinstance(keys, bytes) else keys
            numpy.random.set_state((name, words, *rest))
        if "torch" in state:
            import torch

            torch.set_rng_state(state["torch"])
            if "cuda" in state and torch.cuda.is_available():
                _put_cuda(torch, state["cuda"])
        own = {key.removeprefix("own:"): part for key, part in state.items() if key.startswith("own:")}
        self._pending = {name: part for name, part in own.items() if name not in self._own}
        for name, generator in self._own.items():
            if name in own:
                _put_own(generator, own[name])


def is_generator(thing: Any) -> bool:
    return isinstance(thing, random.Random) or _is_torch(thing) or _is_numpy(thing)


def generators_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """Those that a PyTorch loader or sampler draws from, by where they are in it."""
    places: list[tuple[str, Any]] = [("", thing)]
    for name in ("sampler", "batch_sampler"):
        inner = getattr(thing, name, None)
        if inner is not None:
            places += [(f".{name}", inner), (f".{name}.sampler", getattr(inner, "sampler", None))]
    for place, holder in places:
        generator = getattr(holder, "generator", None)
        if generator is not None and is_generator(generator):
            yield f"{place}.generator", generator


def _python_state() -> list[Any]:
    return _packed(random.getstate())


def _packed(state: tuple[Any, ...]) -> list[Any]:
    version, words, gauss = state
    return [version, _WORDS.pack(*words), gauss]


def _put_python(state: list[Any]) -> None:
    random.setstate(_unpacked(state))


def _unpacked(state: list[Any]) -> tuple[Any, ...]:
    version, words, gauss = state
    return version, _WORDS.unpack(words), gauss


def _put_cuda(torch: Any, states: list[Any]) -> None:
    """On as many devices as there are here: a machine with more or fewer goes on as well as it can."""
    for device, state in zip(range(torch.cuda.device_count()), states, strict=False):
        torch.cuda.set_rng_state(state, device)


def _is_torch(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.Generator)


def _is_numpy(thing: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(thing, numpy.random.Generator | numpy.random.RandomState)


def _get_own(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return _packed(generator.getstate())
    if _is_torch(generator):
        return generator.get_state()
    bits = getattr(generator, "bit_generator", None)
    return generator.get_state(legacy=False) if bits is None else bits.state


def _put_own(generator: Any, state: Any) -> None:
    try:
        if isinstance(generator, random.Random):
            generator.setstate(_unpacked(state))
        elif _is_torch(generator) or not hasattr(generator, "bit_generator"):
            generator.set_state(state)
        else:
            generator.bit_generator.state = state
    except (TypeError, ValueError, RuntimeError, KeyError, struct.error) as error:
        raise ValueNotLoadable(
            f"the state of a {type(generator).__name__} in the checkpoint is of another kind of generator: {error}",
            hint="use the same generator as before, or give the session another key=",
        ) from error
