"""Machines that joined by themselves: the pool waits for boxes, gives them attempts, and never starts or stops one."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from skylift.compute.batch.capabilities import OF_BOXES
from skylift.compute.batch.joined import JoinedBox, JoinedBoxes
from skylift.compute.batch.provider import Held, Kind, Machine, NoCapacity, Phase
from skylift.ports.compute import Outcome, TaskCall

_CLEAN_EVERY_MS = 60_000


class WorkersProvider:
    """The Provider port. All lies in the store, where the servers write what the boxes say."""

    name = "workers"
    capabilities = OF_BOXES
    open = True
    pause_s = 0.1
    most_vcpus: float | None = None

    def __init__(self, boxes: JoinedBoxes, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._boxes = boxes
        self._clock = clock
        self._clean_at = 0

    def kinds(self) -> Sequence[Kind]:
        now = self._clock()
        return tuple({box.kind.name: box.kind for box in self._boxes.all(now) if box.until_ms > now}.values())

    def start(self, kind: Kind, holder: str, until_ms: int) -> str:
        raise NoCapacity("boxes join by themselves: skylift worker --pool")

    def in_stock(self, kind: Kind) -> bool | None:
        return None

    def look(self) -> Sequence[Machine]:
        now = self._clock()
        return [_machine(box, now) for box in self._boxes.all(now)]

    def renew(self, machine: str, until_ms: int, holder: str | None = None) -> None:
        """Their leases are their own: each time a box asks."""

    def stop(self, machines: Collection[str]) -> None:
        for box in self._boxes.all(self._clock()):
            if box.id in machines:
                for token in box.on:
                    self._boxes.stop(token)

    def run(self, machine: str, calls: Sequence[tuple[TaskCall, Held]]) -> None:
        for box in self._boxes.all(self._clock()):
            if box.id == machine:
                for call, held in calls:
                    self._boxes.give(box, call, held)

    def cancel(self, machine: str, tokens: Collection[str]) -> None:
        for token in tokens:
            self._boxes.stop(token)

    def release(self, machine: str, tokens: Collection[str]) -> None:
        """Boxes are told to stop something, never to let it leave."""

    def saved_ms(self, tokens: Collection[str]) -> Mapping[str, float]:
        return {}

    def outcomes(self, tokens: Collection[str]) -> Mapping[str, Outcome]:
        found = {token: self._boxes.attempt(token) for token in tokens}
        return {token: one.outcome for token, one in found.items() if one is not None and one.outcome is not None}

    def call(self, token: str) -> TaskCall | None:
        found = self._boxes.attempt(token)
        return None if found is None else found.call

    def forget(self, tokens: Collection[str]) -> None:
        now = self._clock()
        for token in tokens:
            self._boxes.told(token, now)
        if now >= self._clean_at:
            self._clean_at = now + _CLEAN_EVERY_MS
            self._boxes.clean(now)

    def drop(self, tokens: Collection[str]) -> None:
        for token in tokens:
            self._boxes.drop(token)

    def rendezvous(self, machine: str) -> tuple[str, int]:
        """Boxes may not reach each other: no gang is placed on a machine of an account."""
        raise NoCapacity("boxes that joined do not know how to reach each other")

    def listen(self, wake: Callable[[], None]) -> None:
        """Nothing calls: it is looked at often."""

    def close(self) -> None:
        """Boxes stay."""


def _machine(box: JoinedBox, now_ms: int) -> Machine:
    phase: Phase = "warned" if box.leaving else "ready"
    over = box.until_ms <= now_ms
    return Machine(
        id=box.id,
        kind=box.kind,
        phase="gone" if over else phase,
        since_ms=box.since_ms,
        until_ms=box.until_ms,
        holds=() if over else tuple(on.held for on in box.on.values()),
        standing=True,
        reason=f"box {box.name} has given no sign of life" if over else "",
    )
