"""A run in memory, and its attempts: what the engine keeps beside the pure state. All of it can be rebuilt."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from skylift.asl.commands import StartTask
from skylift.asl.machine import Machine
from skylift.asl.state import RunState
from skylift.engine.inputs import Callback
from skylift.engine.routes import Route
from skylift.ports.compute import Market
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskTable


class LiveRun:
    """A run that this engine drives."""

    __slots__ = (
        "attempts",
        "io",
        "machine",
        "open",
        "record",
        "routes",
        "sequence",
        "since_snapshot",
        "snapshot_size",
        "state",
        "table",
        "timers",
    )

    def __init__(self, record: RunRecord, machine: Machine, state: RunState, table: TaskTable) -> None:
        self.record = record
        self.machine = machine
        self.state = state
        self.table = table
        self.sequence = state.sequence
        self.attempts: dict[str, Attempt] = {}
        """By the token inside the run."""
        self.timers: dict[int, int] = {}
        """Due time by number, of the timers that the state waits for."""
        self.io: dict[int, tuple[str, int]] = {}
        """Ticket → ("read" | "write", reader or writer number), of what is under way."""
        self.routes: dict[str, Route] = {}
        self.since_snapshot = 0
        self.snapshot_size = 0
        self.open = True
        """False once it has left the engine: timers and answers that still name it mean nothing."""


class Attempt:
    """One attempt of a task, from its StartTask to its outcome."""

    __slots__ = (
        "backend",
        "beat_ms",
        "cache_key",
        "child",
        "command",
        "early",
        "given_ms",
        "held",
        "limited",
        "market",
        "open",
        "recalled",
        "route",
        "run",
        "seen",
        "sent",
        "started",
        "submitted",
        "token",
        "watched",
    )

    def __init__(self, run: LiveRun, command: StartTask, token: str, route: Route) -> None:
        self.run = run
        self.command = command
        self.token = token
        """Unique over all runs."""
        self.route = route
        self.backend: str | None = None
        self.sent = False
        """Whether the backend has it."""
        self.market: Market | None = None
        """What the last delivery was bought as; None before the first, and while it waits for a market."""
        self.seen: list[tuple[bool, int]] = []
        """Whether there was spot, and since when (UTC), for each time that this was found to have changed."""
        self.watched = False
        """Whether a timer asks for its market again."""
        self.given_ms = 0
        """When the last delivery was given out (UTC); 0 where another engine has done that, or may have."""
        self.recalled = False
        """Whether its backend was asked to give it back, for another market."""
        self.held = False
        """Whether it waits until its run has a budget again."""
        self.beat_ms = 0
        """Last sign of life of a task that waits for a callback."""
        self.cache_key: str | None = None
        self.child: str | None = None
        """Id of the nested run."""
        self.limited = False
        """Whether its time limit is armed."""
        self.started = False
        """Whether a worker has taken the activity's task."""
        self.submitted: Any = UNSET
        """What the service answered when it took the job on."""
        self.early: Callback | None = None
        """A callback that has overtaken the service's answer."""
        self.open = True
