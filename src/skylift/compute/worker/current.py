"""What user code may ask about the attempt it runs in. The SDK re-exports this.

>>> from skylift.compute.worker.current import attempt, heartbeat
>>> heartbeat()          # outside an attempt: does nothing
>>> attempt() is None
True
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

NOTICE_S = 120.0
"""How long before a spot machine is taken away the large clouds say so, where they say so at all (AWS: two minutes)."""


def _nothing() -> None:
    return None


def _forget(_saved_ms: float) -> None:
    return None


class Standing:
    """What becomes known of an attempt while it runs. Written from signal handlers and other threads."""

    __slots__ = ("endings", "gone_at", "keepers", "saved_ms")

    def __init__(self) -> None:
        self.gone_at: float | None = None
        """When its machine is taken away, by `time.monotonic()`; None while nobody said so."""
        self.saved_ms: float | None = None
        """Work that its last checkpoint keeps, see `Usage.saved_ms`."""
        self.keepers: dict[str | None, Any] = {}
        """Its checkpoints by key, see `skylift.compute.worker.checkpoint`."""
        self.endings: list[Callable[[], None]] = []
        """What must be done when user code has ended by itself, before that is reported. Raise nothing."""

    def end(self) -> float | None:
        """User code has ended: do what remains; the work that is saved then."""
        while self.endings:
            self.endings.pop()()
        return self.saved_ms


class Preempted(BaseException):
    """The machine is about to be taken away and the state is saved: the attempt leaves, and is given out again
    elsewhere. No `Exception`, so that no `except Exception` of user code mistakes it for a failure."""


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
    delivery: int = 1
    """How often this try has been given out; more than 1 after its machine was lost or taken away."""
    visit: str = ""
    """Names the entering of this step in its run: the same for all tries and deliveries."""
    spot: bool = False
    """It runs on a machine that may be taken away at any instant."""
    checkpoints: str | None = None
    """Where its backend keeps checkpoints: a path or an fsspec URL."""
    beat: Callable[[], None] = field(default=_nothing, repr=False, compare=False)
    saved: Callable[[float], None] = field(default=_forget, repr=False, compare=False)
    """Told of each checkpoint that is stored, with the milliseconds of work that it keeps. From any thread."""
    standing: Standing = field(default_factory=Standing, repr=False, compare=False)

    @property
    def warned(self) -> float | None:
        """Seconds until the machine is taken away, once that was announced; 0 when they are over."""
        gone_at = self.standing.gone_at
        return None if gone_at is None else max(0.0, gone_at - time.monotonic())


_here: ContextVar[Attempt | None] = ContextVar("skylift_attempt", default=None)
_process_wide: Attempt | None = None
_gone_at: float | None = None


def attempt() -> Attempt | None:
    """The attempt this code runs in; None when no worker runs it (a pipeline called as a plain function)."""
    return _here.get() or _process_wide


def heartbeat() -> None:
    """Tell the engine that the attempt is alive. Cheap: call it as often as is convenient. Does nothing outside an
    attempt. A task with `heartbeat=` that is silent for longer than that is stopped with States.HeartbeatTimeout."""
    now = attempt()
    if now is not None:
        now.beat()


def warned() -> float | None:
    """Seconds until the machine of this attempt is taken away; None while nobody has announced that."""
    now = attempt()
    return None if now is None else now.warned


def warn(seconds: float = NOTICE_S, of: Attempt | None = None) -> None:
    """For workers: the machine is taken away in so many seconds. Safe in a signal handler.

    Told of one attempt (`of`), of the one that runs here, or when none does of the next one that enters before then.
    """
    global _gone_at
    gone_at = time.monotonic() + seconds
    now = of or attempt()
    if now is None:
        _gone_at = gone_at
    elif now.standing.gone_at is None:
        now.standing.gone_at = gone_at


def enter(now: Attempt | None, *, process_wide: bool) -> None:
    """For workers: `now` runs from here on. `process_wide` also shows it to threads that user code starts."""
    global _process_wide, _gone_at
    _here.set(now)
    if not process_wide:
        return
    _process_wide = now
    if now is not None and _gone_at is not None:
        if _gone_at > time.monotonic():
            now.standing.gone_at = _gone_at
        _gone_at = None
