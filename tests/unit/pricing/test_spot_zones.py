"""Several zones: what happens at a launch, a loss and a move, and that a choice is not worse than having none."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.pricing.spot.model import Job, JobInvalid, Run
from skylift.pricing.spot.simulate import simulate
from skylift.pricing.spot.skylift_policy import skylift
from skylift.pricing.spot.traces import Trace, TraceInvalid
from skylift.pricing.spot.zones import simulate_zones, together, zones_policy
from skylift.pricing.spot.zones_evaluate import evaluate_zones

JOB = Job(work=60, deadline=120, changeover=3, ratio=Fraction(3, 10))
UP: list[Run] = [(True, 120)]
DOWN: list[Run] = [(False, 120)]


def cost(windows: list[list[Run]], ratios: list[str]) -> float:
    prices = [Fraction(ratio) for ratio in ratios]
    done = simulate_zones(JOB, windows, prices, zones_policy(JOB, prices))
    assert not done.late(JOB)
    return float(done.cost(JOB, prices))


def test_states_of_all_zones_are_cut_at_every_change() -> None:
    found = list(together([[(True, 3), (False, 7)], [(False, 5), (True, 5)]], 8))
    assert found == [((True, False), 3), ((False, False), 5), ((False, True), 8)]


def test_the_only_zone_with_spot_is_taken_and_the_cheaper_of_two() -> None:
    assert cost([DOWN, UP], ["0.3", "0.3"]) == pytest.approx(0.3)
    assert cost([UP, UP], ["0.6", "0.2"]) == pytest.approx(0.2)


def test_one_who_loses_spot_goes_on_in_another_zone_for_a_changeover() -> None:
    windows: list[list[Run]] = [[(True, 30), (False, 90)], [(False, 30), (True, 90)]]
    assert cost(windows, ["0.3", "0.3"]) == pytest.approx(0.3 * (63 + 3) / 63)


def test_a_dearer_zone_is_left_for_a_cheaper_one_that_opens() -> None:
    assert cost([UP, [(False, 20), (True, 100)]], ["0.9", "0.1"]) < 0.5 < cost([UP, DOWN], ["0.9", "0.1"])


def test_one_zone_is_the_single_market() -> None:
    window: list[Run] = [(True, 20), (False, 10), (True, 5), (False, 40), (True, 45)]
    alone = simulate(JOB, window, skylift(JOB))
    done = simulate_zones(JOB, [window], [JOB.ratio], zones_policy(JOB, [JOB.ratio]))
    assert (done.spot, done.on_demand, done.ended) == ((alone.spot,), alone.on_demand, alone.ended)


runs = st.lists(st.tuples(st.booleans(), st.integers(1, 25)), max_size=12).map(
    lambda found: [*((number % 2 == 0, length) for number, (_, length) in enumerate(found)), (len(found) % 2 == 0, 120)]
)


@given(st.lists(runs, min_size=1, max_size=3), st.integers(60, 120), st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_never_late(windows: list[list[Run]], deadline: int, changeover: int) -> None:
    job = Job(work=60 - changeover, deadline=deadline, changeover=changeover, ratio=Fraction(3, 10))
    prices = [Fraction(number + 2, 10) for number in range(len(windows))]
    assert not simulate_zones(job, windows, prices, zones_policy(job, prices)).late(job)


def test_what_does_not_fit_together_is_said() -> None:
    east = Trace(name="east", gap_ms=120_000, first=True, runs=(300,))
    with pytest.raises(TraceInvalid, match="only east is chosen"):
        evaluate_zones([east], JOB, 2, {})
    with pytest.raises(JobInvalid, match="west, which is not among the zones"):
        evaluate_zones([east, east], JOB, 2, {"west": Fraction(1, 2)})
    with pytest.raises(JobInvalid, match="2 zones and 1 prices"):
        simulate_zones(JOB, [UP, DOWN], [JOB.ratio], zones_policy(JOB, [JOB.ratio]))


@pytest.mark.parametrize("gap_ms", [120_000, 70_000, 600_000, 86_400_000])
def test_zones_that_were_looked_at_more_or_less_often_are_started_at_the_same_times(gap_ms: int) -> None:
    """The longer trace was cut to whole ticks of its own, so its last starts lay earlier than those of the other."""
    east = Trace(name="east", gap_ms=120_000, first=True, runs=(100, 63, 100))
    ticks = -(-263 * 120_000 // gap_ms) + 3
    west = Trace(name="west", gap_ms=gap_ms, first=True, runs=(ticks,))
    found = evaluate_zones([east, west], JOB, 5, {})
    assert found.alone["west"] == pytest.approx(0.3)
    assert found.alone["east"] == evaluate_zones([east, east], JOB, 5, {}).alone["east"]


def test_an_evaluation_compares_with_the_best_zone_alone() -> None:
    zones = [
        Trace(name="east", gap_ms=120_000, first=True, runs=(100, 200, 100)),
        Trace(name="west", gap_ms=120_000, first=False, runs=(100, 150, 150)),
    ]
    found = evaluate_zones(zones, JOB, 5, {"west": Fraction(1, 5)})
    assert found.late == 0 and found.cost <= min(found.alone.values())
    assert found.vs_best_alone == pytest.approx(found.cost / found.alone[found.best_alone])
