"""The cost model whatever its figures are: dearer prices make nothing cheaper, parts add up, more is never less."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.placement.attempt import Bid, Surroundings, bid_at
from skylift.placement.estimate import Load, priced
from skylift.placement.interruptions import Interruptions, reworked
from skylift.placement.spread import Spread, spread_of
from skylift.placement.work import Measured, Work, work_on
from skylift.pricing.catalogue import Rule
from skylift.pricing.places import Place

PLACE = Place(service="batch", instance_type="x", vcpus=4, memory_mib=8192, region="r", market="spot")
amounts = st.fractions(min_value=0, max_value=10**8, max_denominator=10**6)
times = st.floats(min_value=1.0, max_value=1e7)
shares = st.floats(min_value=0.0, max_value=0.8)
rules = st.builds(
    Rule,
    service=st.just("batch"),
    startup_ms=st.tuples(st.integers(0, 60_000), st.integers(60_000, 300_000)),
    increment_ms=st.sampled_from([1, 1000, 60_000]),
    minimum_ms=st.sampled_from([0, 1, 60_000]),
    bills_startup=st.booleans(),
    as_of=st.just("2026"),
    source=st.just("made up"),
)
spreads = st.builds(Spread, median=times, within=shares, doubt=shares, count=st.integers(1, 30))
markets = st.none() | st.builds(
    Interruptions,
    per_hour=st.floats(0.0, 0.3),
    down_ms=st.floats(1_000.0, 3_600_000.0),
    first_ms=st.floats(0.0, 900.0),
)
surroundings = st.builds(
    Surroundings,
    memory_mib=st.none() | spreads,
    failed=shares,
    repeats=st.none() | st.integers(0, 4),
    checkpoint_ms=st.none() | st.floats(60_000, 3_600_000),
    market=markets,
)
loads = st.builds(
    Load,
    attempts=st.integers(1, 50).map(float),
    attempts_high=st.integers(50, 80).map(float),
    rounds=st.integers(1, 5).map(float),
    rounds_high=st.integers(5, 9).map(float),
    width=st.integers(1, 50),
    most=st.none() | st.integers(1, 20),
)


def cost_of(hour: Fraction, fee: Fraction, rule: Rule, run: Spread, around: Surroundings) -> Bid | None:
    return bid_at(PLACE, hour, rule, fee, run, around)


@settings(max_examples=60, deadline=None)
@given(hour=amounts, fee=amounts, more=amounts, rule=rules, run=spreads, around=surroundings)
def test_parts_add_up_and_dearer_is_never_cheaper(
    hour: Fraction, fee: Fraction, more: Fraction, rule: Rule, run: Spread, around: Surroundings
) -> None:
    found, dearer = (cost_of(price, fee, rule, run, around) for price in (hour, hour + more))
    if found is None or dearer is None:
        assert found is None and dearer is None, "whether it ever ends does not depend on its price"
        return
    assert found.cost == sum((part.amount for part in found.parts), Fraction(0))
    assert dearer.cost >= found.cost >= 0
    assert dearer.run_ms == found.run_ms


@settings(max_examples=60, deadline=None)
@given(hour=amounts, rule=rules, run=spreads, load=loads, around=surroundings, slots=st.none() | st.integers(1, 40))
def test_at_a_confidence_nothing_is_less_than_expected(
    hour: Fraction, rule: Rule, run: Spread, load: Load, around: Surroundings, slots: int | None
) -> None:
    found = cost_of(hour, Fraction(0), rule, run, around)
    if found is None:
        return
    step = priced(found, load, "simulated", slots, 0.9)
    assert step.cost_high is not None and step.time_high_s is not None
    assert step.cost_high >= step.cost == sum((part.amount for part in step.parts), Fraction(0))
    assert step.time_high_s >= step.time_s >= 0
    fewer = priced(found, load, "simulated", 1, 0.9)
    assert fewer.time_s >= 0 and fewer.cost == step.cost, "waves take time and cost nothing"


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(0.001, 0.5),
    more=st.floats(0.0, 0.5),
    startup=st.floats(0, 600_000),
    work=st.floats(1, 3e7),
    every=st.none() | st.floats(60_000, 3e6),
)
def test_more_preemptions_take_longer(rate: float, more: float, startup: float, work: float, every: Any) -> None:
    calm = reworked(startup, work, Interruptions(per_hour=rate), every)
    rough = reworked(startup, work, Interruptions(per_hour=rate + more), every)
    assert rough.machine_ms >= calm.machine_ms * (1 - 1e-9) >= (startup + work) * (1 - 1e-9)
    assert calm.machine_ms <= reworked(startup, work, Interruptions(per_hour=rate), None).machine_ms * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(
    duration=st.floats(1, 1e6),
    busy=st.floats(0.01, 16),
    vcpus=st.floats(0.1, 16),
    one=st.floats(0.1, 32),
    other=st.floats(0.1, 32),
)
def test_more_processors_are_never_slower(duration: float, busy: float, vcpus: float, one: float, other: float) -> None:
    work = Work(measured=(Measured(duration_ms=duration, cpu_ms=duration * min(busy, vcpus), vcpus=vcpus),))
    few, many = (
        work_on(work, Place(service="batch", instance_type="x", vcpus=size, memory_mib=1, region="r"))
        for size in sorted((one, other))
    )
    assert isinstance(few, Spread) and isinstance(many, Spread)
    assert many.median <= few.median * (1 + 1e-9)
    assert many.median >= duration * (1 - 1e-6) or vcpus < max(1.0, busy), "never quicker than it was seen to be"


@settings(max_examples=60, deadline=None)
@given(values=st.lists(times, min_size=1, max_size=30), low=st.floats(0.01, 0.5), high=st.floats(0.5, 0.99))
def test_quantiles_are_in_order(values: list[float], low: float, high: float) -> None:
    found = spread_of(values)
    assert found.quantile(low) <= found.median * (1 + 1e-9) <= found.quantile(high) * (1 + 1e-6)
    assert min(values) * 0.999 <= found.median <= max(values) * 1.001
    assert list(found.grid()) == sorted(found.grid())
    assert found.slowest(20) >= found.slowest(2)
