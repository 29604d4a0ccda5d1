"""`[jobs]`: what runs here for a Batch job definition, an ECS task definition or a training image."""

from __future__ import annotations

import msgspec


class JobBinding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of handler, command and image is set."""

    handler: str | None = None
    """`module:function`, called as `handler(parameters, context)`."""
    command: tuple[str, ...] | None = None
    """A program of this machine."""
    image: str | None = None
    """A local container image, started with the job's own command."""
    memory: str | None = None
    cpus: float | None = None
    timeout: str | None = None
    env: dict[str, str] = {}
    secrets: tuple[str, ...] = ()
    folder: str | None = None
    """Where a command or handler runs, relative to the project; the project itself unless given."""
    on: str | None = None
    """The backend it runs on; None for `process`, or `container` where there is an image."""
