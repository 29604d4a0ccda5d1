"""What user code may ask about the attempt it runs in. The SDK re-exports this.

>>> from skylift.compute.worker.current import attempt, heartbeat
>>> heartbeat()          # outside an attempt: does nothing
>>> attempt() is None
True
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The attempt that is running. `token` is its idempotency token: the same for every delivery of this attempt, so
    it is the key to give to services that deduplicate."""

    token: str
    run_id: str
    task: str
    label: str
    number: int
    """1 for the first try, 2 for the first retry, …"""
    deadline_ms: int | None = None
    """UTC milliseconds at which the attempt is stopped, if it has a timeout."""
    beat: Callable[[], None] = field(default=_nothing, repr=False, compare=False)


_here: ContextVar[Attempt | None] = ContextVar("skylift_attempt", default=None)
_process_wide: Attempt | None = None


def attempt() -> Attempt | None:
    """The attempt this code runs in; None when no worker runs it (a pipeline called as a plain function)."""
    return _here.get() or _process_wide


def heartbeat() -> None:
    """Tell the engine that the attempt is alive. Cheap: call it as often as is convenient. Does nothing outside an
    attempt. A task with `heartbeat=` that is silent for longer than that is stopped with States.HeartbeatTimeout."""
    now = attempt()
    if now is not None:
        now.beat()


def enter(now: Attempt | None, *, process_wide: bool) -> None:
    """For workers: `now` runs from here on. `process_wide` also shows it to threads that user code starts."""
    global _process_wide
    _here.set(now)
    if process_wide:
        _process_wide = now
