"""How the reader of a state reads the flows inside it, without importing the reader of flows."""

from __future__ import annotations

from typing import Any, Protocol

from skylift.asl.document import Flow
from skylift.asl.validation.check import Check


class FlowReader(Protocol):
    def __call__(self, value: dict[str, Any], pointer: str, what: str, check: Check, closed: bool, /) -> Flow:
        """Read a branch or processor. `closed` for a Distributed Map's processor, which sees no outer variable."""
        ...
