"""What in the simulated cloud is asked to leave: while its place comes, while it runs, with nothing kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from skylift.compute.simulated.backend import SimulatedBackend
from skylift.compute.simulated.traces import TraceMarket
from skylift.config.backends import SimulatedSettings
from skylift.ports.compute import Lost, Outcome, Requirements, Succeeded, TaskCall
from skylift.pricing.catalogue import catalogue
from skylift.pricing.spot.traces import Trace
from skylift.testing.backends import call
from skylift.testing.clock import START_MS, VirtualClock

HOUR_MS = 3_600_000
GAP_MS = 60_000


class StillPace:
    """Time that the test moves."""

    speed = None

    def __init__(self) -> None:
        self.clock = VirtualClock()

    def attach(self, timed: object) -> None:
        pass

    def wake(self) -> None:
        pass


class Cloud:
    """Spot for two hours, then not for ten, and so on; its tasks work for five hours and keep what they have done every
    two minutes."""

    def __init__(self, **settings: Any) -> None:
        self.pace = StillPace()
        self.told: list[Outcome] = []
        trace = Trace(name="t", first=True, runs=(120, 600), gap_ms=GAP_MS)
        self.backend = SimulatedBackend(
            lambda token, outcome: self.told.append(outcome),  # type: ignore[arg-type]
            self.pace,
            settings=SimulatedSettings(services=("batch",), **settings),
            catalogue=catalogue(),
            market_of=lambda name: TraceMarket(trace, START_MS),
            hands=lambda report: None,  # type: ignore[arg-type, return-value]
            results={"train": 1},
        )

    def wait(self, ms: int) -> None:
        self.pace.clock.advance(ms)
        self.backend.tick(self.pace.clock.now_ms())

    def give(self, market: str, delivery: int = 1) -> TaskCall:
        needs = Requirements(spot=True, gpu="V100", work_ms=5 * HOUR_MS, deadline_ms=20 * HOUR_MS)
        one = call("train", requirements=needs)
        one = msgspec.structs.replace(one, token="t", task="train", visit="v", market=market, delivery=delivery)
        self.backend.submit([one])
        return one


def test_what_has_saved_work_leaves_while_its_next_place_comes() -> None:
    """Else it would be asked in vain, and nobody asks twice."""
    cloud = Cloud(checkpoint="2m")
    cloud.give("spot")
    cloud.wait(2 * HOUR_MS)
    cloud.give("on-demand", 2)
    cloud.wait(30_000)
    assert cloud.backend.standings(["t"])["t"].saved_ms > HOUR_MS
    cloud.backend.release(["t"])
    taken, left = cloud.told
    assert isinstance(taken, Lost) and isinstance(left, Lost) and left.preempted
    assert taken.usage is not None and left.usage is not None
    assert left.usage.saved_ms == taken.usage.saved_ms
    assert (left.usage.startup_ms, left.usage.duration_ms) == (30_000.0, 0.0)
    assert (left.usage.cost_usd_micro or 0) > 0
    cloud.give("on-demand", 3)
    cloud.wait(5 * HOUR_MS)
    done = cloud.told[-1]
    assert isinstance(done, Succeeded) and done.usage is not None
    assert (done.usage.duration_ms or 0) + (left.usage.saved_ms or 0) == 5 * HOUR_MS


@pytest.mark.parametrize("ms", [0, 30_000, HOUR_MS])
def test_what_keeps_nothing_goes_on_as_if_nothing_had_been_said(ms: int) -> None:
    cloud = Cloud()
    cloud.give("on-demand")
    cloud.wait(ms)
    cloud.backend.release(["t"])
    assert not cloud.told
    cloud.wait(6 * HOUR_MS)
    (done,) = cloud.told
    assert isinstance(done, Succeeded)


def test_what_waits_for_its_place_or_has_ended_is_not_asked() -> None:
    cloud = Cloud(checkpoint="2m")
    cloud.wait(3 * HOUR_MS)
    cloud.give("spot")
    cloud.backend.release(["t", "nobody"])
    assert not cloud.told and cloud.backend.poll(["t"]) == {"t": "queued"}
    cloud.backend.cancel(["t"])
    cloud.backend.release(["t"])
    assert len(cloud.told) == 1


def test_what_is_asked_twice_leaves_once() -> None:
    cloud = Cloud(checkpoint="2m")
    cloud.give("on-demand")
    cloud.wait(HOUR_MS)
    cloud.backend.release(["t"])
    cloud.backend.release(["t"])
    (left,) = cloud.told
    assert isinstance(left, Lost) and left.usage is not None
    assert left.usage.saved_ms == left.usage.duration_ms
