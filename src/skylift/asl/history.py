"""History events with the types, order and details of the real service's GetExecutionHistory.

They are derived: `advance` emits them when it is given a list to put them in, and the same run always emits the same
events whether it is live or replayed from the journal.
"""

from __future__ import annotations

from typing import Any

import msgspec


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `details` holds the fields of the service's `…EventDetails` object, JSON values unserialised
    (`input`, `output`, `parameters`, assigned variables): the faces turn them into the service's JSON text."""

    id: int
    previous_id: int
    at_ms: int
    type: str
    details: dict[str, Any]
    child: str | None = None
    """Set for events of a Distributed Map's child execution: they belong to its history, not to the parent's."""
    token: str | None = None
    """The attempt that an event of a task belongs to."""
    about: Any = None
    """What the service's details do not show: of MapRunStarted its limits (maxConcurrency, toleratedFailureCount,
    toleratedFailurePercentage), of a child's ExecutionStarted how many items it has."""
