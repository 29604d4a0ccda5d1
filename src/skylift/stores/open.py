"""From a plain string to a store: what a worker is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from skylift.stores.files import FileBlobStore

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore


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
