"""Every spot policy, on generated markets: in time, never below the optimum, accounts that add up, eyes on the past."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.pricing.spot.model import Job, Mode, Policy, Run, View
from skylift.pricing.spot.named import POLICIES, Variant
from skylift.pricing.spot.omniscient import least_cost
from skylift.pricing.spot.simulate import simulate
from skylift.pricing.spot.windows import merged

VARIANTS = [
    pytest.param(variant, id=f"{name}-{number}")
    for name, variants in POLICIES.items()
    for number, variant in enumerate(variants)
]


@st.composite
def markets(draw: st.DrawFn, quanta: int) -> list[bool]:
    lengths = draw(st.lists(st.integers(1, 25), min_size=1, max_size=30))
    first = draw(st.booleans())
    values = itertools.chain.from_iterable([first == (k % 2 == 0)] * n for k, n in enumerate(itertools.cycle(lengths)))
    return list(itertools.islice(values, quanta))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Job, list[bool]]:
    changeover = draw(st.integers(0, 6))
    work = draw(st.integers(1, 80))
    deadline = work + changeover + draw(st.integers(0, 90))
    ratio = draw(st.sampled_from([Fraction(1, 10), Fraction(3, 10), Fraction(9, 10)]))
    job = Job(work=work, deadline=deadline, changeover=changeover, ratio=ratio)
    return job, draw(markets(deadline))


def runs_of(market: list[bool]) -> list[Run]:
    return merged((value, 1) for value in market)


class Recorded(Policy):
    """Another policy, asked at every quantum; what it answered is kept."""

    def __init__(self, asked: Policy) -> None:
        self.asked = asked
        self.answers: list[Mode] = []

    def decide(self, view: View) -> Mode:
        self.answers.append(self.asked.decide(view))
        return self.answers[-1]

    def observe(self, available: bool, quanta: int) -> None:
        self.asked.observe(available, quanta)


@pytest.mark.parametrize("variant", VARIANTS)
@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_in_time_and_never_below_the_optimum(variant: Variant, case: tuple[Job, list[bool]]) -> None:
    job, market = case
    outcome = simulate(job, runs_of(market), variant.make(job))
    assert not outcome.late(job)
    assert outcome.cost(job) >= least_cost(job, runs_of(market))


@pytest.mark.parametrize("variant", VARIANTS)
@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_an_answer_stands_as_long_as_the_policy_says(variant: Variant, case: tuple[Job, list[bool]]) -> None:
    job, market = case
    patient = simulate(job, runs_of(market), variant.make(job))
    assert patient == simulate(job, runs_of(market), Recorded(variant.make(job)))


@pytest.mark.parametrize("variant", VARIANTS)
@given(case=cases(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_policy_does_not_see_what_is_to_come(
    variant: Variant, case: tuple[Job, list[bool]], data: st.DataObject
) -> None:
    job, market = case
    same = data.draw(st.integers(0, job.deadline), label="quanta in which both markets are the same")
    other = market[:same] + data.draw(markets(job.deadline - same), label="and what follows")
    one, two = Recorded(variant.make(job)), Recorded(variant.make(job))
    simulate(job, runs_of(market), one)
    simulate(job, runs_of(other), two)
    assert one.answers[:same] == two.answers[:same]


class Whims(Policy):
    """Answers that were drawn beforehand; spot only where there is some."""

    def __init__(self, wishes: list[Mode]) -> None:
        self._wishes = wishes

    def decide(self, view: View) -> Mode:
        wish = self._wishes[view.t]
        return "idle" if wish == "spot" and not view.available else wish


@given(case=cases(), data=st.data())
@settings(max_examples=300, deadline=None)
def test_accounts_are_those_of_a_plain_walk(case: tuple[Job, list[bool]], data: st.DataObject) -> None:
    job, market = case
    modes: st.SearchStrategy[Mode] = st.sampled_from(["idle", "spot", "on-demand"])
    stretches = data.draw(st.lists(st.tuples(modes, st.integers(1, 30)), min_size=1, max_size=12))
    wishes = [mode for mode, quanta in stretches for _ in range(quanta)]
    wishes += ["on-demand"] * job.deadline
    outcome = simulate(job, runs_of(market), Whims(wishes))
    assert (outcome.spot, outcome.on_demand, outcome.ended, outcome.launches) == plain_walk(job, market, wishes)
    assert outcome.spot + outcome.on_demand <= job.work + job.changeover * outcome.launches
    assert outcome.spot + outcome.on_demand <= outcome.ended
    assert outcome.late(job) == (outcome.ended > job.deadline)


def plain_walk(job: Job, market: list[bool], wishes: list[Mode]) -> tuple[int, int, int, int]:
    """Quantum by quantum, as the setting is told; after the deadline the job is on on-demand."""
    mode, waiting, progress, launches = "idle", 0, 0, 0
    held = {"idle": 0, "spot": 0, "on-demand": 0}
    for t in itertools.count():
        if progress == job.work:
            return held["spot"], held["on-demand"], t, launches
        wanted = wishes[t] if t < job.deadline else "on-demand"
        if wanted == "spot" and not market[t]:
            wanted = "idle"
        if t < job.deadline and mode == "spot" and not market[t]:
            mode = "idle"
        if wanted != mode:
            mode, waiting = wanted, job.changeover
            launches += wanted != "idle"
        held[mode] += 1
        if mode != "idle":
            waiting, progress = (waiting - 1, progress) if waiting else (0, progress + 1)
    raise AssertionError


def test_spot_may_dry_up_for_ever() -> None:
    job = Job(work=10, deadline=14, changeover=2, ratio=Fraction(3, 10))
    window: list[Run] = [(False, 14)]
    for variants in POLICIES.values():
        outcome = simulate(job, window, variants[0].make(job))
        assert outcome.cost(job) == 1 and outcome.launches == 1
