"""What a step costs and takes on one place: every formula beside a figure that was worked out by hand."""

from __future__ import annotations

import heapq
import math
import statistics
from decimal import Decimal
from fractions import Fraction
from random import Random

import msgspec
import pytest

from skylift.placement.attempt import Bid, Surroundings, bid
from skylift.placement.candidates import Sizing, Wanted, candidates
from skylift.placement.estimate import Load, priced, waves_of
from skylift.placement.feasible import Quotas, unreal, why_not
from skylift.placement.interruptions import Interruptions, Net, Run, Timeline, caught, monthly, play, reworked, unlucky
from skylift.placement.spread import Spread, declared, spread_of
from skylift.placement.work import Measured, Work, busiest, gpu_of, work_on
from skylift.ports.compute import Requirements
from skylift.pricing.catalogue import catalogue
from skylift.pricing.places import MICRO, Place, hourly
from skylift.pricing.spot.model import Job
from skylift.pricing.spot.simulate import simulate
from skylift.pricing.spot.skylift_policy import skylift

LAMBDA = Place(service="function", instance_type="lambda", vcpus=1.0, memory_mib=1769, region="us-east-1")
FARGATE = Place(service="container", instance_type="fargate", vcpus=1.0, memory_mib=2048, region="us-east-1")
M5 = Place(service="batch", instance_type="m5.large", vcpus=2.0, memory_mib=8192, region="us-east-1")
NONE = Surroundings()


def of(place: Place, run: Spread, around: Surroundings = NONE) -> Bid:
    found = bid(place, run, around, catalogue())
    assert found is not None
    return found


def part(found: Bid, what: str) -> Fraction:
    return next((one.amount for one in found.parts if one.what == what), Fraction(0))


# Bills ---------------------------------------------------------------------------------------------------------------


def test_a_function_by_the_millisecond_with_its_start_and_its_request() -> None:
    found = of(LAMBDA, declared(1000))
    rate = Fraction(1769, 1024) * Fraction("0.0000166667") * MICRO  # of a second
    assert part(found, "compute") == rate
    assert part(found, "start-up") == rate * Fraction("0.115")  # 80 to 150 ms, which are billed
    assert part(found, "requests") == Fraction("0.2")
    assert found.cost == rate * Fraction("1.115") + Fraction("0.2")
    assert found.cost == sum((one.amount for one in found.parts), Fraction(0))


def test_a_container_for_a_minute_at_least() -> None:
    found = of(FARGATE, declared(5000))
    hour = (Fraction("0.04048") + 2 * Fraction("0.004445")) * MICRO
    assert found.hour == hour
    assert found.cost == hour / 60, "5 s of work and 15 s of start-up are a minute"
    assert part(found, "rounding") == hour * 40 / 3600, "40 s that nobody uses"


def test_begun_seconds_are_paid_whole() -> None:
    found = of(FARGATE, declared(100_250))
    assert found.cost == found.hour * 116 / 3600, "15 s and 100.25 s are 116 s"


def test_what_is_spread_is_the_mean_of_its_bills() -> None:
    run = Spread(median=100_000, within=0.5)
    found = of(FARGATE, run)
    bills = [max(60, math.ceil((15_000 + ms) / 1000)) for ms in run.grid()]
    assert found.cost == found.hour * Fraction(sum(bills), 10) / 3600
    assert len(set(bills)) == 10


def test_lack_of_memory_is_paid_three_times_over() -> None:
    memory = Spread(median=2048.0, within=0.3)
    half = of(FARGATE, declared(600_000), Surroundings(memory_mib=memory))
    plain = of(FARGATE, declared(600_000))
    assert memory.above(2048) == pytest.approx(0.5)
    assert part(half, "out-of-memory") == plain.cost, "half of them once more at twice the price"
    assert half.cost == 2 * plain.cost
    assert half.run_ms == pytest.approx(1.5 * 615_000 - 15_000)


def test_failures_are_tried_again() -> None:
    plain, failing = of(FARGATE, declared(600_000)), of(FARGATE, declared(600_000), Surroundings(failed=0.2))
    assert failing.cost == plain.cost * Fraction("1.25"), "1 / (1 - 0.2) tries"
    limited = of(FARGATE, declared(600_000), Surroundings(failed=0.2, repeats=2))
    assert float(limited.cost / plain.cost) == pytest.approx(1 + 0.2 + 0.04), "a second and a third try, no fourth"
    once = of(FARGATE, declared(600_000), Surroundings(failed=1.0, repeats=1))
    assert float(once.cost / plain.cost) == pytest.approx(1.9), "no ten times for a state that tries twice"


