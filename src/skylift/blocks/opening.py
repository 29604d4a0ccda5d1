"""From a URL to the origin that reads it."""

from __future__ import annotations

from skylift.blocks.origins import LocalOrigin, Origin, local_path


def open_origin(url: str, size: int | None = None) -> Origin:
    """Nothing is asked for yet. `size` is that of the source as far as it is known, for origins whose answers tell it.
    Raises SourceInvalid for a URL that cannot be opened here."""
    path = local_path(url)
    if path is not None:
        return LocalOrigin(path)
    if url.startswith(("http://", "https://")):
        from skylift.blocks.http import HttpOrigin

        return HttpOrigin(url, size)
    from skylift.blocks.remote import FsspecOrigin

    return FsspecOrigin(url)
