"""A development box as its provider knows it, and what keeps one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from skylift.errors import SetupError

State = Literal["starting", "running", "stopping", "stopped", "gone"]

HOURS, ZONE, UNTIL, STOPPED = "skylift:hours", "skylift:zone", "skylift:until", "skylift:stopped"
"""Tags: office hours and their zone; until when it may run outside them; when somebody stopped it, as UTC text."""


class BoxTrouble(SetupError):
    """The box cannot be found, or its provider does not do what it was asked."""

    code = "BOX"


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """As it is now."""

    id: str
    name: str
    state: State
    type: str
    launched_ms: int
    """When it was last started."""
    address: str | None = None
    tags: dict[str, str] = {}


class BoxProvider(Protocol):
    """All methods but `look` return when it is so. Raise BoxTrouble."""

    def look(self) -> Box: ...

    def start(self, box: Box) -> None: ...

    def stop(self, box: Box) -> None: ...

    def resize(self, box: Box, type: str) -> None:
        """Of a stopped box."""
        ...

    def check_type(self, box: Box, type: str) -> None:
        """Whether the box could be of this type."""
        ...

    def tag(self, box: Box, tags: Mapping[str, str | None]) -> None:
        """Set these, and remove those that are None."""
        ...
