"""When an attempt ends through no fault of its code: whether the same attempt is given out again, and with what.

A loss is tried again a few times, a preemption for ever, and what ran out of memory with twice as much, if need be on
the next larger class of compute. None of it is a failure that the document sees.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from skylift.asl.events import TaskRedelivered
from skylift.asl.state import Deliveries
from skylift.engine.limits import EngineLimits
from skylift.engine.outcomes import lost_again_in_ms
from skylift.engine.routes import WorkerRoute
from skylift.engine.run import Attempt
from skylift.ports.compute import Lost, OutOfMemory, Requirements


class Sizes(Protocol):
    """Which backends could run what."""

    def can_run(self, backend: str, requirements: Requirements) -> bool: ...

    def most_memory_mib(self, backend: str, requirements: Requirements) -> int | None:
        """Of its offers for such a task, whatever memory that asks for; None where there is none."""
        ...

    def larger(self, backend: str) -> tuple[str, ...]:
        """Backends of the classes above, the next one first."""
        ...


class Redelivery(msgspec.Struct, frozen=True):
    """What to do about an outcome: journal `event`, and give the attempt out again after `pause_ms`."""

    event: TaskRedelivered
    pause_ms: int


class Redeliveries:
    """Decides. Touches nothing."""

    def __init__(self, sizes: Sizes, limits: EngineLimits) -> None:
        self._sizes = sizes
        self._limits = limits

    def after(self, attempt: Attempt, outcome: Lost | OutOfMemory) -> Redelivery | None:
        """None when the outcome stands."""
        before = deliveries_of(attempt)
        if type(outcome) is Lost:
            return self._after_loss(attempt, outcome, before)
        assert type(outcome) is OutOfMemory
        return self._after_out_of_memory(attempt, outcome, before)

    def _after_loss(self, attempt: Attempt, lost: Lost, before: Deliveries) -> Redelivery | None:
        losses = before.lost + (not lost.preempted)
        pause = lost_again_in_ms(max(1, losses), lost, self._limits.losses)
        if pause is None:
            return None
        event = TaskRedelivered(
            token=attempt.command.token,
            reason=_reason(attempt, lost),
            cause=lost.reason,
            usage=lost.usage,
            memory_mib=before.memory_mib,
            backend=before.backend,
        )
        return Redelivery(event, pause)

    def _after_out_of_memory(self, attempt: Attempt, outcome: OutOfMemory, before: Deliveries) -> Redelivery | None:
        route = attempt.route
        if type(route) is not WorkerRoute or before.out_of_memory >= self._limits.memory_steps:
            return None
        had = before.memory_mib or route.spec.requirements.memory_mib or outcome.limit_mib
        found = self._larger_place(attempt.backend or route.backend, route.spec.requirements, had)
        if had is None or found is None:
            return None
        backend, memory = found
        where = "" if backend == attempt.backend else f" on {backend}"
        event = TaskRedelivered(
            token=attempt.command.token,
            reason="out-of-memory",
            cause=f"{had} MiB were too little: the next try gets {memory} MiB{where}",
            usage=outcome.usage,
            memory_mib=memory,
            backend=backend if backend != route.backend else None,
        )
        return Redelivery(event, 0)

    def _larger_place(self, backend: str, needs: Requirements, had: int | None) -> tuple[str, int] | None:
        """Twice the memory here; else on the next class that has it; else the most there is, where that is more."""
        if had is None:
            return None
        wanted = msgspec.structs.replace(needs, memory_mib=2 * had)
        places = (backend, *self._sizes.larger(backend))
        for name in places:
            if self._sizes.can_run(name, wanted):
                return name, 2 * had
        most = [(name, self._sizes.most_memory_mib(name, needs) or 0) for name in places]
        name, memory = max(most, key=lambda place: place[1])
        return (name, memory) if memory > had else None


def _reason(attempt: Attempt, lost: Lost) -> Literal["lost", "preempted", "moved"]:
    if not lost.preempted:
        return "lost"
    return "moved" if attempt.recalled else "preempted"


def deliveries_of(attempt: Attempt) -> Deliveries:
    return attempt.run.state.deliveries(attempt.command.token)
