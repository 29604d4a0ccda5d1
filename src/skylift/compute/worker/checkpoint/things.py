"""What a session keeps: how the state of each kind of object is taken and put back into it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skylift.compute.worker.checkpoint.randomness import Randomness, generators_of, is_generator
from skylift.errors import AuthorError
from skylift.values.files import Directory, File
from skylift.values.tags import ValueNotStorable


class CheckpointMismatch(AuthorError):
    """A checkpoint holds other things than the code that goes on from it."""

    code = "CHECKPOINT-MISMATCH"


class Thing:
    """One object of a session: `get` gives its state, `put` puts one back into the same object."""

    def __init__(self, get: Callable[[], Any], put: Callable[[Any], object]) -> None:
        self.get = get
        self.put = put


class Things:
    """All objects of a session, by name."""

    def __init__(self, named: dict[str, Any], randomness: Randomness) -> None:
        self._kept: dict[str, Thing] = {}
        for name, value in named.items():
            if value is None:
                continue
            for place, generator in _generators(value):
                randomness.add(f"{name}{place}", generator)
            thing = thing_of(value)
            if thing is not None:
                self._kept[name] = thing
            elif not any(True for _ in _generators(value)):
                raise _not_kept(name, value)

    def get(self) -> dict[str, Any]:
        return {name: thing.get() for name, thing in self._kept.items()}

    def put(self, state: dict[str, Any], where: str) -> None:
        if set(state) != set(self._kept):
            raise CheckpointMismatch(
                f"the checkpoint at {where} holds {_list(state)}, but this session keeps {_list(self._kept)}",
                hint="keep the same things as before, or give the session another key= to start anew",
            )
        for name, thing in self._kept.items():
            try:
                thing.put(state[name])
            except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
                raise CheckpointMismatch(
                    f"`{name}` does not take its state from the checkpoint at {where}: {error}",
                    hint="make it as it was when it was saved, or give the session another key= to start anew",
                ) from error


def thing_of(value: Any) -> Thing | None:
    """How to keep an object; None for what has no state, or none that could be put back."""
    if callable(getattr(value, "state_dict", None)) and callable(getattr(value, "load_state_dict", None)):
        return Thing(value.state_dict, value.load_state_dict)
    if isinstance(value, list | tuple) and value and all(_has_state(item) for item in value):
        return _several([thing for item in value if (thing := thing_of(item)) is not None])
    if type(value) is dict:
        return Thing(lambda: value, lambda state: _refill(value, state))
    if type(value) is list:
        return Thing(lambda: value, lambda state: value.__setitem__(slice(None), state))
    if isinstance(value, Path | File | Directory):
        return _files(Path(value))
    return _numbers(value)


def _refill(value: dict[Any, Any], state: dict[Any, Any]) -> None:
    value.clear()
    value.update(state)


def _numbers(value: Any) -> Thing | None:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return Thing(lambda: value, lambda state: value.detach().copy_(state))
    if numpy is not None and isinstance(value, numpy.ndarray):
        return Thing(lambda: value, lambda state: numpy.copyto(value, state))
    return None


def _several(things: list[Thing]) -> Thing:
    def put(states: list[Any]) -> None:
        for thing, state in zip(things, states, strict=True):
            thing.put(state)

    return Thing(lambda: [thing.get() for thing in things], put)


def _files(path: Path) -> Thing:
    """A file or folder. What does not exist yet is kept as nothing."""

    def get() -> File | Directory | None:
        return Directory(path) if path.is_dir() else File(path) if path.is_file() else None

    def put(state: File | Directory | None) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if state is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(state.path, path)
            if path.is_file():
                path.chmod(0o644)

    return Thing(get, put)


def _has_state(value: Any) -> bool:
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def _generators(value: Any) -> list[tuple[str, Any]]:
    return [("", value)] if is_generator(value) else list(generators_of(value))


def _not_kept(name: str, value: Any) -> ValueNotStorable:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return ValueNotStorable(
        f"a session cannot keep `{name}`, a {kind}: its state could not be put back into it",
        hint="give what has state_dict() and load_state_dict(), a dict, a list, an array, a generator of random "
        "numbers or a path; numbers and text belong into `saved.state`",
    )


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"
