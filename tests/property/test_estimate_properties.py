"""What is true of every estimate: exact, additive, growing with what is used, without jumps between tiers."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.pricing.catalogue import catalogue
from skylift.pricing.estimate.amounts import count, data_gib, dollars, number, time_ms, written
from skylift.pricing.estimate.lines import Estimate
from skylift.pricing.estimate.price import estimate
from skylift.pricing.estimate.rules import Billing, billed_ms, rules
from skylift.pricing.estimate.uses import Use, read_use
from skylift.pricing.places import Place, cost

patient = settings(deadline=None)
"""The catalogue is read by whichever example is the first."""
MS = st.integers(1, 10**9)
CALL_MS = st.integers(1, 15 * 60_000)  # as long as an invocation can be
GIB = st.integers(1, 76_000)  # two of them are less than what the source has prices of


def use_of(given: Mapping[str, str]) -> Use:
    return read_use(given, str, catalogue(), rules())


def of(*uses: Mapping[str, str], free_tier: bool = False) -> Estimate:
    return estimate([use_of(use) for use in uses], catalogue(), free_tier=free_tier)


def sunk(ms: int) -> dict[str, str]:
    return {"type": "n1-standard-1", "region": "us-central1", "duration": f"{ms}ms"}


def moved(gib: int) -> dict[str, str]:
    return {"service": "transfer", "data": str(gib)}


def called(ms: int, times: int, mib: int = 1024) -> dict[str, str]:
    return {"service": "lambda", "memory": f"{mib} MiB", "each": f"{ms}ms", "requests": str(times)}


@patient
@given(CALL_MS, st.integers(1, 10**9), st.integers(128, 10240))
def test_lambda_is_exactly_what_the_formula_says(ms: int, times: int, mib: int) -> None:
    seconds = Fraction(mib, 1024) * Fraction(ms, 1000) * times
    tiers = ((0, "0.0000166667"), (6 * 10**9, "0.000015"), (15 * 10**9, "0.0000133334"))
    expected = Fraction(times) * Fraction("0.0000002")
    for at, (start, usd) in enumerate(tiers):
        end = Fraction(tiers[at + 1][0]) if at + 1 < len(tiers) else seconds
        expected += max(Fraction(0), min(seconds, end) - start) * Fraction(usd)
    assert of(called(ms, times, mib)).usd == expected


@patient
@given(st.lists(st.tuples(CALL_MS, st.integers(1, 10**6)), min_size=1, max_size=4))
def test_lines_add_up_and_each_is_amount_times_price(uses: list[tuple[int, int]]) -> None:
    found = of(*(called(ms, times) for ms, times in uses), free_tier=True)
    assert found.usd == sum((line.amount * line.usd_per_unit for line in found.lines), Fraction(0))
    assert found.usd >= 0


@patient
@given(GIB, GIB)
def test_one_bill_of_two_uses_is_the_bill_of_both_as_one(first: int, second: int) -> None:
    """Across tiers too: they are those of the month, not of the use."""
    assert of(moved(first), moved(second)).usd == of(moved(first + second)).usd


@patient
@given(GIB, st.integers(1, 1000))
def test_more_costs_more_and_tiers_do_not_jump(gib: int, more: int) -> None:
    step = of(moved(gib + more)).usd - of(moved(gib)).usd
    assert more * Fraction("0.05") <= step <= more * Fraction("0.09")


@patient
@given(MS, st.integers(1, 10**8))
def test_a_longer_use_of_a_machine_never_costs_less_and_never_more_than_the_full_price(ms: int, more: int) -> None:
    shorter, longer = of(sunk(ms)).usd, of(sunk(ms + more)).usd
    assert shorter <= longer
    assert longer - shorter <= Fraction("0.0475") * (Fraction(more + 1000, 3_600_000) + Fraction(1, 60))


@patient
@given(MS)
def test_sustained_use_takes_off_at_most_thirty_percent(ms: int) -> None:
    full = Fraction("0.0475") * billed_ms(Billing(increment_ms=1000, minimum_ms=60_000), Fraction(ms)) / 3_600_000
    assert full * Fraction("0.7") <= of(sunk(ms)).usd <= full


@patient
@given(
    st.fractions(min_value=0, max_value=10**12), st.sampled_from([1, 100, 1000, 60_000]), st.sampled_from([0, 60_000])
)
def test_what_is_begun_is_paid_whole_and_no_more(ms: Fraction, increment: int, minimum: int) -> None:
    billing = Billing(increment_ms=increment, minimum_ms=max(increment, minimum))
    billed = billed_ms(billing, ms)
    assert billed >= max(ms, billing.minimum_ms) and billed % increment == 0
    assert billed == billing.minimum_ms or billed - ms < increment


@patient
@given(CALL_MS, st.integers(1, 10**6))
def test_a_free_tier_takes_off_and_never_more_than_all(ms: int, times: int) -> None:
    full, free = of(called(ms, times)), of(called(ms, times), free_tier=True)
    most = 400_000 * Fraction("0.0000166667") + Fraction("0.2")
    assert max(Fraction(0), full.usd - most) <= free.usd <= full.usd


@patient
@given(st.decimals(min_value="0.001", max_value=10**9, places=3))
def test_amounts_are_read_as_they_are_written(amount: object) -> None:
    exact = Fraction(str(amount))
    assert number(str(amount), "") == exact
    assert time_ms(f"{amount}s", "") == exact * 1000
    assert data_gib(f"{amount} TB", "") == exact * 1024
    assert Fraction(written(exact).replace(",", "")) == exact
    assert Fraction(dollars(exact).replace(",", "").removeprefix("$")) == exact


@patient
@given(st.integers(0, 10**9))
def test_counts_are_whole_in_every_spelling(whole: int) -> None:
    assert count(str(whole), "") == count(f"{whole:,}", "") == whole
    assert count(f"{whole}k", "") == whole * 1000


PLACES = (
    ("function", "aws", "us-east-1", "lambda", 128, 10240, None),
    ("function", "azure", "eastus", "azure-functions", 128, 1536, None),
    ("container", "aws", "us-east-1", "fargate", 4096, 16384, "2"),
    ("container", "gcp", "europe-west3", "cloud-run-jobs", 2048, 16384, "4"),
)


@patient
@given(st.sampled_from(PLACES), st.integers(1, 120), st.integers(1, 10**7))
def test_the_calculator_and_the_planner_say_the_same(
    sold: tuple[str, str, str, str, int, int, str | None], steps: int, ms: int
) -> None:
    service, cloud, region, name, least, most, vcpus = sold
    memory = min(most, max(least, steps * 128 if service == "function" else steps * 1024))
    place = Place(
        service=service,  # type: ignore[arg-type]
        instance_type=name,
        vcpus=float(vcpus or 1),
        memory_mib=memory,
        region=region,
        cloud=cloud,
    )
    use = {"service": name, "memory": f"{memory} MiB", "region": region}
    use |= (
        {"duration": f"{ms}ms", "requests": "1"}
        if service == "function"
        else {"duration": f"{ms}ms", "vcpus": vcpus or ""}
    )
    planned = cost(place, 0.0, float(ms), catalogue())
    assert planned is not None and of(use).usd == planned / 10**6


@patient
@given(st.sampled_from(["m5.large", "p3.2xlarge", "c5.9xlarge"]), st.integers(1, 10**8))
def test_they_say_the_same_of_machines(type: str, ms: int) -> None:
    machine = catalogue().machine(type)
    assert machine is not None
    place = Place(
        service="batch", instance_type=type, vcpus=machine.vcpus, memory_mib=machine.memory_mib, region="us-east-1"
    )
    planned = cost(place, 0.0, float(ms), catalogue())
    assert planned is not None and of({"type": type, "duration": f"{ms}ms"}).usd == planned / 10**6


@patient
@given(st.sampled_from([128, 256, 512, 1024, 2048, 4096, 8192]), st.integers(1, 540_000))
def test_they_say_the_same_of_googles_functions(memory: int, ms: int) -> None:
    place = Place(
        service="function",
        instance_type="cloud-functions",
        vcpus=1.0,
        memory_mib=memory,
        region="us-central1",
        cloud="gcp",
    )
    use = {"service": "cloud-functions", "memory": f"{memory} MiB", "each": f"{ms}ms", "requests": "1"}
    planned = cost(place, 0.0, float(ms), catalogue())
    assert planned is not None and of(use).usd == planned / 10**6