def test_what_has_no_price_has_no_bid() -> None:
    nowhere = Place(service="batch", instance_type="m5.large", vcpus=2, memory_mib=8192, region="mars-1")
    assert bid(nowhere, declared(1000), NONE, catalogue()) is None


# Preemption ----------------------------------------------------------------------------------------------------------


def test_the_renewal_formula() -> None:
    """Two hours of work, a minute of start-up, taken away every two hours on average: (e^(121/120) - 1) x 2 h."""
    market = Interruptions(per_hour=0.5, down_ms=600_000.0)
    found = reworked(60_000, 7_200_000, market, None)
    hours = math.expm1(0.5 * (121 / 60)) / 0.5
    assert found.machine_ms == pytest.approx(hours * 3_600_000)
    assert found.preemptions == pytest.approx(math.expm1(0.5 * (121 / 60)))
    assert found.waiting_ms == pytest.approx(found.preemptions * 600_000)


def test_checkpoints_cost_what_is_lost_since_the_last() -> None:
    """Four pieces of half an hour, no start-up: each takes (1 - e^-x)/rate + (1 - e^-x)(e^x - 1)/rate with x = 0.25."""
    market = Interruptions(per_hour=0.5)
    found = reworked(0, 7_200_000, market, 1_800_000)
    first = math.expm1(0.25) / 0.5
    later = (1 - math.exp(-0.25)) / 0.5 + (1 - math.exp(-0.25)) * first
    assert later == pytest.approx(first), "without a start-up every piece is alike"
    assert found.machine_ms == pytest.approx(4 * first * 3_600_000)
    assert found.machine_ms < reworked(0, 7_200_000, market, None).machine_ms


@pytest.mark.parametrize("checkpoint", [None, 900_000.0])
def test_what_is_played_agrees_with_the_formula(checkpoint: float | None) -> None:
    from random import Random

    market = Interruptions(per_hour=0.4, down_ms=1_200_000.0, first_ms=0.0)
    random = Random(7)
    runs = [play(Timeline(market, random), (30_000, 90_000), 5_400_000, checkpoint, random) for _ in range(6_000)]
    expected = reworked(60_000, 5_400_000, market, checkpoint)
    assert sum(run.machine_ms for run in runs) / len(runs) == pytest.approx(expected.machine_ms, rel=0.03)
    took = expected.machine_ms + expected.waiting_ms
    assert sum(run.took_ms for run in runs) / len(runs) == pytest.approx(took, rel=0.03)


def test_a_market_that_is_down_at_first_is_waited_for() -> None:
    market = Interruptions(per_hour=0.25, down_ms=1_800_000.0, first_ms=200_000.0)
    assert reworked(0, 1, market, None).waiting_ms == pytest.approx(200_000, rel=0.01)
    steady = Interruptions(per_hour=0.0, first_ms=0.0)
    assert reworked(1_000, 5_000, steady, None).machine_ms == 6_000


def test_spot_is_the_price_times_what_is_done_again() -> None:
    spot = Place(service="batch", instance_type="p3.2xlarge", vcpus=8, memory_mib=62464, gpu="V100", gpus=1,
                 region="us-east-1", market="spot")  # fmt: skip
    market = Interruptions(per_hour=0.25, down_ms=1_800_000.0)
    found = of(spot, declared(7_200_000), Surroundings(market=market))
    startup = 150_000  # a minute to four
    whole = reworked(startup, 7_200_000, market, None).machine_ms
    assert float(found.cost) == pytest.approx(float(found.hour) * whole / 3_600_000, rel=1e-6)
    assert float(part(found, "rework")) == pytest.approx(float(found.hour) * (whole - 7_350_000) / 3_600_000, rel=1e-6)


def test_bad_luck_on_spot_is_far_from_the_expectation() -> None:
    market = Interruptions(per_hour=0.25, down_ms=1_800_000.0, first_ms=200_000.0)
    took, machine = unlucky(market, (60_000.0, 240_000.0), 7_200_000.0, None, 0.9)
    expected = reworked(150_000, 7_200_000, market, None)
    assert machine > 1.2 * expected.machine_ms
    assert took > machine
    median, _ = unlucky(market, (60_000.0, 240_000.0), 7_200_000.0, None, 0.5)
    assert median < took
    assert unlucky(market, (60_000.0, 240_000.0), 7_200_000.0, None, 0.9) == (took, machine), "always the same"


