"""Steps of the engine on spot, in the simulated cloud: they cost what the policy costs in the simulator of jobs, less
than waiting for the safety net, and end by their deadline. The markets are made up here."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from spot_rehearsal import rehearse

from skylift.asl.events import TaskRedelivered, TaskSucceeded, Usage
from skylift.pricing.spot.model import QUANTUM_MS, Job, Run
from skylift.pricing.spot.policies import greedy
from skylift.pricing.spot.simulate import simulate
from skylift.pricing.spot.skylift_policy import skylift

HOUR_MS = 3_600_000
CHANGEOVER = 2
"""Quanta: machines of the batch queue come after one to four minutes."""


class Told:
    """What the deliveries of the step were, and when the run was over."""

    def __init__(self, usages: Sequence[Usage], causes: Sequence[str], hours: float) -> None:
        self.causes = causes
        self.hours = hours
        self.on_demand = sum(_hours(one) for one in usages if one.market == "on-demand")
        self.spot = sum(_hours(one) for one in usages if one.market == "spot")
        self.paid = sum(one.cost_usd_micro or 0 for one in usages)

    def cost(self, job: Job) -> float:
        """Over on-demand only, as the simulator counts."""
        return (self.on_demand + float(job.ratio) * self.spot) / ((job.work + job.changeover) * QUANTUM_MS / HOUR_MS)


def _hours(usage: Usage) -> float:
    return ((usage.startup_ms or 0) + (usage.duration_ms or 0)) / HOUR_MS


def run_step(folder: Path, window: Sequence[Run], work: int, deadline: int, checkpoint: str = "2m") -> Told:
    """One run of it in virtual time, on that market."""
    trace = {"first": int(window[0][0]), "runs": [*(quanta for _, quanta in window), 1], "gap_seconds": 120}
    entries = rehearse(folder, trace, work=f"{work}h", deadline=f"{deadline}h", checkpoint=checkpoint)
    told = [one.event for one in entries if isinstance(one.event, TaskRedelivered | TaskSucceeded)]
    usages = [event.usage for event in told if event.usage is not None]
    causes = [event.cause for event in told if isinstance(event, TaskRedelivered)]
    return Told(usages, causes, (entries[-1].at_ms - entries[0].at_ms) / HOUR_MS)


def market(seed: int, hours: int) -> list[Run]:
    """Times with and without spot whose lengths are spread over minutes and hours: many short, some long."""
    draw = random.Random(f"spot-steps-{seed}")
    runs: list[Run] = []
    available, left = draw.random() < 0.5, hours * 30
    while left > 0:
        length = max(1, round(draw.lognormvariate(3.2 if available else 2.9, 1.6)))
        runs.append((available, min(length, left)))
        available, left = not available, left - length
    return runs


@pytest.mark.slow
@pytest.mark.parametrize(("work", "deadline"), [(12, 16), (24, 30)])
def test_a_step_costs_what_the_policy_does_and_less_than_waiting(tmp_path: Path, work: int, deadline: int) -> None:
    job = Job(work=work * 30, deadline=deadline * 30, changeover=CHANGEOVER, ratio=Fraction(29, 100))
    real, ours, waiting = [], [], []
    for seed in range(12):
        window = market(seed, deadline)
        told = run_step(tmp_path / str(seed), window, work, deadline)
        assert told.hours <= deadline
        real.append(told.cost(job))
        ours.append(float(simulate(job, window, skylift(job)).cost(job)))
        waiting.append(float(simulate(job, window, greedy(job)).cost(job)))
    assert statistics.fmean(real) == pytest.approx(statistics.fmean(ours), rel=0.03)
    assert statistics.fmean(real) < 0.95 * statistics.fmean(waiting)


GAP_IN_THE_MIDDLE: list[Run] = [(True, 60), (False, 150), (True, 600)]
"""Two hours with spot, five without, and spot from then on."""


def test_on_demand_is_left_again_with_all_its_work(tmp_path: Path) -> None:
    told = run_step(tmp_path / "step", GAP_IN_THE_MIDDLE, work=12, deadline=15)
    assert told.causes[0] == "the spot machine was taken away"
    assert "taken back from on-demand: it saved its state and left" in told.causes
    assert 1 < told.on_demand < 6 and told.hours <= 15
    repeated = told.on_demand + told.spot - 12
    assert repeated < 0.5  # start-ups, and less than a checkpoint's worth of work


def test_what_has_kept_no_work_waits_for_the_safety_net_and_stays(tmp_path: Path) -> None:
    """Its checkpoints are further apart than its machine lasts: having lost all of it once, it could not come back."""
    gap: list[Run] = [(True, 60), (False, 330), (True, 330)]
    told = run_step(tmp_path / "step", gap, work=12, deadline=24, checkpoint="20h")
    assert told.causes == ["the spot machine was taken away", "no spot machine came in time"]
    assert told.on_demand > 12 and 23 < told.hours <= 24
