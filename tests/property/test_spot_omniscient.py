"""The omniscient optimum beside a plain table over every quantum, mode and progress: the same cost, always."""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.pricing.spot.model import Job, Run
from skylift.pricing.spot.omniscient import least_cost
from skylift.pricing.spot.windows import merged

RATIOS = st.sampled_from([Fraction(1, 10), Fraction(3, 10), Fraction(1, 2), Fraction(9, 10), Fraction(1)])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Job, list[Run]]:
    changeover = draw(st.integers(0, 3))
    work = draw(st.integers(1, 12))
    deadline = work + changeover + draw(st.integers(0, 14))
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=deadline))
    first = draw(st.booleans())
    values = itertools.chain.from_iterable([first == (k % 2 == 0)] * n for k, n in enumerate(itertools.cycle(lengths)))
    job = Job(work=work, deadline=deadline, changeover=changeover, ratio=draw(RATIOS))
    return job, merged((value, 1) for value in itertools.islice(values, deadline))


def by_quanta(job: Job, window: list[Run]) -> Fraction:
    """Every schedule there is: at each quantum idle, spot where there is some, or on-demand."""
    available = list(itertools.chain.from_iterable([value] * quanta for value, quanta in window))
    price = {"spot": job.ratio, "on-demand": Fraction(1)}

    @functools.cache
    def least(t: int, mode: str, waiting: int, progress: int) -> Fraction | None:
        if progress == job.work:
            return Fraction(0)
        if t == job.deadline:
            return None
        found = [least(t + 1, "idle", 0, progress)]
        for wanted in ("spot", "on-demand") if available[t] else ("on-demand",):
            left = waiting if wanted == mode else job.changeover
            after = least(t + 1, wanted, left - 1, progress) if left else least(t + 1, wanted, 0, progress + 1)
            found.append(None if after is None else after + price[wanted])
        return min((one for one in found if one is not None), default=None)

    cost = least(0, "idle", 0, 0)
    assert cost is not None
    return cost / (job.work + job.changeover)


@given(cases())
@settings(max_examples=1500, deadline=None)
def test_the_search_over_runs_is_the_table_over_quanta(case: tuple[Job, list[Run]]) -> None:
    assert least_cost(*case) == by_quanta(*case)
