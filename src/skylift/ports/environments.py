"""What a task needs installed, as a document: the same packages give the same digest, wherever it is built."""

from __future__ import annotations

import msgspec


class EnvironmentSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Kept as a blob beside the code, so that a run is always repeated with the packages it began with. Its digest is
    `Requirements.environment`."""

    requirements: tuple[str, ...]
    """Lines in the form of a requirements file, sorted, comments and blanks left out; from a lock file with its
    versions and hashes."""
    python: str | None = None
    """`3.11`; None for that of the worker."""
