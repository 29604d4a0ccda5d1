"""The published policies on the published traces come out as they were measured: the traces have no licence, so they
lie beside the project and not in it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from skylift.pricing.spot.evaluate import evaluate
from skylift.pricing.spot.model import Job
from skylift.pricing.spot.named import OMNISCIENT, POLICIES, PUBLISHED
from skylift.pricing.spot.selection import select_traces

TRACES = Path(__file__).parents[3] / "shared" / "data" / "spot_traces.json"
pytestmark = pytest.mark.skipif(not TRACES.exists(), reason=f"the spot traces are not there: {TRACES}")

MEANS = {
    "0.3": (0.6760, 0.6715, 0.6784, 0.6641, 0.6583, 0.6042),
    "0.1": (0.5671, 0.5567, 0.5620, 0.5444, 0.5395, 0.4756),
}
"""Of greedy, time-sliced, Uniform Progress and Uniform Progress from 0.7, of the best of the four for each
configuration, and of the optimum, with 40 starts. An independent implementation's, published with the task."""


def jobs(ratio: str) -> Iterator[Job]:
    """Work of 12, 24 and 48 h, deadlines of 1.25, 1.5 and 2 times that, changeovers of 0.1, 0.2 and 0.5 h."""
    for work in (360, 720, 1440):
        for deadline in (work * 5 // 4, work * 3 // 2, work * 2):
            for changeover in (3, 6, 15):
                yield Job(work=work, deadline=deadline, changeover=changeover, ratio=Fraction(ratio))


def means(ratio: str, starts: int, names: Sequence[str]) -> dict[str, float]:
    traces = select_traces(TRACES, "availability/aws-10-26-2022").traces
    assert len(traces) == 8
    policies = {name: POLICIES[name] for name in names}
    found = [evaluate(traces, job, starts, policies).policies for job in jobs(ratio)]
    assert all(result.late == 0 for one in found for result in one.values())
    each = {name: statistics.fmean(one[name].cost for one in found) for name in (*names, OMNISCIENT)}
    return each | {"bar": statistics.fmean(min(one[name].cost for name in names) for one in found)}


@pytest.mark.slow
@pytest.mark.parametrize("ratio", MEANS)
def test_all_27_configurations(ratio: str) -> None:
    found = means(ratio, 40, PUBLISHED)
    expected = dict(zip((*PUBLISHED, "bar", OMNISCIENT), MEANS[ratio], strict=True))
    assert found == {name: pytest.approx(value, abs=0.00006) for name, value in expected.items()}


@pytest.mark.parametrize("ratio", MEANS)
def test_a_third_of_the_starts_comes_near(ratio: str) -> None:
    """13 starts instead of 40 say it within 1 %."""
    names = ("greedy", "uniform_progress", "uniform_progress_from_0.7")
    found = means(ratio, 13, names)
    greedy, _, uniform, dense, _, least = MEANS[ratio]
    expected = {"greedy": greedy, "uniform_progress": uniform, "uniform_progress_from_0.7": dense, OMNISCIENT: least}
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=0.01)
