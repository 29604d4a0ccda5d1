"""Spot jobs by hand: what is held, when it ends, what it costs; windows of traces; jobs that cannot be."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skylift.pricing.spot.intervals import interval_of_mean, interval_of_ratio
from skylift.pricing.spot.model import Job, JobInvalid, Mode, Policy, PolicyWrong, Run, View, job_of
from skylift.pricing.spot.named import POLICIES, PolicyUnknown, policies_named
from skylift.pricing.spot.omniscient import least_cost
from skylift.pricing.spot.policies import Greedy, TimeSliced, UniformProgress, UniformProgressFrom
from skylift.pricing.spot.simulate import Outcome, simulate
from skylift.pricing.spot.traces import Trace, TraceInvalid
from skylift.pricing.spot.windows import sampled, starts, windows
from skylift.units import InvalidAmount

THIRD = Fraction(3, 10)


def job(work: int = 10, deadline: int = 20, changeover: int = 2) -> Job:
    return Job(work=work, deadline=deadline, changeover=changeover, ratio=THIRD)


def test_greedy_by_hand() -> None:
    """Up 6 (2 to start, 4 of work), down until the net at left < 6 + 4, so at quantum 11; then 2 + 6 on on-demand."""
    outcome = simulate(job(), [(True, 6), (False, 14)], Greedy())
    assert outcome == Outcome(spot=6, on_demand=8, ended=19, launches=2, preemptions=1)
    assert outcome.cost(job()) == (8 + 6 * THIRD) / 12


def test_a_run_that_is_shorter_than_a_changeover_is_paid_for_nothing() -> None:
    outcome = simulate(job(), [(True, 1), (False, 2), (True, 17)], Greedy())
    assert outcome == Outcome(spot=13, on_demand=0, ended=15, launches=2, preemptions=1)


def test_uniform_progress_by_hand() -> None:
    """Not behind at 0, so idle; behind at 1 and on on-demand, 2 to start. Spot is back at 9: 6 done, which is not
    ahead of (9 + 4) · 10/20; at 10, 7 done and ahead of (10 + 4) · 10/20, so to spot, 2 to start and 3 to go."""
    outcome = simulate(job(), [(False, 9), (True, 11)], UniformProgress())
    assert outcome == Outcome(spot=5, on_demand=9, ended=15, launches=2, preemptions=0)


def test_uniform_progress_from_a_share_begins_its_line_there() -> None:
    """Idle until 10 / (20 - t) >= 0.7, so t = 6; from there 10 of work in 14, behind at 7."""
    outcome = simulate(job(), [(False, 20)], UniformProgressFrom())
    assert outcome == Outcome(spot=0, on_demand=12, ended=19, launches=1, preemptions=0)


def test_time_slices_have_nets_of_their_own() -> None:
    """Two slices of 10 with 5 of work each: left < 5 + 4 first at 2, where on-demand begins; the share is done at 9.
    In the second slice the net holds at 12, or not at all for who has stayed until then: 4 + 5 of slice 2 at 10."""
    idles = simulate(job(), [(False, 20)], TimeSliced(2, stays=False))
    assert idles.launches == 2 and idles.on_demand == 14 and not idles.late(job())
    stays = simulate(job(), [(False, 20)], TimeSliced(2, stays=True))
    assert stays == Outcome(spot=0, on_demand=12, ended=14, launches=1, preemptions=0)


class Late(Policy):
    """Idles until it is too late."""

    def decide(self, view: View) -> Mode:
        return "idle"


def test_who_is_late_pays_for_the_rest_on_on_demand() -> None:
    outcome = simulate(job(), [(True, 20)], Late())
    assert outcome.late(job()) and outcome.ended == 32 and outcome.cost(job()) == 1


class Dreams(Policy):
    def decide(self, view: View) -> Mode:
        return "spot"


def test_spot_where_there_is_none_is_a_bug_of_the_policy() -> None:
    with pytest.raises(PolicyWrong, match="Dreams asks for spot at quantum 0"):
        simulate(job(), [(False, 20)], Dreams())


def test_a_window_must_reach_the_deadline() -> None:
    with pytest.raises(ValueError, match="19 quanta and the deadline is 20"):
        simulate(job(), [(False, 19)], Greedy())


class Notes(Policy):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.observed: list[Run] = []
        self.seen: list[tuple[int, bool, int, int, int]] = []

    def decide(self, view: View) -> Mode:
        self.seen.append((view.t, view.available, view.since, view.left, view.remaining))
        return "spot" if view.available else "idle"

    def observe(self, available: bool, quanta: int) -> None:
        self.observed.append((available, quanta))


def test_what_a_policy_is_told() -> None:
    notes = Notes()
    simulate(job(work=3, deadline=10), [(True, 3), (False, 2), (True, 5)], notes)
    assert notes.observed == [(True, 3), (False, 2)]
    assert notes.seen[:4] == [(0, True, 0, 10, 3), (1, True, 0, 9, 3), (2, True, 0, 8, 3), (3, False, 3, 7, 2)]
    assert notes.seen[-1] == (8, True, 5, 2, 1)


def test_the_optimum_bridges_a_gap_or_waits() -> None:
    """10 of work on runs of 7 and 7 (5 of work each, 2 launches): 14 quanta of spot. With a gap of 20 between them and
    21 quanta in all, spot does 5 and on-demand, with its 2 to start, the other 5."""
    assert least_cost(job(), [(True, 7), (False, 6), (True, 7)]) == 14 * THIRD / 12
    assert least_cost(job(), [(True, 7), (False, 13)]) == (7 * THIRD + 7) / 12
    assert least_cost(job(), [(False, 20)]) == 1


def test_quanta_are_sampled_at_their_start() -> None:
    """Ticks of 50 s: the quanta of 120 s begin in ticks 0, 2, 4 and 7."""
    trace = Trace(name="t", gap_ms=50_000, first=True, runs=(2, 3, 3))
    assert sampled(trace) == [(True, 1), (False, 2), (True, 1)]
    assert sampled(Trace(name="t", gap_ms=600_000, first=False, runs=(1, 1))) == [(False, 5), (True, 5)]
    hidden = Trace(name="t", gap_ms=50_000, first=True, runs=(3, 1, 6))
    assert sampled(hidden) == [(True, 5)], "the tick without spot lies between the starts of two quanta"


def test_starts_are_evenly_spaced_and_the_last_leaves_one_quantum_more() -> None:
    assert starts(121, job(), 5) == [0, 25, 50, 75, 100]
    assert starts(121, job(), 1) == [0]
    trace = Trace(name="t", gap_ms=120_000, first=True, runs=(5, 16))
    assert windows(trace, job(), 1) == [[(True, 5), (False, 15)]]
    longer = Trace(name="t", gap_ms=120_000, first=True, runs=(5, 10, 10))
    assert windows(longer, job(), 3) == [
        [(True, 5), (False, 10), (True, 5)],
        [(True, 3), (False, 10), (True, 7)],
        [(True, 1), (False, 10), (True, 9)],
    ]
    with pytest.raises(TraceInvalid, match=r"the trace t is 0.7 h long: a job of 0.7 h"):
        windows(trace, job(deadline=21), 1)
    with pytest.raises(TraceInvalid, match="room for 1 different starts, not for 2"):
        windows(trace, job(), 2)
    assert windows(longer, job(), 2, within=22) == [
        [(True, 5), (False, 10), (True, 5)],
        [(True, 4), (False, 10), (True, 6)],
    ]


def test_times_are_rounded_so_that_no_promise_grows() -> None:
    made, notes = job_of("47h 59m", "59h 59m", "5m", "0.3")
    assert (made.work, made.deadline, made.changeover, made.ratio) == (1440, 1799, 3, THIRD)
    assert [note.partition(":")[0] for note in notes] == [
        "work 47h 59m is rounded up to 48 h",
        "deadline 59h 59m is rounded down to 59.9667 h",
        "restart 5m is rounded up to 0.1 h",
    ]
    assert job_of("48h", "60h", "0", 0.3) == (
        Job(work=1440, deadline=1800, changeover=0, ratio=THIRD),
        [],
    )


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (("-48h", "60h", "6m", "0.3"), "work is -48h: a length of time is not negative"),
        (("48h", "60h", "-6m", "0.3"), "restart is -6m: a length of time is not negative"),
        (("0", "60h", "6m", "0.3"), "work is 0 quanta: there must be some"),
        (("48h", "47h", "6m", "0.3"), "a deadline of 47 h cannot be met: 48 h of work and one start of 0.1 h"),
        (("48h", "48h", "6m", "0.3"), "cannot be met"),
        (("48h", "60h", "6m", "30%"), "spot-ratio is '30%', not a number"),
        (("48h", "60h", "6m", "nan"), "spot-ratio is 'nan', not a number"),
        (("48h", "60h", "6m", "1.2"), "spot-ratio is 1.2: it must be above 0 and at most 1"),
        (("48h", "60h", "6m", "0"), "spot-ratio is 0: it must be above 0"),
        (("48h", "60h", "6m", "1e-400"), "spot-ratio is 1e-400: below a millionth of on-demand"),
        (("48h", "60h", "6m", "1e99999999999"), "spot-ratio is '1e99999999999', not a number"),
        (("48h", "60h", "6m", "1e-99999999999"), "not a number"),
        (("48h", "9000h", "6m", "0.3"), "deadline 9000h is too far away"),
    ],
)
def test_jobs_that_cannot_be(times: tuple[str, str, str, str], words: str) -> None:
    with pytest.raises(JobInvalid) as caught:
        job_of(*times)
    assert words in caught.value.message


def test_no_job_is_endless() -> None:
    with pytest.raises(InvalidAmount, match=r"^work='9+….* is longer than"):
        job_of("9" * 400 + "h", "60h", "6m", "0.3")


@pytest.mark.parametrize("nothing", ["0", "0h", "0.0h", "00", "0 min", "0s"])
def test_no_changeover_may_be_written_as_people_do(nothing: str) -> None:
    assert job_of("4h", "6h", nothing, "1/3")[0].changeover == 0


def test_the_shortest_deadline_is_named() -> None:
    with pytest.raises(JobInvalid) as caught:
        job_of("48h", "40h", "6m", "0.3")
    assert caught.value.hint == "the shortest deadline that can be met is 48.1 h"
    job_of("48h", "48h 6m", "6m", "0.3")
    with pytest.raises(InvalidAmount, match="work='much' is not a time"):
        job_of("much", "40h", "6m", "0.3")


def test_names_of_policies() -> None:
    assert policies_named("all") == POLICIES and policies_named("omniscient") == {}
    assert list(policies_named("Uniform-Progress")) == ["uniform_progress"]
    with pytest.raises(PolicyUnknown) as caught:
        policies_named("greedi")
    assert caught.value.message == "there is no spot policy 'greedi'. Did you mean greedy?"
    assert "time_sliced" in (caught.value.hint or "")


def test_intervals_hold_the_mean_and_are_the_same_each_time() -> None:
    costs = [[0.2 + 0.01 * start for start in range(10)], [0.6 + 0.01 * start for start in range(10)]]
    found = interval_of_mean(costs)
    assert found.low < 0.445 < found.high and found == interval_of_mean(costs)
    assert found.low < 0.3 and found.high > 0.6, (
        "with two traces nobody knows whether the next is like one or the other"
    )
    twice = [[2 * cost for cost in trace] for trace in costs]
    ratio = interval_of_ratio(twice, costs)
    assert (ratio.low, ratio.high) == (pytest.approx(2), pytest.approx(2))


@given(
    gap_ms=st.integers(20_000, 700_000),
    first=st.booleans(),
    lengths=st.lists(st.integers(1, 9), min_size=1),
    data=st.data(),
)
@settings(max_examples=200, deadline=None)
def test_windows_are_what_each_quantum_samples(
    gap_ms: int, first: bool, lengths: list[int], data: st.DataObject
) -> None:
    trace = Trace(name="t", gap_ms=gap_ms, first=first, runs=tuple(lengths))
    ticks = [first == (number % 2 == 0) for number, length in enumerate(lengths) for _ in range(length)]
    values = [ticks[at_ms // gap_ms] for at_ms in range(0, len(ticks) * gap_ms, 120_000)]
    assert [value for value, quanta in sampled(trace) for _ in range(quanta)] == values
    assume(len(values) > 1)
    small = job(work=1, deadline=data.draw(st.integers(1, len(values) - 1)), changeover=0)
    count = data.draw(st.integers(1, len(values) - small.deadline))
    for start, window in zip(starts(len(values), small, count), windows(trace, small, count), strict=True):
        assert [value for value, quanta in window for _ in range(quanta)] == values[start : start + small.deadline]
