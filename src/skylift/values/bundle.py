"""Code bundles: the user's code as blobs, so that a run keeps the code it was started with.

A bundle is a manifest, a JSON blob that names other blobs: source files by their place below the project's root, and
objects pickled by value for what has no file (`__main__` of a notebook or a prompt). `sdk.bundling` decides what goes
in; how it is written and read stands here.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from skylift.ports.blobs import BlobStore
from skylift.values.resolver import ImportResolver, import_module, walk
from skylift.values.tags import ValueNotLoadable, ValueNotStorable

FORMAT = 1
_REDO = "start the run again to bundle the code anew"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a bundle holds."""

    format: int = FORMAT
    main: str | None = None
    """The module that `__main__` stands for: `faces` for a program started as `python faces.py`."""
    files: dict[str, str] = {}
    """Digest by path below the root, with forward slashes."""
    paths: tuple[str, ...] = (".",)
    """Folders below the root that go on `sys.path`, in this order."""
    pickled: dict[str, str] = {}
    """Digest by qualified name in `__main__`: a blob made by `pickle_namespace` that holds this name, among others."""
    python: str = ""
    """`3.11`: by-value code needs the very same."""


def write_manifest(
    blobs: BlobStore,
    *,
    files: Mapping[str, str],
    pickled: Mapping[str, str] | None = None,
    main: str | None = None,
    paths: Sequence[str] = (".",),
) -> str:
    """Store a manifest of blobs that are stored already; the bundle's digest (the same for the same content)."""
    for path in (*files, *paths):
        _check_path(path)
    manifest = Manifest(
        main=main,
        files=dict(sorted(files.items())),
        paths=tuple(paths),
        pickled=dict(sorted((pickled or {}).items())),
        python=_python() if pickled else "",
    )
    return blobs.put(msgspec.json.encode(manifest))


