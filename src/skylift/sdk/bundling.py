"""Making the code bundle of a pipeline: the project's files that it needs, or, without a file, its code by value."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from skylift.sdk.local_modules import local_files, project_root

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore
    from skylift.sdk.pipeline import Pipeline


def make_bundle(pipeline: Pipeline[..., Any], blobs: BlobStore) -> str:
    """Store the code that the tasks need; the bundle's digest. The same code always gives the same digest."""
    from skylift.values.bundle import write_manifest

    modules = _modules(pipeline)
    main = _main_name() if "__main__" in modules else None
    stored = {place: blobs.put(path.read_bytes()) for place, path in bundle_files(pipeline).items()}
    pickled = {} if main is not None else _by_value(_targets(pipeline), blobs)
    return write_manifest(blobs, files=stored, pickled=pickled, main=main)


def bundle_files(pipeline: Pipeline[..., Any]) -> dict[str, Path]:
    """The files that go into the bundle, by their place below the project's root."""
    files: dict[str, Path] = {}
    for name in sorted(_modules(pipeline)):
        module = sys.modules.get(name)
        if module is None or _file_of(module) is None or name.partition(".")[0] == "skylift":
            continue  # tasks that come with Skylift are there wherever a worker is
        root = project_root(module)
        for path in local_files(module, root):
            files.setdefault(path.relative_to(root).as_posix(), path)
    return dict(sorted(files.items()))


def _targets(pipeline: Pipeline[..., Any]) -> list[str]:
    return [spec.target for spec in pipeline.compile().all_tasks().values()]


def _modules(pipeline: Pipeline[..., Any]) -> set[str]:
    return {target.partition(":")[0] for target in _targets(pipeline)} | {pipeline.module}


def _main_name() -> str | None:
    """The module that `__main__` stands for, if it is a file that can be imported by its name."""
    module = sys.modules["__main__"]
    file = _file_of(module)
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name and not spec.name.endswith("__main__"):
        return str(spec.name)
    if file is None or not file.stem.isidentifier():
        return None
    return file.stem


def _file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file and Path(file).is_file() else None


def _by_value(targets: Iterable[str], blobs: BlobStore) -> dict[str, str]:
    """Tasks of a notebook or prompt: pickled together, so that they go on sharing the session's variables."""
    from skylift.values.bundle import pickle_namespace

    names = sorted(target.partition(":")[2] for target in targets if target.startswith("__main__:"))
    if not names:
        return {}
    main = sys.modules["__main__"]
    found = {name: _walk(main, name) for name in names}
    digest = blobs.put(pickle_namespace({name: value for name, value in found.items() if value is not None}))
    return dict.fromkeys(names, digest)


def _walk(owner: Any, qualname: str) -> Any:
    for part in qualname.split("."):
        owner = getattr(owner, part, None)
    return getattr(owner, "function", owner)
