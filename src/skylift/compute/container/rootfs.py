"""A root file system from the running interpreter: itself, its standard library, the shared libraries they need, and
the few programs that a prompt is no use without. Made without any network, as a tar file for a container engine."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

_FORM = "3"
"""Changes when what is made from the same interpreter changes."""
_TOOLS = (
    "sh", "bash", "cat", "chmod", "cp", "date", "df", "du", "echo", "env", "false", "find", "free", "grep", "head",
    "id", "kill", "less", "ln", "ls", "mkdir", "mv", "nproc", "ps", "pwd", "rm", "rmdir", "sed", "sleep", "sort",
    "stat", "stty", "tail", "tar", "test", "touch", "tr", "true", "uname", "vi", "wc", "which",
)  # fmt: skip
_LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "turtledemo", "ensurepip", "lib2to3", "site-packages", "dist-packages"}
)
_BESIDE = (
    "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libm.so.6", "libresolv.so.2", "libanl.so.1",
    "libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1", "libstdc++.so.6", "libgomp.so.1", "libz.so.1",
)  # fmt: skip
"""What packages from an index expect on every system."""
_EMPTY = ("tmp", "run", "var/tmp", "proc", "sys", "dev", "root", "skylift", "etc")
_LIBRARY = re.compile(rb"(?:=>\s*)?(/\S+)\s+\(0x[0-9a-f]+\)")


def python() -> str:
    """The interpreter's path, the same inside as here."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")


def words_elsewhere(root: str) -> list[str]:
    """How the interpreter is called where this root file system is mounted at `root`, in a system that may have other
    shared libraries or none: by its own loader, with its own libraries. PYTHONHOME is to be `home_elsewhere`."""
    libraries = _libraries([Path(python()), *_extensions()])
    loader = next(path for path in libraries if path.name.startswith("ld-"))
    folders = sorted({os.path.realpath(path.parent) for path in libraries})
    search = ":".join(f"{root}{folder}" for folder in folders)
    return [f"{root}{os.path.realpath(loader)}", "--library-path", search, f"{root}{python()}"]


def home_elsewhere(root: str) -> str:
    return f"{root}{sys.base_prefix}"


def digest() -> str:
    """The same interpreter, on the same system, gives the same digest."""
    parts = [_FORM, sys.version, sys.base_prefix, sysconfig.get_platform()]
    for path in (*_programs(), *_extensions()):
        status = path.stat()
        parts.append(f"{path} {status.st_size} {int(status.st_mtime)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def write_archive(out: IO[bytes]) -> None:
    """Raises OSError where the interpreter's files cannot be read."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        writer = _Writer(archive)
        for name in _EMPTY:
            writer.folder(f"/{name}")
        for top in ("/bin", "/sbin", "/lib", "/lib64"):
            writer.top(Path(top))
        for path in _programs():
            writer.file(path)
        for path in _standard_library():
            writer.file(path)
        for path in _libraries([*_programs(), *_extensions()]):
            writer.file(path)
        for name, text in _settings().items():
            writer.text(name, text)


class _Writer:
    """Every file once, under the path it has here; what a link leads to comes with it."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._known: set[str] = set()

    def file(self, path: Path) -> None:
        """With the links on the way to it: those of folders too (`/lib` → `usr/lib`)."""
        place = self._place(path)
        if place.is_symlink():
            self._link(place)
            self.file(place.parent / place.readlink())
        elif str(place) not in self._known:
            self._known.add(str(place))
            info = self._archive.gettarinfo(str(place), arcname=str(place).lstrip("/"))
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            info.type, info.linkname, info.size = tarfile.REGTYPE, "", place.stat().st_size
            with place.open("rb") as content:
                self._archive.addfile(info, content)

    def folder(self, path: str) -> None:
        self._parents(Path(path) / "x")

    def top(self, path: Path) -> None:
        """A folder that is a link on many systems, whether or not anything is in it."""
        if path.is_symlink():
            self._place(path / "x")
        elif path.is_dir():
            self.folder(str(path))

    def text(self, path: str, text: str) -> None:
        if path in self._known:
            return
        self._known.add(path)
        self._parents(Path(path))
        info = tarfile.TarInfo(path.lstrip("/"))
        info.size, info.mode = len(text.encode()), 0o644
        self._archive.addfile(info, io.BytesIO(text.encode()))

    def _place(self, path: Path) -> Path:
        """Where it really lies; the folders up to there, and the links that lead there, are in the archive then."""
        for parent in reversed(path.parents):
            if parent.is_symlink():
                link = Path(os.path.realpath(parent.parent)) / parent.name
                self._link(link)
                self._parents(Path(os.path.realpath(link)) / "x")
        place = Path(os.path.realpath(path.parent)) / path.name
        self._parents(place)
        return place

    def _link(self, place: Path) -> None:
        target = str(place.readlink())
        self._parents(place)
        self._add(str(place), lambda info: _as_link(info, target))

    def _parents(self, path: Path) -> None:
        for parent in reversed(path.parents):
            if str(parent) != "/" and not parent.is_symlink():
                self._add(str(parent), _as_folder)

    def _add(self, path: str, shape: Callable[[tarfile.TarInfo], None]) -> None:
        if path in self._known:
            return
        self._known.add(path)
        info = tarfile.TarInfo(path.lstrip("/"))
        shape(info)
        self._archive.addfile(info)


def _as_folder(info: tarfile.TarInfo) -> None:
    info.type, info.mode = tarfile.DIRTYPE, 0o1777 if info.name in ("tmp", "var/tmp") else 0o755


def _as_link(info: tarfile.TarInfo, target: str) -> None:
    info.type, info.linkname = tarfile.SYMTYPE, target


def _programs() -> list[Path]:
    """The interpreter, under its usual names, and the tools that are on this machine."""
    folder = Path(sys.base_prefix) / "bin"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    interpreters = [folder / f"python{suffix}" for suffix in (version, "3", "")]
    tools = [Path(found) for name in _TOOLS if (found := shutil.which(name, path="/usr/bin:/bin")) is not None]
    return [path for path in (*interpreters, *tools) if path.exists()]


def _standard_library() -> Iterator[Path]:
    """Also what is compiled of it: compiling it anew at each start would take long."""
    root = Path(sysconfig.get_path("stdlib"))
    for where, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith("config-"))
        for name in sorted(names):
            if not name.endswith((".a", ".opt-1.pyc", ".opt-2.pyc")):
                yield Path(where, name)


def _extensions() -> list[Path]:
    root = Path(sysconfig.get_path("stdlib"), "lib-dynload")
    return sorted(root.glob("*.so")) if root.is_dir() else []


def _libraries(programs: Iterable[Path]) -> list[Path]:
    """Shared libraries that these need, with those they need themselves, and the loader."""
    words = [str(path) for path in programs]
    environment = {**os.environ, "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR") or ""}
    done = subprocess.run(["ldd", *words], stdin=subprocess.DEVNULL, capture_output=True, check=False, env=environment)
    found = {Path(os.fsdecode(path)) for path in _LIBRARY.findall(done.stdout)}
    for beside in [path.parent for path in found if path.name == "libc.so.6"]:
        found.update(beside / name for name in _BESIDE)
    return sorted(path for path in found if path.exists())


def _settings() -> dict[str, str]:
    """Names of users, and where certificates are."""
    texts = {
        "/etc/passwd": "root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
        "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/mime.types", "/etc/ld.so.conf"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            texts[path] = Path(path).read_text(encoding="utf-8")
    return texts
