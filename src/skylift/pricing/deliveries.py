"""Every time an attempt was given out, with what it used: what bills and advice are made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from skylift.asl.events import TaskFailed, TaskGivenUp, TaskRedelivered, TaskSucceeded, TaskTimedOut, Usage
from skylift.ports.journal import Entry

Ended = Literal["succeeded", "failed", "timed-out", "lost", "preempted", "moved", "out-of-memory", "given-up"]


REHEARSED = frozenset({"simulated"})
"""Backends whose places have prices that nobody is sent a bill for: a run there is a rehearsal."""


def is_rehearsal(usage: Usage | None) -> bool:
    return usage is not None and usage.backend in REHEARSED


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One place, used once for one attempt."""

    step: str
    """Name of the state."""
    token: str
    """Of the attempt: the same for all its deliveries."""
    ended: Ended
    usage: Usage | None = None
    memory_mib: int | None = None
    """What the next one was given, after too little."""
    ended_ms: int | None = None
    """When its end was taken in, UTC."""

    @property
    def rehearsed(self) -> bool:
        """Whether nobody is sent a bill for it, though it has a price."""
        return is_rehearsal(self.usage)


def deliveries(steps: Mapping[str, str], entries: Iterable[Entry]) -> list[Delivery]:
    """In the order in which they ended. `steps` names the step of each token; what ended without one is left out, and
    so are results that came from the cache and what was taken back before it had a place."""
    found: list[Delivery] = []
    given_up: dict[str, int] = {}
    for entry in entries:
        event: Any = entry.event
        step = steps.get(getattr(event, "token", ""))
        ended = None if step is None else _ended(event)
        if step is None or ended is None or (ended == "moved" and event.usage is None):
            continue
        if event.usage is None and event.token in given_up:  # it says what the delivery was given up for
            place = given_up[event.token]
            found[place] = msgspec.structs.replace(found[place], ended=ended)
            continue
        if ended == "given-up":
            given_up[event.token] = len(found)
        memory = event.memory_mib if ended == "out-of-memory" else None
        found.append(
            Delivery(
                step=step, token=event.token, ended=ended, usage=event.usage, memory_mib=memory, ended_ms=entry.at_ms
            )
        )
    return found


def _ended(event: Any) -> Ended | None:
    kind = type(event)
    if kind is TaskRedelivered:
        reason: Ended = event.reason
        return reason
    if kind is TaskSucceeded:
        return None if event.usage is not None and event.usage.cached_from else "succeeded"
    if kind is TaskFailed:
        return "failed"
    if kind is TaskGivenUp:
        return "given-up"
    return "timed-out" if kind is TaskTimedOut else None
