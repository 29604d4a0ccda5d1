"""`fetch`: a whole source as a file of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from skylift.blocks.checksums import hasher, matches
from skylift.blocks.content import changed
from skylift.blocks.download import fetch_into
from skylift.blocks.extent import Extent
from skylift.blocks.locate import name_of
from skylift.blocks.places import places_of
from skylift.values.files import File


def fetch(
    url: str, to: str | os.PathLike[str] | None = None, *, mirrors: Sequence[str] = (), checksum: str | None = None
) -> File:
    """Download a source for use in a task: in parallel ranges, from all `mirrors`, going on where a connection broke.

    to: the file to write; by default the source's own name in the working folder. It appears whole or not at all.
    checksum: `sha256:…` or `md5:…`; where none is given, the store's own is used, if it has one. Raises
    SourceUnavailable, SourceInvalid, SourceChanged.
    """
    if checksum is not None:
        hasher(checksum)
    target = Path(to) if to is not None else Path(name_of(url))
    extent = _whole(url, mirrors, checksum)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "w+b") as file:
            fetch_into(extent, file.fileno())
            if extent.checksum is not None and not matches(extent.checksum, file):
                raise changed(extent, f"it does not match {extent.checksum}")
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return File(target)


def _whole(url: str, mirrors: Sequence[str], checksum: str | None) -> Extent:
    (first, stat), *others = places_of(url, mirrors)
    return Extent(
        url=first,
        version=stat.version,
        mirrors=tuple((place, other.version) for place, other in others),
        size=stat.size,
        start=0,
        end=stat.size,
        checksum=checksum or stat.checksum,
        ranges=stat.ranges,
    )
