"""From a class to the name that stands for it in JSON, and back."""

from __future__ import annotations

import os
import sys
from typing import Any, Protocol

from skylift.values.tags import ValueNotLoadable


class Resolver(Protocol):
    """Where user code lives. Used in workers and in the SDK only; a server's codec has none."""

    def name(self, thing: Any) -> str | None:
        """`module:qualname` for a class or function that `find` gives back as the very same object; else None."""
        ...

    def find(self, name: str) -> Any:
        """The object; ValueNotLoadable if there is none."""
        ...


def program_name() -> str | None:
    """The module that `__main__` is when imported: `faces` for `python faces.py`; None at a prompt or in a notebook."""
    module = sys.modules["__main__"]
    spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
    if spec is not None and spec.name and not spec.name.endswith("__main__"):
        return str(spec.name)
    stem = os.path.splitext(os.path.basename(file))[0] if file and os.path.isfile(file) else ""  # noqa: PTH113, PTH119, PTH122
    return stem if stem.isidentifier() and stem != "__main__" else None


def lookup(module: str, qualname: str) -> Any:
    """An object by its place; this program's own if the module is this program. What pickles call."""
    return ImportResolver(program_name()).find(f"{module}:{qualname}")


class ImportResolver:
    """Names as Python imports them.

    `main` is what `__main__` is called elsewhere (`faces` for a program started as `python faces.py`): names are given
    under it, so that a worker that imports `faces` and this program mean the same class.
    """

    def __init__(self, main: str | None = None) -> None:
        self.main = main
        self._names: dict[Any, str | None] = {}
        self._found: dict[str, Any] = {}

    def name(self, thing: Any) -> str | None:
        try:
            return self._names[thing]
        except KeyError:
            name = self._names[thing] = self._name(thing)
            return name

    def _name(self, thing: Any) -> str | None:
        module, qualname = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
        if module not in sys.modules or qualname is None or walk(sys.modules[module], qualname) is not thing:
            return None
        return f"{self.main if module == '__main__' and self.main else module}:{qualname}"

    def find(self, name: str) -> Any:
        try:
            return self._found[name]
        except KeyError:
            found = self._found[name] = self._find(name)
            return found

    def _find(self, name: str) -> Any:
        module, _, qualname = name.partition(":")
        if module == self.main:
            own = walk(sys.modules["__main__"], qualname)
            if own is not None:
                return own
        if module not in sys.modules:
            import_module(module, name)
        found = walk(sys.modules[module], qualname)
        if found is None:
            raise ValueNotLoadable(
                f"module {module} has no {qualname!r}, but a stored value is of type {name}",
                hint="the code has changed since the value was made; bring the class back or run the step again",
            )
        return found


def import_module(module: str, wanted: str) -> None:
    from importlib import import_module as load

    try:
        load(module)
    except Exception as error:
        raise ValueNotLoadable(
            f"{wanted} cannot be found: importing {module} failed: {type(error).__name__}: {error}",
            hint="install the missing package where this runs, or put the module beside the pipeline's file",
        ) from error


def walk(start: Any, qualname: str) -> Any:
    """Follow a dotted name; None where it leads nowhere (a class inside a function)."""
    found = start
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
