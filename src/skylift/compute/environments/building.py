"""Virtual environments by the content of their document: built once, shared by tasks, runs and processes.

An environment is complete when its mark lies in it, which is written last and by renaming. Whoever builds one holds the
lock of its key; what another one left half-built is thrown away first. The mark's time is when it was last asked for.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.compute.environments.ours import conflicts, link_ours, needed_for, pinned
from skylift.compute.environments.uv import ToolFailed, install, make_venv
from skylift.errors import SetupError
from skylift.ports.environments import EnvironmentSpec

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore

_MARK = "skylift-environment.json"
_LEAST_UNUSED_S = 3600.0
_STAMP_S = 60.0
_OF_THE_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_ROOM = "make room there, and see that whoever runs Skylift may write there"


class EnvironmentFailed(SetupError):
    """The packages of a task cannot be installed, or do not go together with Skylift."""

    code = "ENVIRONMENT"


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a complete environment."""

    spec: str
    """Digest of the document."""
    bytes: int
    """Size of its packages, unzipped, without Skylift's own."""


def write_spec(spec: EnvironmentSpec, blobs: BlobStore) -> str:
    """Store a document; its digest."""
    return blobs.put(msgspec.json.encode(spec))


def read_spec(digest: str, blobs: BlobStore) -> EnvironmentSpec:
    """The document; BlobMissing when there is none, EnvironmentFailed when it is something else."""
    try:
        return msgspec.json.decode(blobs.get(digest), type=EnvironmentSpec)
    except msgspec.DecodeError as problem:
        raise EnvironmentFailed(
            f"{digest} is not the document of an environment: {problem}", hint="start the run again"
        ) from None


def environment_python(
    digest: str, blobs: BlobStore, cache_dir: str | os.PathLike[str], *, withheld: Collection[str] = ()
) -> Path:
    """The interpreter of an environment, which is built under `cache_dir` if it is not there yet (that may take
    minutes). Skylift and its base dependencies can be imported with it, nothing else of what is installed here.

    Safe beside other threads and processes. Code of packages that are built for it does not see the variables
    `withheld`. Raises EnvironmentFailed in the words of the tool that installs.
    """
    return environment_root(digest, blobs, cache_dir, withheld=withheld) / "bin" / "python"


def environment_root(
    digest: str, blobs: BlobStore, cache_dir: str | os.PathLike[str], *, withheld: Collection[str] = ()
) -> Path:
    """The folder of the virtual environment, complete; see `environment_python`."""
    cache = Path(cache_dir).resolve()
    also = needed_for(blobs.url)
    root = cache / _key(digest, also)
    try:
        if _is_complete(root):
            return root
        spec = read_spec(digest, blobs)
        refuse_python(spec)
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(root) as lock:
            if not _is_complete(root):
                _build(root, digest, spec, also, withheld, lock)
    except OSError as problem:
        raise EnvironmentFailed(
            f"nothing can be written into {cache}: {problem.strerror or problem}", hint=_ROOM
        ) from problem
    return root


def built_size(digest: str, blobs: BlobStore, cache_dir: str | os.PathLike[str]) -> int:
    """Bytes of its packages, unzipped. Builds it if need be."""
    root = environment_root(digest, blobs, cache_dir)
    return msgspec.json.decode((root / _MARK).read_bytes(), type=_Mark).bytes


def refuse_python(spec: EnvironmentSpec) -> None:
    """Raises EnvironmentFailed for an environment of another Python: pipelines, values and Skylift are this one's."""
    if spec.python is not None and spec.python != this_python():
        raise EnvironmentFailed(
            f"the environment is for Python {spec.python}, and tasks run with Python {this_python()} here",
            hint=f"run Skylift with Python {spec.python}, or run the task in an image of its own (`image=`)",
        )


