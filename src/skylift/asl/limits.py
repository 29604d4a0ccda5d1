"""How much one run may use: the profile of a local run and the profile of the real service."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What `advance` enforces. None is no limit."""

    payload_bytes: int | None
    """Largest input or output of a state as JSON text; more is States.DataLimitExceeded."""
    history_events: int | None
    """Most history events of one execution; more ends it with States.Runtime."""
    inline_window: int
    """Most iterations of an inline Map that are under way at once, whatever MaxConcurrency says."""
    distributed_window: int
    """Most child executions of a Distributed Map that are under way at once."""
    page_items: int
    """Most items asked of an ItemReader at once."""
    transitions_per_event: int
    """After so many states entered while handling one event the run lets others go first: it goes on by a timer that
    is due at once, so that an endless loop can be stopped and starves nobody."""
    standard_run_ms: int | None = None
    """Longest life of a STANDARD execution; longer is States.Timeout."""
    express_run_ms: int | None = None
    """Longest life of an EXPRESS execution."""
    missed_heartbeat: str = "States.HeartbeatTimeout"
    """The error of a task that was silent for too long; a Retry or Catch of States.HeartbeatTimeout answers any."""


LOCAL = Limits(
    payload_bytes=None,
    history_events=None,
    inline_window=1_000,
    distributed_window=1_000,
    page_items=1_000,
    transitions_per_event=5_000,
)
"""A run on this machine: bounded memory, otherwise free."""

SERVICE = Limits(
    payload_bytes=262_144,
    history_events=25_000,
    inline_window=40,
    distributed_window=10_000,
    page_items=1_000,
    standard_run_ms=365 * 24 * 3_600_000,
    express_run_ms=300_000,
    transitions_per_event=30_000,
    missed_heartbeat="States.Timeout",
)
"""Machines that came through the Step Functions API keep the service's limits."""