def pickle_namespace(objects: Mapping[str, Any]) -> bytes:
    """Functions and classes of `__main__` by value, by qualified name. Those pickled together go on sharing their
    module's variables. Further classes of `__main__` come along, so that values of them stay visible JSON."""
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps({**_main_classes(), **objects}, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise ValueNotStorable(
            f"the code of {', '.join(objects)} cannot be sent to a worker: {type(error).__name__}: {error}",
            hint="open files, connections and locks inside the task instead of at the top of the program",
        ) from error
    return data


def _main_classes() -> dict[str, type]:
    """Classes defined at the prompt or in the notebook, those left out that cannot be pickled."""
    import cloudpickle

    found: dict[str, type] = {}
    for name, value in sorted(vars(sys.modules["__main__"]).items()):
        if isinstance(value, type) and value.__module__ == "__main__" and value.__qualname__ == name:
            try:
                cloudpickle.dumps(value)
            except Exception:  # noqa: BLE001  a class may refuse in any way, and only its values miss it
                continue
            found[name] = value
    return found


def read_manifest(digest: str, blobs: BlobStore) -> Manifest:
    try:
        manifest = msgspec.json.decode(blobs.get(digest), type=Manifest)
    except msgspec.DecodeError as error:
        raise ValueNotLoadable(f"{digest} is not a code bundle: {error}", hint=_REDO) from error
    if manifest.format > FORMAT:
        raise ValueNotLoadable(
            f"code bundle {digest} has format {manifest.format}, this Skylift knows {FORMAT}",
            hint="upgrade Skylift here",
        )
    for path in (*manifest.files, *manifest.paths):
        _check_path(path)
    return manifest


def bundle_blobs(digest: str, blobs: BlobStore) -> set[str]:
    """All blobs that a bundle needs, its manifest included."""
    manifest = read_manifest(digest, blobs)
    return {digest, *manifest.files.values(), *manifest.pickled.values()}


class Bundle:
    """A bundle made usable in this process.

    Python has one table of modules for a process, so one bundle is active at a time: `activate` (and `resolve`, which
    calls it) takes the paths and modules of the bundle that was active out of the way and brings this one's back.
    Functions of the other one still run, but what they import late comes from the active bundle. So a pool of worker
    processes keys its workers by bundle: one worker process serves one bundle for its life.
    """

    _active: Bundle | None = None
    _switch = threading.RLock()

    def __init__(self, digest: str, manifest: Manifest, root: Path, blobs: BlobStore) -> None:
        self.digest = digest
        self.manifest = manifest
        self.root = root
        self._blobs = blobs
        self._modules: dict[str, Any] = {}
        self._namespaces: dict[str, dict[str, Any]] = {}
        self._resolved: dict[str, Any] = {}

    @classmethod
    def load(cls, digest: str, blobs: BlobStore, cache_dir: str | os.PathLike[str]) -> Bundle:
        """Fetch a bundle; its files are laid out once under `cache_dir/<digest>`, safely beside other processes."""
        manifest = read_manifest(digest, blobs)
        root = Path(cache_dir) / digest
        if not all((root / path).exists() for path in manifest.files) or not root.exists():
            _lay_out(manifest, root, blobs)
        return cls(digest, manifest, root.resolve(), blobs)

    def activate(self) -> None:
        """Make this bundle the one whose modules are imported."""
        if Bundle._active is self:
            return
        with Bundle._switch:
            if Bundle._active is not None:
                Bundle._active.deactivate()
            sys.path[:0] = self._search_paths()
            sys.modules.update(self._modules)
            Bundle._active = self
            if "importlib" in sys.modules:
                sys.modules["importlib"].invalidate_caches()

    def deactivate(self) -> None:
        """Take this bundle's paths and modules out of the process's tables."""
        with Bundle._switch:
            if Bundle._active is not self:
                return
            own = set(self._search_paths())
            sys.path[:] = [path for path in sys.path if path not in own]
            self._modules = {name: module for name, module in list(sys.modules.items()) if self._holds(module)}
            for name in self._modules:
                del sys.modules[name]
            Bundle._active = None

    def resolve(self, target: str) -> Any:
        """The object that `module:qualname` names; code without a file is `__main__:qualname`."""
        self.activate()
        try:
            return self._resolved[target]
        except KeyError:
            found = self._resolved[target] = self._resolve(target)
            return found

    def resolver(self) -> BundleResolver:
        """For `ValueCodec(resolver=…)`."""
        return BundleResolver(self)

    def _resolve(self, target: str) -> Any:
        module, _, qualname = target.partition(":")
        if module == "__main__":
            found = self.by_value(qualname)
            if found is not None:
                return found
            if self.manifest.main is None:
                raise ValueNotLoadable(f"{target} is not in this run's code bundle", hint=_REDO)
            module = self.manifest.main
        if module not in sys.modules:
            import_module(module, target)
        found = walk(sys.modules[module], qualname)
        if found is None:
            raise ValueNotLoadable(
                f"{target} is not in this run's code: {module} has no {qualname!r}",
                hint="a task must be defined at the top of its module; " + _REDO,
            )
        return found

    def by_value(self, qualname: str) -> Any:
        """What was pickled as `__main__:qualname`, or came along with it; None if there is no such thing."""
        first = qualname.partition(".")[0]
        for digest in sorted(set(self.manifest.pickled.values())):
            if digest not in self._namespaces:
                self._namespaces[digest] = self._unpickle(digest, qualname)
            namespace = self._namespaces[digest]
            if qualname in namespace:
                return namespace[qualname]
            if first in namespace:
                return walk(namespace[first], qualname.partition(".")[2])
        return None

    def _unpickle(self, digest: str, wanted: str) -> dict[str, Any]:
        if self.manifest.python != _python():
            raise ValueNotLoadable(
                f"__main__:{wanted} was sent by value from Python {self.manifest.python}; this is Python {_python()}",
                hint="use the same Python on both sides, or put the code into a file",
            )
        try:
            namespace: dict[str, Any] = pickle.loads(self._blobs.get(digest))  # noqa: S301
        except Exception as error:
            raise ValueNotLoadable(
                f"the code of __main__:{wanted} cannot be loaded: {type(error).__name__}: {error}",
                hint="install what it imports where this step runs",
            ) from error
        return namespace

    def _search_paths(self) -> list[str]:
        return [os.path.normpath(self.root / path) for path in self.manifest.paths]

    def _holds(self, module: Any) -> bool:
        places = [getattr(module, "__file__", None), *_package_paths(module)]
        return any(isinstance(place, str) and place.startswith(f"{self.root}{os.sep}") for place in places)


class BundleResolver:
    """Names of classes as a worker sees them: those of the bundle first, then what is installed."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._imports = ImportResolver()

    def name(self, thing: Any) -> str | None:
        qualname = getattr(thing, "__qualname__", "")
        if getattr(thing, "__module__", None) == "__main__" and self._bundle.manifest.pickled:
            return f"__main__:{qualname}" if self._bundle.by_value(qualname) is thing else None
        return self._imports.name(thing)

    def find(self, name: str) -> Any:
        return self._bundle.resolve(name)


def _lay_out(manifest: Manifest, root: Path, blobs: BlobStore) -> None:
    """Write all files beside the final place and rename; whoever comes second finds the first one's."""
    import tempfile

    root.parent.mkdir(parents=True, exist_ok=True)
    temp = Path(tempfile.mkdtemp(prefix=".laying-out-", dir=root.parent))
    try:
        for path, digest in manifest.files.items():
            target = temp / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(blobs.get(digest))
        temp.chmod(0o755)
        try:
            temp.rename(root)
        except OSError:
            if all((root / path).exists() for path in manifest.files):
                return
            root.rename(temp.with_name(temp.name + "-incomplete"))
            temp.rename(root)
    finally:
        shutil.rmtree(temp, ignore_errors=True)
        shutil.rmtree(temp.with_name(temp.name + "-incomplete"), ignore_errors=True)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or ".." in parts or "\0" in path or not path:
        raise ValueNotLoadable(f"a code bundle may only hold paths below its root, not {path!r}")


def _package_paths(module: Any) -> list[Any]:
    try:
        return list(getattr(module, "__path__", ()) or ())
    except Exception:  # noqa: BLE001  a user's module object may do anything
        return []


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
