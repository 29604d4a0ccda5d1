"""Bounds and pauses of the engine."""

from __future__ import annotations

from pathlib import Path

import msgspec

BUDGET_ATTRIBUTE = "budget"
"""Of a run: what it may cost, in US dollars."""


class BudgetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`[budget]` of the settings. Amounts are US dollars as text, so that they are exact: `12.50`."""

    month: str | None = None
    """What all runs may cost in a month."""
    alerts: tuple[str, ...] = ("0.5", "0.8", "1")
    """Shares of a budget at which is told, once each."""
    stop: bool = True
    """Whether a spent budget pauses runs."""
    rehearsals: bool = True
    """Whether runs in the simulated cloud are held to the month's budget too, apart from those that cost something."""
    kept: Path | None = None
    """Folder for what was read of the journal already."""


class EngineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Knobs that nobody should need."""

    losses: int = 3
    """Times an attempt is tried again after its worker was lost, preemptions not counted."""
    memory_steps: int = 3
    """Times the memory of an attempt that ran out of it is doubled."""
    worker_lease_ms: int = 60_000
    """How long the worker of an activity that runs a task of ours may be silent before it is taken to be lost."""
    market_ms: int = 30_000
    """How often is asked whether an attempt that waits for a spot machine should go on waiting."""
    window: int = 2_048
    """Most attempts in one backend's hands at once."""
    events_per_turn: int = 2_000
    """Most events that follow from each other inside one turn."""
    snapshot_events: int = 1_000
    """Least events between two snapshots of a run."""
    look_ms: int = 50
    """How often the journal is asked for what other processes left in it."""
    backoff_ms: int = 100
    """First pause after the journal failed; doubles up to `backoff_most_ms`."""
    backoff_most_ms: int = 2_000
    adopt_ms: int = 1_000
    """How often an adopting engine looks for runs of dead engines."""
    adopt_runs: int = 200
    """Most of them taken into one turn."""
