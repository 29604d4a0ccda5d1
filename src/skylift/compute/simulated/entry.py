"""One attempt in the simulated cloud."""

from __future__ import annotations

from enum import Enum

from skylift.ports.compute import Outcome, TaskCall
from skylift.pricing.places import Place


class Phase(Enum):
    QUEUED = 1
    """Waits for room, or for a market."""
    LAUNCHED = 2
    """Its place comes, or its function runs."""


class Entry:
    """A call, the place that is bought for it, and its times on the cloud's clock."""

    __slots__ = (
        "began_ms",
        "call",
        "launched_ms",
        "lost_at_ms",
        "number",
        "phase",
        "place",
        "really",
        "released",
        "result",
        "taken",
        "warned",
    )

    def __init__(self, call: TaskCall, place: Place) -> None:
        self.call = call
        self.place = place
        self.phase = Phase.QUEUED
        self.number = 0
        """Of its launch, in order."""
        self.launched_ms = 0
        self.began_ms = 0
        """When its function begins: known from the launch on."""
        self.lost_at_ms: int | None = None
        """When the market takes its machine away, if it has not ended before."""
        self.really = False
        """Whether its function runs in a worker process at this moment."""
        self.released = False
        """Whether it was asked to save its state and leave, and did."""
        self.taken = False
        """Whether its worker was killed because the machine is gone."""
        self.warned = False
        """Whether its worker was told that the machine will be gone."""
        self.result: Outcome | None = None
        """What the function really came to."""

    @property
    def token(self) -> str:
        return self.call.token

    @property
    def pool(self) -> str:
        """What it waits for together with others."""
        place = self.place
        market = f"{place.cloud}/{place.region}/{place.instance_type}" if place.market == "spot" else ""
        return f"{place.service}/{market}/{place.market}"
