"""From a plain string to a store: what a worker is told, and what a project or server keeps its runs in."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from skylift.errors import SetupError
from skylift.stores.files import FileBlobStore

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore
    from skylift.stores.database import Store

_FORMS = "use sqlite:///FILE (relative), sqlite:////FILE (absolute) or postgresql://USER@HOST/DATABASE"


def open_blobs(location: str | os.PathLike[str], *, cache: str | None = None) -> BlobStore:
    """A blob store from a path, a `file://` URL or any URL that fsspec knows (`s3://bucket/prefix`, `memory://x`).

    `?durability=full` at the end of a `file://` URL makes every write survive the loss of power. `cache` is the local
    folder that keeps copies of remote blobs.
    """
    text = os.fspath(location)
    if "://" not in text:
        return FileBlobStore(text)
    if text.startswith("file://"):
        path, _, query = text.removeprefix("file://").partition("?")
        return FileBlobStore(path, fsync=query == "durability=full")
    from skylift.stores.fsspec_blobs import FsspecBlobStore

    store: BlobStore = FsspecBlobStore(text, cache=cache)
    return store


def open_store(url: str | None, *, home: Path, durability: Literal["normal", "full"] = "normal") -> Store:
    """The journal, resources and engines' ownership of a URL; None is the file `journal.db` in `home`.

    `sqlite:///runs.db` is relative to the working folder, `sqlite:////srv/runs.db` absolute. Raises SetupError for a
    URL that names no store, JournalUnavailable or JournalDamaged where it cannot be used. A password is never shown.
    """
    from skylift.stores.database import SqliteStore

    if url is None:
        return SqliteStore(home / "journal.db", durability)
    scheme, separator, _ = url.partition("://")
    if separator and scheme == "sqlite":
        return SqliteStore(_sqlite_path(url), durability)
    if separator and scheme in ("postgresql", "postgres"):
        return _open_postgres(url, durability)
    kind = f"{scheme}://" if separator else "a text without a scheme"
    raise SetupError(f"a store cannot be opened from {kind}", hint=_FORMS)


def is_local(url: str | None) -> bool:
    """Is this store a file of this machine?"""
    return url is None or url.startswith("sqlite:")


def store_file(url: str | None, home: Path) -> Path | None:
    """The database's file, where the store is one."""
    if url is None:
        return home / "journal.db"
    return _sqlite_path(url) if url.startswith("sqlite://") else None


def _sqlite_path(url: str) -> Path:
    parts = urlsplit(url)
    name = unquote(parts.path.removeprefix("/"))
    if parts.netloc or parts.query or parts.fragment or not name or name.endswith("/") or "\0" in name:
        raise SetupError("the store's URL names no SQLite file", hint=_FORMS)
    return Path(name).expanduser().absolute()


def _open_postgres(url: str, durability: Literal["normal", "full"]) -> Store:
    if importlib.util.find_spec("psycopg") is None:
        raise SetupError(
            "a PostgreSQL store needs psycopg, which is not installed",
            hint="pip install 'skylift[postgres]'",
        )
    from skylift.stores.postgres.store import PostgresStore

    return PostgresStore(url, durability)
