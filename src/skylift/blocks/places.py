"""The places of one source: those that answer, and hold the same number of bytes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from skylift.blocks.download import stat_of
from skylift.blocks.errors import SourceInvalid, SourceUnavailable
from skylift.blocks.origins import Stat

_log = logging.getLogger("skylift.blocks")


def places_of(url: str, mirrors: Sequence[str]) -> list[tuple[str, Stat]]:
    """The source first, if it answers. Raises SourceUnavailable where nothing does, SourceInvalid for a mirror of
    another size and for a size that nobody tells."""
    found: list[tuple[str, Stat]] = []
    problem: SourceUnavailable | None = None
    for place in (url, *mirrors):
        try:
            found.append((place, stat_of(place)))
        except SourceUnavailable as error:
            problem = problem or error
            if mirrors:
                _log.warning("%s is left out: %s", place, error)
    if problem is not None and not found:
        raise problem
    first, stat = found[0]
    if stat.size < 0:
        raise SourceInvalid(f"nobody tells the size of {first}", hint="copy it to a store that does")
    for place, other in found[1:]:
        if other.size != stat.size:
            raise SourceInvalid(
                f"{place} has {other.size} bytes, the source {stat.size}: it is no mirror",
                hint="mirrors hold the same bytes",
            )
    return found
