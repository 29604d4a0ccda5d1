"""Skylift's spot policy on recorded markets that its prior has not seen: cheaper than the published ones, never late.
The traces have no licence, so they lie beside the project and not in it."""

from __future__ import annotations

import statistics
from fractions import Fraction
from pathlib import Path

import pytest

from skylift.pricing.spot.evaluate import evaluate
from skylift.pricing.spot.fitting import fit
from skylift.pricing.spot.model import Job
from skylift.pricing.spot.named import POLICIES, Variant
from skylift.pricing.spot.selection import select_traces
from skylift.pricing.spot.skylift_policy import with_prior
from skylift.pricing.spot.zones_evaluate import evaluate_zones

TRACES = Path(__file__).parents[3] / "shared" / "data" / "spot_traces.json"
pytestmark = pytest.mark.skipif(not TRACES.exists(), reason=f"the spot traces are not there: {TRACES}")

RECORDED = "availability/aws-10-26-2022"
BESIDE = ("greedy", "uniform_progress", "uniform_progress_from_0.7")
JOBS = [(360, 450, 6), (360, 540, 3), (720, 900, 15), (720, 1440, 3)]
"""Quanta of work, deadline and changeover."""


@pytest.mark.parametrize("ratio", ["0.3", "0.1"])
def test_markets_of_the_other_zone(ratio: str) -> None:
    """The prior knows one zone, and the policy is judged on the other; both ways."""
    zones = [select_traces(TRACES, f"{RECORDED}/us-west-2{letter}").traces for letter in "ab"]
    ours, bar = [], []
    for work, deadline, changeover in JOBS:
        job = Job(work=work, deadline=deadline, changeover=changeover, ratio=Fraction(ratio))
        costs: dict[str, list[float]] = {}
        for known, judged in (zones, zones[::-1]):
            skylift = Variant(make=with_prior(fit(known)))
            policies = {"skylift": (skylift,), **{name: POLICIES[name] for name in BESIDE}}
            found = evaluate(judged, job, 6, policies)
            assert found.policies["skylift"].late == 0
            for name, result in found.policies.items():
                costs.setdefault(name, []).append(result.cost)
        means = {name: statistics.fmean(both) for name, both in costs.items()}
        assert means["omniscient"] < means["skylift"] < means["uniform_progress"]
        ours.append(means["skylift"])
        bar.append(min(means[name] for name in BESIDE))
    assert statistics.fmean(ours) < 0.98 * statistics.fmean(bar)


@pytest.mark.parametrize("machine", ["k80_8", "v100_1", "v100_8"])
def test_two_zones_cost_less_than_the_better_one(machine: str) -> None:
    traces = select_traces(TRACES, f"_{machine}").traces
    job = Job(work=360, deadline=540, changeover=6, ratio=Fraction(3, 10))
    found = evaluate_zones([trace for trace in traces if RECORDED in trace.name], job, 8, {})
    assert found.late == 0 and found.vs_best_alone < 1
