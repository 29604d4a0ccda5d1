"""Leases of attempts whose machine slept, or whose clock was set: who holds them renews them, and nothing is lost."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skylift.compute.attempts.watcher import Watcher, _Watched
from skylift.compute.batch.agent import Agent
from skylift.compute.process.leases import Leases, workers_of
from skylift.compute.ray import keeper
from skylift.compute.worker.solo_lease import GRACE_S, LOOK_S, LeaseLook

HOUR_S = 3_600.0


class Clocks:
    """The wall's, and the one that stands still while a machine sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.monotonic = 1_000_000.0, 1_000.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic", lambda: self.monotonic)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def sleeps(self, seconds: float) -> None:
        self.wall += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


class Folder:
    started, alive = True, True

    def __init__(self) -> None:
        self.until_ms: list[int] = []

    def outcome(self) -> None:
        return None

    def renew(self, until_ms: int) -> None:
        self.until_ms.append(until_ms)


def test_a_supervisor_waits_for_its_engine_after_a_sleep() -> None:
    """It ended the attempt of every laptop that was closed for longer than the lease."""
    lease = LeaseLook()
    assert lease.look(1_600.0, 1_000.0, 50.0) == (False, LOOK_S)
    assert lease.look(1_600.0, 1_010.0 + HOUR_S, 60.0) == (False, GRACE_S)
    assert lease.look(1_600.0, 1_040.0 + HOUR_S, 90.0)[0], "nobody has renewed it"
    renewed = LeaseLook()
    renewed.look(1_600.0, 1_000.0, 50.0)
    renewed.look(1_600.0, 1_010.0 + HOUR_S, 60.0)
    assert renewed.look(6_000.0, 1_040.0 + HOUR_S, 90.0) == (False, LOOK_S)


def test_a_lease_that_is_over_without_a_sleep_is_over() -> None:
    assert LeaseLook().look(1_000.0, 1_000.0, 50.0)[0]
    lease = LeaseLook()
    assert lease.look(1_060.0, 1_000.0, 50.0) == (False, 60.0)
    assert lease.look(1_060.0, 1_060.5, 110.0)[0]


@pytest.mark.parametrize("jump", [HOUR_S, -HOUR_S])
def test_what_an_engine_watches_is_renewed_at_the_first_look_after_a_sleep(clocks: Clocks, jump: float) -> None:
    """It was at a third of the lease by the clock that had stood still; or never, where the clock was set back."""
    watcher, folder = Watcher(lambda folder, outcome: None, lease_ms=600_000), Folder()
    watched: Any = _Watched(folder)  # type: ignore[arg-type]
    try:
        watcher._look_at([watched], clocks.monotonic)
        clocks.passes(2.0)
        watcher._look_at([watched], clocks.monotonic)
        assert folder.until_ms == [1_000_600_000]
        clocks.sleeps(jump)
        watcher._look_at([watched], clocks.monotonic)
        assert folder.until_ms == [1_000_600_000, int(1_000_602_000 + jump * 1_000)]
    finally:
        watcher.close()


def test_workers_are_renewed_within_seconds_after_a_sleep(clocks: Clocks, tmp_path: Path) -> None:
    leases = Leases(tmp_path, 600.0)
    leases.begin(os.getpid(), "worker 1")
    clocks.passes(leases.next - clocks.monotonic)
    leases.renew()
    [held] = workers_of(tmp_path, "process")
    clocks.sleeps(HOUR_S)
    assert leases.next - clocks.monotonic <= 10.0
    clocks.passes(leases.next - clocks.monotonic)
    leases.renew()
    [now] = workers_of(tmp_path, "process")
    assert now.until_ms - held.until_ms >= HOUR_S * 1_000
    clocks.passes(leases.next - clocks.monotonic)
    leases.renew()
    assert workers_of(tmp_path, "process") == [now], "it is written at a third of the lease only"


def test_a_machine_of_the_pool_waits_for_its_engine_after_a_sleep(clocks: Clocks) -> None:
    """It ended itself within half a second, with all that ran on it."""
    machine = SimpleNamespace(until_ms=(clocks.wall + 600) * 1_000)
    agent = Agent.__new__(Agent)
    agent._machine, agent._lease, agent._ending = machine, LeaseLook(), None  # type: ignore[assignment]
    agent._check_lease(clocks.monotonic)
    clocks.sleeps(HOUR_S)
    assert agent._check_lease(clocks.monotonic) == GRACE_S and agent._ending is None
    clocks.passes(GRACE_S)
    agent._check_lease(clocks.monotonic)
    assert agent._ending is not None, "nobody has renewed it"


def test_a_cluster_started_here_waits_for_its_engine_after_a_sleep(
    clocks: Clocks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ray was ended within a second, with all that ran in it."""
    until_ms = (clocks.wall + 600) * 1_000
    cluster = keeper.Keeper.__new__(keeper.Keeper)
    cluster._folder, cluster._stopping = tmp_path, False
    cluster._ray = SimpleNamespace(poll=lambda: None)  # type: ignore[assignment]
    monkeypatch.setattr(keeper, "last_lease_ms", lambda folder: until_ms)
    monkeypatch.setattr(cluster, "_note_processes", lambda: None)
    monkeypatch.setattr(cluster, "_is_over", lambda: True)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clocks.passes(seconds)
        if len(slept) == 1:
            clocks.sleeps(HOUR_S)

    monkeypatch.setattr(time, "sleep", sleep)
    cluster.keep()
    assert sum(slept) >= GRACE_S