@pytest.mark.parametrize(
    ("bucket", "share"), [("<5%", 0.05), ("5-10%", 0.10), ("15-20%", 0.20), (">20%", None), ("often", None)]
)
def test_buckets_of_the_provider(bucket: str, share: float | None) -> None:
    expected = None if share is None else -math.log(1 - share) / 730
    assert monthly(bucket) == (None if expected is None else pytest.approx(expected))


# The whole step ------------------------------------------------------------------------------------------------------


def test_a_wide_step_costs_its_attempts_and_takes_its_waves() -> None:
    found = of(FARGATE, declared(600_000))
    load = Load(attempts=10, attempts_high=10, width=10)
    whole = priced(found, load, "simulated", None, 0.9)
    assert whole.cost == 10 * found.cost
    assert whole.time_s == pytest.approx(600 + 10 + 10 * 10 / 11), "the last of ten between 10 and 20 s"
    assert whole.time_high_s == 620, "the slowest start-up is 20 s"
    waves = priced(found, load, "simulated", 4, 0.9)
    assert waves.cost == whole.cost
    assert waves.time_s == pytest.approx(3 * 615 + math.sqrt(3) * (10 * 4 / 5 - 5)), "over waves it averages out"
    assert sum((one.amount for one in whole.parts), Fraction(0)) == whole.cost
    assert waves_of(Load(attempts=9, attempts_high=9, width=9, most=2), 4) == (5, 2)


def test_rounds_follow_each_other() -> None:
    found = of(LAMBDA, declared(2000))
    step = priced(found, Load(attempts=6, attempts_high=8, rounds=3, rounds_high=4, width=2), "simulated", None, 0.9)
    assert step.time_s == pytest.approx(3 * (2 + 0.08 + 0.07 * 2 / 3))
    assert step.time_high_s == pytest.approx(4 * 2.150)
    assert step.cost == 6 * found.cost
    assert step.cost_high is not None and step.cost_high >= 8 * found.cost


@pytest.mark.parametrize(("width", "slots"), [(1, None), (40, None), (300, None), (200, 50), (300, 30)])
def test_a_step_takes_as_long_as_it_does_when_it_is_played(width: int, slots: int | None) -> None:
    """Machines come after one to four minutes: of many that are wanted at once, the last one after nearly four."""
    found = of(M5, declared(20_000))
    step = priced(found, Load(attempts=width, attempts_high=width, width=width), "simulated", slots, None)
    random, took = Random(1), []
    for _ in range(200):
        ends = [0.0] * min(width, slots or width)
        for _ in range(width):
            heapq.heapreplace(ends, ends[0] + random.uniform(*found.startup_ms) + 20_000)
        took.append(max(ends) / 1000)
    assert step.time_s == pytest.approx(sum(took) / len(took), rel=0.08)


def test_the_slowest_of_many_is_slower_than_one() -> None:
    run = Spread(median=60_000, within=0.3, doubt=0.1)
    found = of(M5, run)
    one = priced(found, Load(attempts=1, attempts_high=1), "simulated", None, 0.9)
    many = priced(found, Load(attempts=50, attempts_high=50, width=50), "simulated", None, 0.9)
    assert many.time_s > one.time_s and many.time_high_s is not None and one.time_high_s is not None
    assert many.time_high_s > one.time_high_s
    assert many.cost == 50 * one.cost
    assert many.cost_high is not None and one.cost_high is not None
    assert many.cost_high < 50 * one.cost_high, "bad luck averages out over fifty"


# Distributions -------------------------------------------------------------------------------------------------------


def test_few_samples_have_wide_ranges() -> None:
    once, often = spread_of([100.0]), spread_of([100.0] * 10)
    assert (once.within, once.doubt) == (0.5, 0.5)
    assert once.quantile(0.9) == pytest.approx(100 * math.exp(1.2815516 * math.hypot(0.5, 0.5)))
    assert often.within == pytest.approx(math.sqrt(0.025))
    assert once.quantile(0.9) > 2 * often.quantile(0.9) / 1.05
    assert declared(100.0).quantile(0.9) == 100


def test_a_lognormal_by_hand() -> None:
    found = spread_of([math.exp(1), math.exp(3)])
    assert found.median == pytest.approx(math.exp(2))
    assert found.within == pytest.approx(math.sqrt((1 + 1 + 0.25) / 2))
    assert found.doubt == pytest.approx(found.within / math.sqrt(2))
    assert found.mean == pytest.approx(math.exp(2 + (found.within**2 + found.doubt**2) / 2))
    assert found.above(math.exp(2)) == pytest.approx(0.5)


