"""Why a run waits: a view for people."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from skylift.engine.lent import work_of
from skylift.engine.markets import spot_needs
from skylift.engine.run import Attempt, LiveRun
from skylift.engine.views import label

_WAITS_FOR_MARKET = "waits for a spot machine: there is time until its deadline"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a run waits for."""

    token: str
    """Global."""
    label: str
    what: str
    """`running`, `queued`, `held` (for its budget), `callback`, `nested run RUN`, `timer`."""
    since_ms: int | None
    until_ms: int | None = None
    attempt: int = 0
    backend: str | None = None
    deliveries: int = 1
    """How often it has been given out."""
    why: str | None = None
    """What its backend says of it."""


def waiting_for(attempt: Attempt, held: Mapping[str, str], why: Mapping[str, str]) -> Waiting:
    command, work = attempt.command, work_of(attempt)
    if attempt.child is not None:
        what = f"nested run {attempt.child}"
    elif attempt.held:
        what = "held"
    elif attempt.backend is not None:
        what = held.get(attempt.token, "queued")
    elif work is not None:
        what = "running" if attempt.started else "queued"
    else:
        what = "callback"
    return Waiting(
        token=attempt.token,
        label=label(command.path),
        what=what,
        since_ms=command.scheduled_ms,
        until_ms=None if command.timeout_ms is None else command.scheduled_ms + command.timeout_ms,
        attempt=command.attempt,
        backend=attempt.backend if work is None else work.backend,
        deliveries=1 + attempt.run.state.deliveries(command.token).count,
        why=_WAITS_FOR_MARKET if _waits_for_market(attempt) else why.get(attempt.token),
    )


def _waits_for_market(attempt: Attempt) -> bool:
    waits = attempt.market is None and attempt.backend is not None and not attempt.held
    return waits and spot_needs(attempt) is not None


def timers_of(run: LiveRun) -> list[Waiting]:
    """The run's timers, the next one first."""
    return [
        Waiting(token=f"timer {timer}", label="", what="timer", since_ms=None, until_ms=due_ms)
        for timer, due_ms in sorted(run.timers.items(), key=lambda item: item[1])
    ]
