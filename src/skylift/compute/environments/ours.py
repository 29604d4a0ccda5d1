"""What Skylift's worker needs in every environment: Skylift itself and its base dependencies, without anything else
that happens to be installed beside them."""

from __future__ import annotations

import hashlib
import importlib.metadata as metadata
import json
import os
import re
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r";.*\bextra\s*==")
_REACH = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs"}
_BOUND = re.compile(r"(>=|<=|==|!=|~=|<|>)\s*([0-9][0-9.]*)")


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def our_needs() -> dict[str, str]:
    """Base dependencies: requirement by package, as Skylift's own metadata says."""
    lines = [line for line in metadata.requires("skylift") or () if not _EXTRA.search(line)]
    return {normal(_name_of(line)): line for line in lines}


def needed_for(url: str) -> str | None:
    """The package that reaches artifacts at a URL, besides base dependencies."""
    return _REACH.get(url.partition("://")[0]) if "://" in url else None


@cache
def our_places(also: str | None = None) -> dict[str, Path]:
    """Where Skylift and its base dependencies lie, and those of `also`: real path by the name that is imported, or
    listed."""
    found: dict[str, Path] = {"skylift": Path(__file__).resolve().parents[2]}
    waiting, known = ["skylift", *([also] if also else [])], {"skylift"}
    while waiting:
        try:
            package = metadata.distribution(waiting.pop())
        except metadata.PackageNotFoundError:  # needed on another system only
            continue
        found.update({name: path for name, path in _entries(package).items() if name not in found})
        for line in package.requires or ():
            name = normal(_name_of(line))
            if not _EXTRA.search(line) and name not in known:
                known.add(name)
                waiting.append(name)
    return dict(sorted(found.items()))


def _entries(package: metadata.Distribution) -> dict[str, Path]:
    """Files and folders that it has put directly into site-packages."""
    tops = {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}
    root = Path(str(package.locate_file("")))
    return {top: (root / top).resolve() for top in tops if not top.endswith(".pth") and (root / top).exists()}


def link_ours(cache_dir: Path, also: str | None = None) -> Path:
    """A folder that holds just that, as links; the same for all environments."""
    return linked(cache_dir, "skylift", {name: str(path) for name, path in our_places(also).items()})


def linked(parent: Path, title: str, links: Mapping[str, str]) -> Path:
    """A folder of these links, by name. The same ones are made once, by whoever comes first."""
    folder = parent / f"{title}-{hashlib.sha256(json.dumps(dict(links)).encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=f".{title}-", dir=parent))
    made.chmod(0o755)
    for name, target in links.items():
        (made / name).symlink_to(target)
    try:
        made.rename(folder)
    except OSError:  # somebody else was quicker
        for link in made.iterdir():
            link.unlink()
        made.rmdir()
    return folder


def conflicts(versions: Mapping[str, str]) -> list[str]:
    """Which of these packages are versions that Skylift does not run with, in words."""
    needs = our_needs()
    return [
        f"{name}=={version} is asked for, and Skylift itself needs {needs[name].partition(';')[0].strip()}"
        for name, version in versions.items()
        if name in needs and not _allowed(version, needs[name])
    ]


def pinned(lines: tuple[str, ...]) -> dict[str, str]:
    """Version by package, of the lines that say `name==version`."""
    found = {}
    for line in lines:
        match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*==\s*([^\s;,*]+)\s*(?:[;\s]|$)", line)
        if match is not None:
            found[normal(match[1])] = match[2]
    return found


def _allowed(version: str, requirement: str) -> bool:
    """Our own requirements have lower and upper bounds only."""
    have = _parts(version)
    for sign, bound in _BOUND.findall(requirement.partition(";")[0]):
        if (sign == ">=" and have < _parts(bound)) or (sign == "<" and have >= _parts(bound)):
            return False
    return True


def _parts(version: str) -> tuple[int, ...]:
    numbers = re.match(r"[0-9]+(\.[0-9]+)*", version)
    parts = [] if numbers is None else [int(part) for part in numbers[0].split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _name_of(line: str) -> str:
    match = _NAME.match(line)
    return match[0] if match else line


def surroundings(python: Path, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of a process that runs in the environment of `python`: nothing that can be imported here may hide
    what is installed there, and its programs are found first."""
    kept = {name: value for name, value in inherited.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    path = f"{python.parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    return {**kept, "VIRTUAL_ENV": str(python.parents[1]), "PATH": path}
