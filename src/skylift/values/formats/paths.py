"""Files and folders: `skylift.values.files.File` and `Directory`."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.values.files import Directory, File
from skylift.values.tags import ARTIFACT, ValueNotLoadable, ValueNotStorable, digest_of, reference

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec


def dump(value: File | Directory, codec: ValueCodec) -> dict[str, Any]:
    try:
        return _dump_file(value, codec) if isinstance(value, File) else _dump_directory(value, codec)
    except OSError as error:
        raise ValueNotStorable(
            f"{value!r} cannot be stored: {error.strerror or error}: {error.filename or value.path}",
            hint="return a file that exists when the step ends (a temporary folder may be gone by then)",
        ) from error


def load_file(node: dict[str, Any], codec: ValueCodec) -> File:
    """A link to the store's own copy would let a step damage it, so the content is copied."""
    digest = digest_of(node)
    target = _fresh_folder() / _safe_name(str(node.get("name", "file")))
    _copy(codec, digest, target, bool(node.get("executable")))
    target.chmod(0o555 if node.get("executable") else 0o444)
    return File(target)


def load_directory(node: dict[str, Any], codec: ValueCodec) -> Directory:
    listing = msgspec.json.decode(codec.blobs.get(digest_of(node)))
    root = _fresh_folder() / _safe_name(str(node.get("name", "directory")))
    root.mkdir()
    for folder in listing["folders"]:
        _inside(root, folder).mkdir(parents=True, exist_ok=True)
    for name, entry in listing["files"].items():
        target = _inside(root, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(codec, digest_of(entry), target, bool(entry.get("executable")))
    return Directory(root)


def _dump_file(value: File, codec: ValueCodec) -> dict[str, Any]:
    if not value.path.is_file():
        raise ValueNotStorable(
            f"{value!r} is not a file" if value.path.exists() else f"{value!r} does not exist",
            hint="write the file before the step ends; a relative path counts from the step's working folder",
        )
    entry = _entry(value.path, codec)
    size = entry.pop("size")
    facts = {key: fact for key, fact in entry.items() if key == "executable"}
    return reference(digest_of(entry), format="file", type="skylift.File", size=size, name=value.path.name, **facts)


def _dump_directory(value: Directory, codec: ValueCodec) -> dict[str, Any]:
    if not value.path.is_dir():
        raise ValueNotStorable(
            f"{value!r} is not a folder" if value.path.exists() else f"{value!r} does not exist",
            hint="make the folder before the step ends; a relative path counts from the step's working folder",
        )
    files: dict[str, Any] = {}
    folders: list[str] = []
    for parent, names, leaves in os.walk(value.path, followlinks=False):
        below = Path(parent).relative_to(value.path)
        folders.extend((below / name).as_posix() for name in names)
        for leaf in leaves:
            path = Path(parent) / leaf
            if path.is_file():
                files[(below / leaf).as_posix()] = _entry(path, codec)
    listing = {"files": dict(sorted(files.items())), "folders": sorted(folders)}
    size = sum(entry["size"] for entry in files.values())
    digest = codec.blobs.put(msgspec.json.encode(listing))
    name = value.path.resolve().name or "directory"
    facts = {"name": name, "count": len(files), "nested": True}
    return reference(digest, format="directory", type="skylift.Directory", size=size, **facts)


def _entry(path: Path, codec: ValueCodec) -> dict[str, Any]:
    found = path.stat()
    entry: dict[str, Any] = {ARTIFACT: f"sha256:{codec.blobs.put_file(path)}", "size": found.st_size}
    if found.st_mode & stat.S_IXUSR:
        entry["executable"] = True
    return entry


def _copy(codec: ValueCodec, digest: str, target: Path, executable: bool) -> None:
    with codec.blobs.open(digest) as source, target.open("wb") as copy:
        while chunk := source.read(1 << 20):
            copy.write(chunk)
    if executable:
        target.chmod(0o755)


def _inside(root: Path, name: str) -> Path:
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueNotLoadable(f"a stored folder names a file outside of itself: {name!r}")
    return root / name


def _safe_name(name: str) -> str:
    return name if name not in ("", ".", "..") and "/" not in name and "\0" not in name else "content"


_session: tuple[int, str] | None = None


def _fresh_folder() -> Path:
    """In a folder of this process that goes when it ends."""
    global _session
    import tempfile

    if _session is None or _session[0] != os.getpid():
        _session = (os.getpid(), tempfile.mkdtemp(prefix="skylift-values-"))
        atexit.register(_remove, *_session)
    return Path(tempfile.mkdtemp(dir=_session[1]))


def _remove(pid: int, folder: str) -> None:
    """Not in a forked child: the folder is its parent's."""
    if pid == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)