def this_python() -> str:
    """`3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def drop_unused(cache_dir: str | os.PathLike[str], before_ms: int, *, dry_run: bool = False) -> tuple[int, int]:
    """Remove environments not asked for since `before_ms`, and what was left half-built; how many, and their bytes."""
    count = freed = 0
    before_s = min(before_ms / 1000, time.time() - _LEAST_UNUSED_S)
    cache = Path(cache_dir)
    for root in sorted(cache.iterdir()) if cache.is_dir() else ():
        if not root.is_dir() or len(root.name) != 64:
            continue
        with _locked(root, wait=False) as got:
            if got is None or _last_used_s(root) >= before_s:
                continue
            count, freed = count + 1, freed + _size(root)
            if not dry_run:
                _remove(root)
    return count, freed


def _key(digest: str, also: str | None) -> str:
    """Where an environment lies: by its document and by all that it is built with."""
    built_with = [
        digest,
        also or "",
        sys.implementation.cache_tag,
        sysconfig.get_platform(),
        os.path.realpath(sys.executable),
    ]
    return hashlib.sha256("\n".join(map(str, built_with)).encode()).hexdigest()


def _is_complete(root: Path) -> bool:
    mark = root / _MARK
    try:
        if time.time() - mark.stat().st_mtime > _STAMP_S:
            with contextlib.suppress(PermissionError):  # somebody else's, who lends it
                os.utime(mark)
    except FileNotFoundError:
        return False
    link = next(root.glob("lib/python*/site-packages/skylift_base.pth"), None)
    return link is not None and Path(link.read_text(encoding="utf-8").strip(), "skylift", "__init__.py").exists()


def _build(
    root: Path, digest: str, spec: EnvironmentSpec, also: str | None, withheld: Collection[str], lock: int | None
) -> None:
    _remove(root)
    _refuse_conflicts(pinned(spec.requirements))
    try:
        python = make_venv(root, lock)
        _install(python, root, spec, withheld, lock)
        base = link_ours(root.parent, also)
        (site_packages(root) / "skylift_base.pth").write_text(f"{base}\n", encoding="utf-8")
    except ToolFailed as problem:
        _remove(root)
        place = any(os.strerror(number) in str(problem) for number in _OF_THE_PLACE)
        raise EnvironmentFailed(
            f"the packages cannot be installed: {problem}",
            hint=_ROOM if place else "change the task's `environment`, or its lock file",
        ) from None
    except BaseException:
        _remove(root)
        raise
    mark = msgspec.json.encode(_Mark(spec=digest, bytes=_size(site_packages(root))))
    beside = root / f"{_MARK}.new"
    beside.write_bytes(mark)
    beside.rename(root / _MARK)


def _install(
    python: Path, root: Path, spec: EnvironmentSpec, withheld: Collection[str], lock: int | None = None
) -> None:
    if spec.requirements:
        listed = root / "requirements.txt"
        listed.write_text("\n".join(spec.requirements) + "\n", encoding="utf-8")
        install(python, listed, withheld, lock)
    site = site_packages(root)
    _refuse_conflicts(_installed(site))


def site_packages(root: Path) -> Path:
    """Where the packages of an environment lie."""
    return root / "lib" / f"python{this_python()}" / "site-packages"


def _installed(site: Path) -> dict[str, str]:
    from importlib.metadata import distributions

    from skylift.compute.environments.ours import normal

    return {normal(package.name): package.version for package in distributions(path=[str(site)])}


def _refuse_conflicts(versions: dict[str, str]) -> None:
    wrong = conflicts(versions)
    if wrong:
        raise EnvironmentFailed(
            "; ".join(wrong), hint="leave that package out of the environment, or ask for a version that both accept"
        )


@contextlib.contextmanager
def _locked(root: Path, *, wait: bool = True) -> Iterator[int | None]:
    """Alone with an environment, among all processes and threads: the lock, None where that is not so. Who builds there
    holds it too: of an engine that is killed the tool that installs goes on for a while."""
    fd = os.open(root.with_name(f"{root.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        try:
            yield fd
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # what the tool has left running must not hold it
    finally:
        os.close(fd)


def _last_used_s(root: Path) -> float:
    try:
        return (root / _MARK).stat().st_mtime
    except OSError:
        return 0.0  # nobody builds it, for we have its lock: it was left


def _remove(root: Path) -> None:
    """The mark first: what is half gone must not be taken for whole."""
    with contextlib.suppress(FileNotFoundError):
        (root / _MARK).unlink()
    shutil.rmtree(root, ignore_errors=True)


def _size(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(where, name).lstat().st_size
    return total
