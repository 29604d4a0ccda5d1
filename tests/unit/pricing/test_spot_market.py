"""The model of spot markets: its means, its draws, what it learns, what is fitted, and what the tables say of it."""

from __future__ import annotations

import itertools
import random
import statistics
from fractions import Fraction

import pytest

from skylift.ports.spot import SpotState
from skylift.pricing.spot.fitting import fit_to_runs
from skylift.pricing.spot.live import safety_net
from skylift.pricing.spot.market import BUCKETS, HISTORIES, Belief, Chances, Kind, Market, Prior, phase, shipped_prior
from skylift.pricing.spot.model import Job, View
from skylift.pricing.spot.outlook import believed, outlook
from skylift.pricing.spot.skylift_policy import skylift, tables, with_prior
from skylift.pricing.spot.values import Values


def constant(up: float, down: float) -> Kind:
    """So many ends per hour, whatever the age."""
    return Kind(
        up=((up,) * BUCKETS,) * HISTORIES,
        down=((down,) * BUCKETS,) * HISTORIES,
        share=down / (up + down) if up else 0.99,
    )


def test_a_constant_rate_has_its_mean_and_its_median() -> None:
    chances = Chances((0.5,) * BUCKETS)
    assert chances.mean == pytest.approx(2.0, rel=0.01)
    assert chances.start == pytest.approx(1.386, rel=0.06)
    assert chances.sum_to(4.0) == pytest.approx(2.0)


def test_draws_have_the_mean_of_what_they_are_drawn_from() -> None:
    chances, draw = Chances((3.0, 1.0, 0.5, 0.2, 0.1)), random.Random(1)
    ages = [chances.drawn(1.0 - draw.random()) for _ in range(20_000)]
    assert statistics.fmean(ages) == pytest.approx(chances.mean, rel=0.05)
    assert all(chances.drawn(1.0 - draw.random(), 5.0) >= 5.0 for _ in range(100))


def test_windows_have_the_share_of_their_kind() -> None:
    market, draw = Market(constant(1.0, 3.0)), random.Random(1)
    window = market.window(200_000, draw)
    assert sum(quanta for _, quanta in window) == 200_000
    assert sum(quanta for up, quanta in window if up) / 200_000 == pytest.approx(0.75, abs=0.03)


def test_what_is_seen_tells_kinds_apart() -> None:
    belief = Belief([Market(constant(0.1, 0.1)), Market(constant(3.0, 3.0))])
    (_, before, _), _ = belief.weights(True, 0.0)
    assert before == pytest.approx(0.5)
    for number in range(6):
        belief.observe(number % 2 == 0, 0.3)
    (number, weight, where), *others = belief.weights(True, 0.1)
    assert (number, others, where) == (1, [], phase(True, 0, 0)) and weight > 0.99


def test_fitting_finds_the_rates_that_runs_were_drawn_with() -> None:
    draw = random.Random(3)
    calm, wild = Market(constant(0.25, 0.5)), Market(constant(2.0, 1.0))
    prior = fit_to_runs([calm.window(300_000, draw), wild.window(300_000, draw)])
    for kind, up, share in zip(prior.kinds, (0.25, 2.0), (2 / 3, 1 / 3), strict=True):
        assert kind.share == pytest.approx(share, abs=0.05)
        assert kind.up[1][2] == pytest.approx(up, rel=0.3) and kind.up[1][1] == pytest.approx(up, rel=0.3)
    with pytest.raises(ValueError, match="at least one market"):
        fit_to_runs([])


def test_the_shipped_prior_has_whole_tables_of_positive_rates() -> None:
    prior = shipped_prior()
    assert len(prior.kinds) == 8 and prior.source
    for kind in prior.kinds:
        assert 0 < kind.share < 1
        for table in (kind.up, kind.down):
            assert [len(row) for row in table] == [BUCKETS] * HISTORIES and all(
                rate > 0 for row in table for rate in row
            )


def test_tables_of_markets_that_never_change() -> None:
    always = Values(10.0, 5.0, 0.2, 0.3, constant(1e-9, 10.0))
    assert always.at(always.spot, 8.0, 3.0, phase(True, 1, 4)) == pytest.approx(2.4, rel=1e-3)
    never = Values(10.0, 5.0, 0.2, 0.3, constant(10.0, 1e-9))
    assert never.at(never.idle, 8.0, 3.0, phase(False, 1, 4)) == pytest.approx(8.2, rel=1e-3)
    assert never.after_launch(8.0, 3.0, phase(False, 1, 4)) == pytest.approx(8.0, rel=1e-3)


def test_more_slack_and_less_work_never_cost_more() -> None:
    values = Values(12.0, 6.0, 0.2, 0.3, shipped_prior().kinds[2])
    where = phase(False, 1, 0)
    by_slack = [values.at(values.idle, 9.0, slack / 2, where) for slack in range(1, 13)]
    by_work = [values.at(values.idle, work, 3.0, where) for work in range(1, 13)]
    assert all(after <= before + 1e-6 for before, after in itertools.pairwise(by_slack))
    assert all(after >= before for before, after in itertools.pairwise(by_work))


@pytest.mark.parametrize("kind", [constant(0.5, 0.5), constant(2.0, 1.0), shipped_prior().kinds[3]])
def test_the_tables_foretell_what_the_policy_costs(kind: Kind) -> None:
    """Solved on a coarse grid, and played through quantum by quantum. The tables hope a little: a market stands still
    during their changeovers."""
    job = Job(work=360, deadline=540, changeover=6, ratio=Fraction(3, 10))
    prior = Prior(kinds=(kind,))
    played = outlook(job, believed(job, prior, samples=600, seed=5), with_prior(prior)).cost * 12.2
    policy, foretold = with_prior(prior)(job), 0.0
    for available, share in ((True, kind.share), (False, 1 - kind.share)):
        view = View(job)
        view.available = available
        foretold += share * min(policy.costs(view))  # type: ignore[attr-defined]
    assert 0.98 * foretold <= played <= 1.13 * foretold


def test_tables_are_made_once_for_a_shape_of_job() -> None:
    job = Job(work=30, deadline=60, changeover=3, ratio=Fraction(3, 10))
    assert tables(job, shipped_prior()) is tables(job, shipped_prior())
    assert skylift(job) is not skylift(job)


def test_a_step_that_waits_keeps_the_time_until_it_is_asked_again_in_reserve() -> None:
    facts = {"now_ms": 0, "elapsed_ms": 0, "done_ms": 0, "changeover_ms": 0, "preemptions": 0}
    state = SpotState(**facts, work_ms=50_000, deadline_ms=70_000, market=None)
    assert safety_net(state) == "spot"
    late = SpotState(**facts, work_ms=50_000, deadline_ms=70_000, market="spot", asked_again_ms=30_000)
    assert safety_net(late) == "on-demand"
