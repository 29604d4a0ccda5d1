"""From a code reference to something that can be called: user code is loaded once per worker and stays loaded."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from skylift.errors import AuthorError, SetupError
from skylift.ports.compute import CodeRef

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore

_ANYTHING: Any = Any


class Function:
    """User code ready to be called, with the annotations its arguments and result travel by."""

    __slots__ = ("call", "parameters", "returns")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.parameters: dict[str, Any] = _annotations(call)
        self.returns: Any = self.parameters.pop("return", _ANYTHING)


class Loader:
    """Loads code from bundles or, without a bundle, from where this interpreter finds it.

    Module state stays between calls: what a task keeps in a module variable (a model, a connection) is there for the
    next call on the same worker. A worker serves one bundle only, so two versions of a module never meet.
    """

    def __init__(self, blobs: Callable[[], BlobStore], cache_dir: str, paths: tuple[str, ...]) -> None:
        self._blobs = blobs
        self._cache_dir = cache_dir
        self._paths = paths
        self._bundles: dict[str, Any] = {}
        self._functions: dict[tuple[str | None, str], Function] = {}

    def resolver(self, bundle: str | None) -> Any:
        """How values name classes of user code; None for the codec's own way."""
        loaded = None if bundle is None else self._bundles.get(bundle)
        return None if loaded is None else loaded.resolver()

    def function(self, code: CodeRef) -> Function:
        key = (code.bundle, code.target)
        found = self._functions.get(key)
        if found is None:
            found = self._functions[key] = Function(self._resolve(code))
        return found

    def _resolve(self, code: CodeRef) -> Callable[..., Any]:
        target = self._importable(code.target) if code.bundle is None else self._bundled(code.bundle, code.target)
        target = getattr(target, "__skylift_function__", target)
        if not callable(target):
            raise AuthorError(f"{code.target} is a {type(target).__name__}, not something that can be called")
        return target  # type: ignore[no-any-return]

    def _bundled(self, digest: str, target: str) -> Any:
        from pathlib import Path

        from skylift.values.bundle import Bundle

        bundle = self._bundles.get(digest)
        if bundle is None:
            bundle = self._bundles[digest] = Bundle.load(digest, self._blobs(), Path(self._cache_dir))
        return bundle.resolve(target)

    def _importable(self, target: str) -> Any:
        module_name, colon, names = target.partition(":")
        if not colon or not module_name or not names:
            raise SetupError(f"{target!r} does not name code", hint="write it as module:function")
        for path in reversed(self._paths):
            if path not in sys.path:
                sys.path.insert(0, path)
        found: Any = importlib.import_module(module_name)
        for name in names.split("."):
            try:
                found = getattr(found, name)
            except AttributeError:
                file = getattr(found, "__file__", None) or module_name
                raise AuthorError(
                    f"{target}: {file} has no {name!r}", hint="was it renamed after the run was started?"
                ) from None
        return found


def _annotations(call: Callable[..., Any]) -> dict[str, Any]:
    """Type hints by parameter name. Those that cannot be evaluated here count as missing."""
    while hasattr(call, "__wrapped__"):
        call = call.__wrapped__
    if isinstance(call, partial):
        call = call.func
    raw = getattr(call, "__annotations__", None) or getattr(getattr(call, "__call__", None), "__annotations__", None)  # noqa: B004
    if not isinstance(raw, dict) or not raw:
        return {}
    import typing

    try:
        return typing.get_type_hints(call, include_extras=True)
    except Exception:  # noqa: BLE001 - an annotation is user code; names under TYPE_CHECKING are not there
        return {name: hint for name, hint in raw.items() if not isinstance(hint, str)}