def test_sums_average_out_but_for_the_doubt() -> None:
    apart, doubt = Spread(median=1, within=0.5), Spread(median=1, doubt=0.5)
    assert apart.of_sum(1, 0.9) > 1.5 > apart.of_sum(100, 0.9) > 1.0
    assert doubt.of_sum(1, 0.9) == pytest.approx(doubt.of_sum(100, 0.9))
    assert apart.slowest(100) > apart.slowest(2) > apart.median


# Scaling -------------------------------------------------------------------------------------------------------------


def test_a_single_thread_is_slower_on_a_share_of_a_processor_only() -> None:
    work = Work(measured=(Measured(duration_ms=1000, cpu_ms=1000, vcpus=4),))
    half = Place(service="container", instance_type="fargate", vcpus=0.5, memory_mib=1024, region="us-east-1")
    assert _median(work, M5) == pytest.approx(1000), "more processors are no help"
    assert _median(work, half) == pytest.approx(2000)


def test_what_waits_does_not_wait_less() -> None:
    """A second of which 0.2 s are computed: on a quarter of a processor 0.8 s + 0.8 s."""
    work = Work(measured=(Measured(duration_ms=1000, cpu_ms=200, vcpus=1),))
    quarter = Place(service="container", instance_type="fargate", vcpus=0.25, memory_mib=1024, region="us-east-1")
    assert _median(work, quarter) == pytest.approx(1600)


def test_parallel_work_scales_down_with_processors() -> None:
    """400 s of processors in 100 s on 4 of them: on 2 it takes 200 s, on 8 still 100 s."""
    work = Work(measured=(Measured(duration_ms=100_000, cpu_ms=400_000, vcpus=4),))
    eight = Place(service="batch", instance_type="m5.2xlarge", vcpus=8, memory_mib=32768, region="us-east-1")
    assert _median(work, M5) == pytest.approx(200_000)
    assert _median(work, eight) == pytest.approx(100_000)
    assert busiest(work.measured) == 4


def test_the_same_place_takes_the_same_time() -> None:
    for vcpus, cpu_ms in ((0.07, 70.0), (1.0, 700.0), (4.0, 3900.0)):
        place = Place(service="container", instance_type="x", vcpus=vcpus, memory_mib=512, region="us-east-1")
        work = Work(measured=(Measured(duration_ms=1000, cpu_ms=cpu_ms, vcpus=vcpus),))
        assert _median(work, place) == pytest.approx(1000)


GPU = Place(service="batch", instance_type="p3.2xlarge", vcpus=8, memory_mib=62464, gpu="V100", gpus=1, region="r")


def test_nothing_is_told_from_a_processor_to_a_gpu() -> None:
    on_cpu = Work(measured=(Measured(duration_ms=1000, cpu_ms=1000, vcpus=4),))
    on_t4 = Work(measured=(Measured(duration_ms=1000, cpu_ms=1000, vcpus=4, gpu="t4", gpus=1),))
    on_v100 = Work(measured=(Measured(duration_ms=1000, cpu_ms=1000, vcpus=4, gpu="v100", gpus=1),))
    assert work_on(on_cpu, GPU) == "it was measured on processors alone, which says nothing of a GPU"
    assert work_on(on_t4, GPU) == "it was measured on 1 x t4, which says nothing of 1 x V100"
    assert work_on(on_v100, M5) == "it was measured on a GPU, which says nothing of processors alone"
    assert _median(on_v100, GPU) == pytest.approx(1000)
    assert _median(Work(declared_ms=5000), GPU) == 5000, "the author may say"
    assert _median(Work(measured=on_t4.measured, on_type_ms={"p3.2xlarge": 700}), GPU) == 700
    assert gpu_of("1", "V100") == ("v100", 1) and gpu_of("V100:2", None) == ("v100", 2) and gpu_of(None, "V100")[1] == 0


def test_a_smaller_place_cannot_be_told_without_processor_time() -> None:
    work = Work(measured=(Measured(duration_ms=1000, vcpus=2),))
    assert _median(work, M5) == pytest.approx(1000)
    assert "processor time was not recorded" in str(work_on(work, LAMBDA))
    assert work_on(Work(), M5) == "how long it takes is not known"


