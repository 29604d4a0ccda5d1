"""Attempts, the places that may run them, and what each is doing. Plain state, kept by the desk."""

from __future__ import annotations

import time
from typing import Any

from skylift.blocks.keys import BLOCK, block_keys
from skylift.compute.process.entry import Entry
from skylift.compute.process.queue import FairQueue
from skylift.compute.ray.shape import Shape
from skylift.compute.ray.wire import unpack_call
from skylift.ports.compute import Cancelled, Lost, Outcome, TaskCall


class Attempt(Entry):
    """A call that the supervisor holds."""

    __slots__ = ("body", "client", "group", "near", "place", "unheard")

    def __init__(self, call: TaskCall, body: bytes, client: str) -> None:
        super().__init__(call)
        self.body = body
        """The whole call, for the place that runs it."""
        self.client = client
        """The engine that is told of it."""
        self.place: PlaceState | None = None
        self.near = _blocks_in(body)
        """Keys of the blocks that it reads: best run on the node that has them."""
        self.group: Any = None
        """The gang that works on it, if one does."""
        self.unheard: list[bytes] = []
        """What it printed while no engine listened."""


def _blocks_in(body: bytes) -> tuple[str, ...]:
    """Only calls that name a block are looked into."""
    return block_keys(unpack_call(body).arguments) if BLOCK.encode() in body else ()


class PlaceState:
    """A host actor as the supervisor sees it."""

    __slots__ = (
        "actor",
        "address",
        "asked",
        "crew",
        "ended",
        "idle_since",
        "leaving",
        "moved",
        "name",
        "node",
        "recalled",
        "up",
        "window",
    )

    def __init__(self, name: str, crew: Crew | None) -> None:
        self.name = name
        self.crew = crew
        self.actor: Any = None
        self.node = self.address = ""
        self.up = False
        """It said that it can run calls."""
        self.leaving = False
        """Gets no more calls; ends when it has none."""
        self.ended = False
        self.recalled = False
        """It was asked to give back what it has not begun."""
        self.window: dict[str, Attempt] = {}
        """What it was given and has not answered, in this order; the first one runs."""
        self.asked = self.moved = self.idle_since = time.monotonic()


class Crew:
    """The places of one shape, and the calls that wait for one."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.queue = FairQueue()
        self.places: list[PlaceState] = []
        self.hungry_since: float | None = None
        """Since when calls wait and no place of it is up that could take them."""
        self.failures = 0
        """Places in a row that did not come up."""

    @property
    def up(self) -> list[PlaceState]:
        return [place for place in self.places if place.up and not place.leaving]

    @property
    def coming(self) -> list[PlaceState]:
        return [place for place in self.places if not place.up and not place.leaving]


class Verdict:
    """How an attempt ended, kept for an engine that has not heard it yet."""

    __slots__ = ("_delivery", "_repeats", "client", "event")

    def __init__(self, event: bytes, client: str, outcome: Outcome, delivery: int) -> None:
        self.event = event
        self.client = client
        self._repeats = isinstance(outcome, Lost | Cancelled)
        self._delivery = delivery

    def is_of(self, call: TaskCall) -> bool:
        """Whether the call has ended so. What was lost or cancelled runs anew when it is given again, and whatever its
        end was, a later delivery of it does, perhaps with more memory."""
        return not self._repeats and call.delivery <= self._delivery
