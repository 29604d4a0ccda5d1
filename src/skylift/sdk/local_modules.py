"""Which modules are the project's own: files beside the pipeline's, not what is installed."""

from __future__ import annotations

import ast
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType


def project_root(module: ModuleType) -> Path:
    """The folder that a module's top-level package or file stands in."""
    file = Path(str(module.__file__)).resolve()
    name = module.__name__ if module.__name__ != "__main__" else file.stem
    spec = getattr(module, "__spec__", None)
    if module.__name__ == "__main__" and spec is not None and spec.name:
        name = spec.name
    depth = name.count(".") + (1 if file.name == "__init__.py" else 0)
    return file.parents[depth] if depth < len(file.parents) else file.parent


def local_files(module: ModuleType, root: Path) -> list[Path]:
    """The module's file and, transitively, the files below `root` that it imports, sorted."""
    start = Path(str(module.__file__)).resolve()
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting += [*_packages(path, root), *_imported(path, root)]
    return sorted(found)


def is_local(file: str | None) -> bool:
    """Is this file the user's, and not the standard library's, an installed package's or Skylift's own?"""
    return bool(file) and _is_local(str(file))


@lru_cache(maxsize=4096)
def _is_local(file: str) -> bool:
    path = os.path.realpath(file)
    return not any(path.startswith(place + os.sep) for place in _installed())


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    import skylift

    places = {*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()}
    skip = {os.path.realpath(sysconfig.get_path("scripts")), os.path.realpath(sysconfig.get_path("data"))}
    own = str(Path(str(skylift.__file__)).resolve().parent)
    return (*sorted({os.path.realpath(place) for place in places} - skip), own)


def _packages(path: Path, root: Path) -> Iterator[Path]:
    """The `__init__.py` files of the packages that a file is in."""
    for folder in path.parents:
        if folder == root or root not in folder.parents:
            return
        init = folder / "__init__.py"
        if init.is_file():
            yield init


def _imported(path: Path, root: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, OSError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(alias.name, root)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, path, root)
            if base is not None:
                yield from _files(base, root)
                for alias in node.names:
                    yield from _files(f"{base}.{alias.name}" if base else alias.name, root)


def _absolute(node: ast.ImportFrom, path: Path, root: Path) -> str | None:
    if not node.level:
        return node.module
    parts = list(path.relative_to(root).parent.parts)
    up = node.level - 1
    if up > len(parts):
        return None
    base = parts[: len(parts) - up]
    return ".".join([*base, *(node.module.split(".") if node.module else [])])


def _files(name: str, root: Path) -> Iterator[Path]:
    """Files below the root that importing this name would load."""
    if not name:
        return
    place = root
    for part in name.split("."):
        init = place / part / "__init__.py"
        module = place / f"{part}.py"
        if init.is_file():
            yield init.resolve()
        elif module.is_file():
            if is_local(str(module)):
                yield module.resolve()
            return
        elif not (place / part).is_dir():
            loaded = sys.modules.get(name)
            file = getattr(loaded, "__file__", None)
            if file and is_local(file) and root in Path(file).resolve().parents:
                yield Path(file).resolve()
            return
        place = place / part