def test_declared_work_is_said_for_its_processors() -> None:
    assert _median(Work(declared_ms=1000, cpus=4), M5) == 2000
    assert _median(Work(declared_ms=1000, cpus=4, stretches=False), M5) == 1000


def _median(work: Work, place: Place) -> float:
    found = work_on(work, place)
    assert isinstance(found, Spread), found
    return found.median


# Candidates ----------------------------------------------------------------------------------------------------------


def test_candidates_have_what_is_asked_for_and_a_price() -> None:
    sizing = Sizing(needs=Requirements(gpu="V100", spot=True), cpus=4, memory_mib=16_384)
    found = candidates(sizing, Wanted(regions=("us-*",)), catalogue())
    assert {place.market for place in found} == {"on-demand", "spot"}
    assert {place.service for place in found} == {"batch", "managed-training"}
    assert all(place.gpus >= 1 and place.vcpus >= 4 and place.memory_mib >= 16_384 for place in found)
    assert all(place.region.startswith("us-") and hourly(place, catalogue()) for place in found)


def test_spot_is_only_for_what_may_be_taken_away() -> None:
    found = candidates(Sizing(needs=Requirements(), cpus=1), Wanted(), catalogue())
    assert found and {place.market for place in found} == {"on-demand"}
    assert {place.region for place in found} == {"us-east-1"}
    assert {"function", "container", "batch"} <= {place.service for place in found}


def test_functions_bring_the_processors_that_are_needed() -> None:
    found = candidates(
        Sizing(needs=Requirements(), cpus=2, memory_mib=512), Wanted(services=("function",)), catalogue()
    )
    assert [(place.memory_mib, place.vcpus) for place in found] == [(3538, 2.0)]


def test_machines_of_another_architecture_must_be_asked_for() -> None:
    sizing = Sizing(needs=Requirements(), cpus=2, memory_mib=4096)
    names = {place.instance_type for place in candidates(sizing, Wanted(services=("batch",)), catalogue())}
    assert not any(name.startswith(("t4g", "m6g", "c6g")) for name in names)
    arms = candidates(sizing, Wanted(services=("batch",), types=("m6g.*",)), catalogue())
    assert arms and all(place.instance_type.startswith("m6g.") for place in arms)


def test_why_a_place_is_out() -> None:
    quotas = Quotas(functions=10, container_vcpus=4.0, machine_vcpus=1.0, gpus=0)
    known = catalogue()
    assert why_not(LAMBDA, declared(60_000), None, None, quotas, known) is None
    assert why_not(LAMBDA, declared(1_000_000), None, None, quotas, known) == (
        "a function of aws is ended after 15 min, and it may take 16.7 min"
    )
    assert "its timeout is 30 s" in str(why_not(LAMBDA, declared(60_000), None, 30_000, quotas, known))
    needy = why_not(LAMBDA, declared(60_000), declared(4000.0), None, quotas, known)
    assert needy == "it needs some 4000 MiB, and that has 1769 MiB"
    assert "the quotas do not allow one m5.large" in str(why_not(M5, declared(60_000), None, None, quotas, known))
    assert quotas.slots(FARGATE) == 4 and quotas.slots(LAMBDA) == 10 and Quotas().slots(M5) is None


def test_places_that_there_are_not() -> None:
    known = catalogue()
    assert unreal(M5, known) is None and unreal(LAMBDA, known) is None
    wrong = Place(service="batch", instance_type="m5.large", vcpus=64, memory_mib=8192, region="us-east-1")
    assert unreal(wrong, known) == "a m5.large has 2 vCPU, 8192 MiB and 0 GPUs"
    misspelt = Place(service="batch", instance_type="p2.xlrge", vcpus=4, memory_mib=62464, region="us-east-1")
    assert "did you mean p2.xlarge?" in str(unreal(misspelt, known))
    huge = Place(service="function", instance_type="lambda", vcpus=100, memory_mib=20_480, region="us-east-1")
    assert unreal(huge, known) == "a function of aws cannot have 100 vCPU with 20480 MiB"
    for vcpus in (64.0, float("nan"), -1.0):
        forged = Place(service="function", instance_type="lambda", vcpus=vcpus, memory_mib=1769, region="us-east-1")
        assert "cannot have" in str(unreal(forged, known))


def test_prices_are_exact_decimals() -> None:
    row = catalogue().machine_price("batch", "m5.large", "us-east-1", "on-demand")
    assert row is not None
    assert of(M5, declared(3_600_000 - 150_000)).cost == Fraction(Decimal(row.usd_per_hour)) * MICRO


