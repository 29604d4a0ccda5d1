"""What can be wrong with a source."""

from __future__ import annotations

from skylift.errors import AuthorError, ComputeError, SetupError


class SourceInvalid(AuthorError):
    """A source, or how it is to be read, that cannot be understood."""

    code = "SOURCE-INVALID"


class SourceChanged(SetupError):
    """The bytes are no longer those that were split, or not those that were promised."""

    code = "SOURCE-CHANGED"


class SourceUnavailable(ComputeError):
    """The bytes could not be had, though it was tried again and at every mirror."""

    code = "SOURCE-UNAVAILABLE"
