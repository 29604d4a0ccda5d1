"""Skylift's spot policy is never late, whatever the market does and whatever it was made to believe of it."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.pricing.spot.fitting import fit_to_runs
from skylift.pricing.spot.market import BUCKETS, HISTORIES, Kind, Prior
from skylift.pricing.spot.model import Job, Run
from skylift.pricing.spot.omniscient import least_cost
from skylift.pricing.spot.simulate import simulate
from skylift.pricing.spot.skylift_policy import skylift, with_prior

rates = st.lists(
    st.lists(st.floats(1e-4, 50), min_size=BUCKETS, max_size=BUCKETS).map(tuple), min_size=HISTORIES, max_size=HISTORIES
).map(tuple)
kinds = st.builds(Kind, up=rates, down=rates, share=st.floats(0.01, 0.99), weight=st.floats(0.01, 10))
priors = st.builds(Prior, kinds=st.lists(kinds, min_size=1, max_size=3).map(tuple))
ratios = st.sampled_from([Fraction(1, 10), Fraction(3, 10), Fraction(9, 10), Fraction(1)])


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    work, changeover = draw(st.integers(1, 90)), draw(st.integers(0, 12))
    slack = draw(st.integers(changeover, 90))
    return Job(work=work, deadline=work + slack, changeover=changeover, ratio=draw(ratios))


@st.composite
def markets(draw: st.DrawFn, quanta: int) -> list[Run]:
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=30))
    first = draw(st.booleans())
    found = [(first == (number % 2 == 0), length) for number, length in enumerate(lengths)]
    return [*found, (not found[-1][0], quanta)]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_never_late_and_never_below_the_optimum(data: st.DataObject) -> None:
    job = data.draw(jobs())
    window = data.draw(markets(job.deadline))
    done = simulate(job, window, with_prior(data.draw(priors))(job))
    assert not done.late(job)
    assert done.cost(job) >= least_cost(job, window)


@given(jobs(), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_a_market_that_takes_spot_away_as_soon_as_it_is_paid_for_does_not_make_it_late(job: Job, grace: int) -> None:
    """Spot lasts the changeover and little more, and is back at once."""
    up = max(1, job.changeover + grace - 1)
    window = [run for _ in range(job.deadline) for run in ((True, up), (False, 1))]
    assert not simulate(job, window, skylift(job)).late(job)


@given(jobs(), st.data())
@settings(max_examples=60, deadline=None)
def test_nor_does_one_that_gives_and_takes_at_the_worst_moments(job: Job, data: st.DataObject) -> None:
    """Up for about a changeover, each time another one, and down for no longer than a quantum or two."""
    around = st.integers(max(1, job.changeover - 2), job.changeover + 3)
    pairs = data.draw(st.lists(st.tuples(around, st.integers(1, 3)), min_size=1, max_size=40))
    window = [run for _ in range(job.deadline) for up, down in pairs for run in ((True, up), (False, down))]
    done = simulate(job, window, skylift(job))
    assert not done.late(job) and done.cost(job) >= least_cost(job, window)


@given(jobs())
@settings(max_examples=20, deadline=None)
def test_spot_that_is_always_there_costs_the_least_there_is(job: Job) -> None:
    done = simulate(job, [(True, job.deadline)], skylift(job))
    if job.slack >= max(10, 3 * job.changeover) and job.ratio < 1:
        assert (done.on_demand, done.preemptions) == (0, 0)


def test_a_prior_of_one_market_that_never_changed_can_be_fitted() -> None:
    prior = fit_to_runs([[(True, 5_000)]])
    job = Job(work=60, deadline=120, changeover=3, ratio=Fraction(3, 10))
    assert not simulate(job, [(False, 120)], with_prior(prior)(job)).late(job)