# Steps with a deadline ------------------------------------------------------------------------------------------------

HOUR = 3_600_000.0
FLAKY = Interruptions(per_hour=1.0, down_ms=0.7 * HOUR, first_ms=0.3 * HOUR)
STARTUP = (60_000.0, 240_000.0)


def jobs(market: Interruptions, work_h: float, deadline_h: float, checkpoint_ms: float | None) -> list[Run]:
    random, net = Random(3), Net(deadline_ms=deadline_h * HOUR, dearer=3.0)
    return [play(Timeline(market, random), STARTUP, work_h * HOUR, checkpoint_ms, random, net) for _ in range(200)]


def test_a_step_that_keeps_its_work_keeps_its_deadline() -> None:
    runs = jobs(FLAKY, 4, 6, 600_000.0)
    assert all(run.took_ms <= 6 * HOUR for run in runs)
    assert 0 < sum(run.steady is not None for run in runs) < 200
    assert all(run.machine_ms + run.steady_ms >= 4 * HOUR for run in runs)


@pytest.mark.parametrize(("work_h", "checkpoint_ms"), [(0.5, 600_000.0), (4.0, None)])
def test_what_is_short_or_keeps_nothing_leaves_spot_once(work_h: float, checkpoint_ms: float | None) -> None:
    """It is late only by what the last machine took with it."""
    lost_ms = checkpoint_ms or work_h * HOUR
    for run in jobs(FLAKY, work_h, 2 * work_h, checkpoint_ms):
        assert run.took_ms <= 2 * work_h * HOUR + lost_ms
        assert run.preemptions == len(run.machines) - (run.steady is None)


def test_a_market_that_is_always_there_or_never() -> None:
    always = Interruptions(per_hour=1e-6, down_ms=1.0)
    assert all(run.steady is None and run.preemptions == 0 for run in jobs(always, 4, 6, 600_000.0))
    never = Interruptions(per_hour=1e6, down_ms=1e9, first_ms=1e9)
    for run in jobs(never, 4, 6, 600_000.0):
        assert run.machines == () and run.steady_ms == pytest.approx(4 * HOUR, rel=0.05) and run.took_ms <= 6 * HOUR


def test_more_time_costs_less() -> None:
    paid = []
    for deadline_h in (4.5, 5, 6, 8, 12):
        found = caught(FLAKY, STARTUP, 4 * HOUR, 600_000.0, deadline_h * HOUR)
        paid.append(found.machine_ms + 2 * found.steady_ms)
    assert paid == sorted(paid, reverse=True) and paid[0] > 1.3 * paid[-1]


def test_a_deadline_that_only_on_demand_keeps() -> None:
    found = caught(FLAKY, STARTUP, 4 * HOUR, 600_000.0, 4.02 * HOUR)
    assert found.steady_ms == pytest.approx(4 * HOUR + 150_000) and found.waiting_ms == 0


def test_what_is_expected_is_near_what_the_policy_pays() -> None:
    """On markets of the same rates, in the simulator of jobs."""
    job, random = Job(work=120, deadline=165, changeover=1, ratio=Fraction(3, 10)), Random(11)
    windows = [Timeline(FLAKY, random).window(job.deadline) for _ in range(120)]
    paid = statistics.fmean(float(simulate(job, window, skylift(job)).cost(job)) for window in windows)
    found = caught(FLAKY, STARTUP, 4 * HOUR, 120_000.0, 5.5 * HOUR)
    expected = (0.3 * (found.machine_ms - found.steady_ms) + found.steady_ms) / (121 * 120_000)
    assert expected == pytest.approx(paid, rel=0.15)


def test_the_bid_of_a_spot_step_with_a_deadline_says_what_on_demand_adds() -> None:
    spot = msgspec.structs.replace(M5, market="spot")
    around = Surroundings(market=FLAKY, checkpoint_ms=600_000.0)
    free = of(spot, declared(4 * 3_600_000), around)
    hurried = of(spot, declared(4 * 3_600_000), msgspec.structs.replace(around, deadline_ms=5 * HOUR))
    parts = {part.what: part for part in hurried.parts}
    assert "on-demand" in parts and "expected on on-demand" in parts["on-demand"].formula
    assert hurried.cost == sum(part.amount for part in hurried.parts) > free.cost
    assert hurried.startup_mean_ms + hurried.waiting_ms + hurried.run_ms <= 5 * HOUR < free.waiting_ms + free.run_ms
