"""The ledger: every part of an amount computed by hand, none counted twice, all of them the amount."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from skylift.asl.events import Usage
from skylift.pricing.bill import bill
from skylift.pricing.catalogue import catalogue
from skylift.pricing.charge import FORMULAS, Charge, Parts, charge
from skylift.pricing.dated import Dated
from skylift.pricing.deliveries import Delivery, Ended
from skylift.pricing.ledger import WASTE, Ledger, charges, elsewhere
from skylift.pricing.places import GIB
from skylift.pricing.transfer import Moved

HOUR_MS = 3_600_000
V100 = 3_060_000
"""p3.2xlarge on-demand in us-east-1, micro-dollars an hour."""


def machine(ended: Ended, startup_ms: float, duration_ms: float, *, token: str = "1-1", **more: Any) -> Delivery:
    usage = Usage(
        service="batch",
        instance_type="p3.2xlarge",
        vcpus=8,
        memory_mib=62_464,
        region="us-east-1",
        market=more.pop("market", "on-demand"),
        startup_ms=startup_ms,
        duration_ms=duration_ms,
        **more,
    )
    return Delivery(step="train", token=token, ended=ended, usage=usage)


def of(delivery: Delivery, kept_ms: float = 0.0, moved: Moved | None = None) -> Charge:
    return charge(delivery, kept_ms, catalogue(), moved)


def test_start_up_work_and_what_rounding_leaves_idle() -> None:
    """90 s to start and 30.25 s of work: 121 s are billed, 0.75 s of which nothing ran."""
    found = of(machine("succeeded", 90_000, 30_250))
    assert found.parts == Parts(
        startup=Fraction(V100 * 90, 3600), work=Fraction(V100 * 30_250, HOUR_MS), idle=Fraction(V100 * 750, HOUR_MS)
    )
    assert found.amount == Fraction(V100 * 121, 3600)


def test_a_minimum_is_idle_where_little_ran() -> None:
    """A machine is billed for a minute at least."""
    found = of(machine("succeeded", 0, 1_000)).parts
    assert (found.work, found.idle) == (Fraction(V100, 3600), Fraction(V100 * 59, 3600))


def test_start_up_that_is_not_billed_is_no_waste() -> None:
    usage = Usage(
        service="managed-training",
        instance_type="ml.p3.2xlarge",
        region="us-east-1",
        startup_ms=45_000,
        duration_ms=float(HOUR_MS),
    )
    found = of(Delivery(step="t", token="1-1", ended="succeeded", usage=usage))
    assert found.parts == Parts(work=Fraction(3_825_000))


@pytest.mark.parametrize(
    ("ended", "part"), [("preempted", "lost"), ("moved", "lost"), ("lost", "lost"), ("failed", "failed")]
)
def test_work_that_counts_for_nothing_has_a_name(ended: Ended, part: str) -> None:
    found = of(machine(ended, 0, HOUR_MS)).parts
    assert getattr(found, part) == V100 and found.work == 0 and found.amount == V100


@pytest.mark.parametrize("ended", ["out-of-memory", "timed-out"])
def test_what_lacked_memory_or_time_has_failed(ended: Ended) -> None:
    assert of(machine(ended, 0, HOUR_MS)).parts.failed == V100


def test_work_lost_to_preemption_is_what_ran_less_what_checkpoints_kept() -> None:
    """Three deliveries of an hour; checkpoints keep 40 minutes, then 70 in all, then it ends."""
    given = [
        machine("preempted", 0, HOUR_MS, saved_ms=40 * 60_000),
        machine("preempted", 0, HOUR_MS, saved_ms=70 * 60_000),
        machine("succeeded", 0, HOUR_MS),
    ]
    found = [one.parts for one in charges(given, catalogue())]
    assert [part.work for part in found] == [V100 * Fraction(40, 60), V100 * Fraction(30, 60), V100]
    assert [part.lost for part in found] == [V100 * Fraction(20, 60), V100 * Fraction(30, 60), 0]


def test_another_attempt_of_the_visit_goes_on_from_the_checkpoint_and_the_next_visit_begins_anew() -> None:
    given = [
        machine("failed", 0, HOUR_MS, token="run:7-1", saved_ms=30 * 60_000),
        machine("failed", 0, HOUR_MS, token="run:7-2", saved_ms=30 * 60_000),
        machine("succeeded", 0, HOUR_MS, token="run:7-3"),
        machine("failed", 0, HOUR_MS, token="run:7-4", saved_ms=30 * 60_000),
    ]
    assert [one.parts.failed / V100 for one in charges(given, catalogue())] == [Fraction(1, 2), 1, 0, Fraction(1, 2)]


def function(memory_mib: int, peak_mib: float | None, duration_ms: float, cpu_ms: float | None = None) -> Delivery:
    usage = Usage(
        service="function",
        instance_type="lambda",
        memory_mib=memory_mib,
        region="us-east-1",
        market="on-demand",
        startup_ms=100.0,
        duration_ms=duration_ms,
        peak_memory_mib=peak_mib,
        cpu_ms=cpu_ms,
    )
    return Delivery(step="f", token="1-1", ended="succeeded", usage=usage)


def test_memory_that_a_function_was_given_and_did_not_need() -> None:
    """2 GiB given, 300.5 MiB used (301 can be bought), one second: 1747 of 2048 parts of its work are too much."""
    gib_second = Fraction(Decimal("0.0000166667")) * 1_000_000
    found = of(function(2048, 300.5, 1_000)).parts
    assert found.work + found.memory == 2 * gib_second
    assert found.memory == 2 * gib_second * Fraction(1747, 2048)
    assert found.requests == Fraction(Decimal("0.2"))
    assert found.startup == 2 * gib_second / 10


def test_a_function_that_used_its_processors_needed_the_memory_they_come_with() -> None:
    """Busy for 0.5 of a processor: 884.5 MiB bring that, whatever it stored."""
    found = of(function(1769, 300.0, 1_000, cpu_ms=500.0)).parts
    assert found.memory / (found.memory + found.work) == Fraction(1769 - 885, 1769)


def test_memory_of_a_container_comes_in_steps() -> None:
    """1 vCPU with 8 GiB of which 2.5 were used: 3 GiB could be had, 5 were too much."""
    usage = Usage(
        service="container",
        instance_type="fargate",
        vcpus=1,
        memory_mib=8 * GIB,
        region="us-east-1",
        startup_ms=0.0,
        duration_ms=float(HOUR_MS),
        peak_memory_mib=2.5 * GIB,
    )
    found = of(Delivery(step="c", token="1-1", ended="succeeded", usage=usage)).parts
    assert found.memory == 5 * Fraction(Decimal("0.004445")) * 1_000_000
    assert found.amount == (Fraction(Decimal("0.04048")) + 8 * Fraction(Decimal("0.004445"))) * 1_000_000


def test_what_was_not_measured_is_no_waste() -> None:
    assert of(function(2048, None, 1_000)).parts.memory == 0
    assert of(machine("succeeded", 0, HOUR_MS, peak_memory_mib=1.0)).parts.memory == 0  # not bought by its amount


def test_failed_work_is_not_also_too_much_memory() -> None:
    delivery = function(2048, 100.0, 1_000)
    failed = of(Delivery(step="f", token="1-1", ended="failed", usage=delivery.usage)).parts
    assert failed.memory == 0 and failed.failed > 0 and failed.amount == of(delivery).amount


def test_bytes_are_charged_where_they_leave() -> None:
    delivery = machine("succeeded", 0, HOUR_MS, in_bytes=5 * 10**9, out_bytes=2 * 10**9)
    assert of(delivery, moved=Moved(artifacts="us-east-1")).parts.transfer == 0
    between = catalogue().rate("transfer", "region", "us-east-1")
    assert between is not None
    away = of(delivery, moved=Moved(artifacts="nowhere-1"))
    assert away.parts.transfer == 2 * Fraction(between.usd) * 1_000_000
    assert away.unpriced_bytes == 5 * 10**9  # nobody knows what leaving nowhere-1 costs
    home = of(delivery, moved=Moved(artifacts="internet"))
    assert home.parts.transfer == 2 * 90_000 and home.unpriced_bytes == 0
    assert home.amount - home.parts.transfer == V100


def test_bytes_are_charged_in_tiers_of_the_months_volume() -> None:
    """Out of us-east-1: 10,240 GB at $0.09, then 40,960 at $0.085, then at $0.07."""
    lots = machine("succeeded", 0, HOUR_MS, out_bytes=20_000 * 10**9)
    first = of(lots, moved=Moved(artifacts="internet"))
    assert first.parts.transfer == (10_240 * 90_000 + 9_760 * 85_000)
    assert [price.usd for price in first.prices[1:]] == [Decimal("0.09"), Decimal("0.085")]
    ledger = Ledger(catalogue(), moved=Moved(artifacts="internet"))
    november, december = 1_795_000_000_000, 1_797_000_000_000
    for at_ms in (november, november, november + 1, december):
        ledger.add([msgspec.structs.replace(lots, ended_ms=at_ms)], lambda one: str(one.ended_ms))
    second = (20_000 * 85_000, 11_200 * 85_000 + 8_800 * 70_000)
    assert ledger.lines[str(november)].parts.transfer == first.parts.transfer + second[0]
    assert ledger.lines[str(november + 1)].parts.transfer == second[1]
    assert ledger.lines[str(december)].parts.transfer == first.parts.transfer  # a month begins anew
    assert ledger.total.cost == sum((line.cost for line in ledger.lines.values()), Fraction(0))


def test_bytes_between_clouds_and_own_machines_leave_over_the_internet() -> None:
    own = Usage(service="process", duration_ms=1.0, in_bytes=10**9, out_bytes=10**9)
    read = of(Delivery(step="s", token="1-1", ended="succeeded", usage=own), moved=Moved(artifacts="us-east-1"))
    assert (read.known, read.amount) == ("own", 90_000)  # what is written costs nothing
    google = Usage(
        service="batch",
        cloud="gcp",
        instance_type="n1-standard-1",
        region="us-central1",
        duration_ms=0.0,
        in_bytes=10**9,
        out_bytes=10**9,
    )
    both = of(Delivery(step="s", token="1-1", ended="succeeded", usage=google), moved=Moved(artifacts="us-east-1"))
    assert both.parts.transfer == 90_000 + 120_000
    neighbour = machine("succeeded", 0, HOUR_MS, out_bytes=10**9)
    assert of(neighbour, moved=Moved(artifacts="us-east-2")).parts.transfer == 10_000
    assert of(neighbour, moved=Moved(artifacts="eu-west-1")).parts.transfer == 20_000


def test_prices_of_a_day() -> None:
    """The machine cost as much in 2021; nobody knows what it cost in 2010, whatever its backend says of today."""
    delivery = machine("succeeded", 0, HOUR_MS, cost_usd_micro=3_060_000)
    then = charge(delivery, 0.0, Dated(catalogue(), "2021-12-31"))
    assert then.known == "priced" and then.prices[0].as_of <= "2021-12-31"
    before = charge(delivery, 0.0, Dated(catalogue(), "2010-01-01"))
    assert (before.known, before.amount, before.prices) == ("unpriced", 0, ())
    assert Dated(catalogue(), "2010-01-01").rate("container", "memory", "us-east-1") is None


def test_each_amount_names_the_row_it_was_computed_with() -> None:
    (price,) = of(machine("succeeded", 0, HOUR_MS)).prices
    assert price.usd == Decimal("3.06") and price.unit == "hour" and price.as_of <= "2026-12-31"
    assert "p3.2xlarge" in price.what and price.as_of in price.source
    assert [one.unit for one in of(function(128, None, 1)).prices] == ["GB-second", "1M requests"]


def test_an_amount_that_only_the_backend_knows_is_shared_by_time() -> None:
    usage = Usage(service="batch", instance_type="z9", startup_ms=1_000, duration_ms=3_000, cost_usd_micro=100)
    found = of(Delivery(step="t", token="1-1", ended="preempted", usage=usage))
    assert found.known == "told" and found.prices == ()
    assert found.parts == Parts(startup=Fraction(25), lost=Fraction(75))


def test_the_ledger_is_the_bill_and_its_lines_are_its_total() -> None:
    given = [
        machine("preempted", 60_000, 100_000, token="a"),
        machine("succeeded", 61_234.5, 99_999.9, token="a"),
        function(1024, 200.0, 123.4),
        Delivery(step="own", token="b", ended="succeeded", usage=Usage(service="process", duration_ms=5.0)),
        Delivery(step="lost", token="c", ended="lost"),
    ]
    ledger = Ledger(catalogue())
    ledger.add(given, lambda delivery: delivery.step)
    assert list(ledger.lines) == ["train", "f", "own", "lost"]
    assert ledger.total.cost == sum((line.cost for line in ledger.lines.values()), Fraction(0))
    assert ledger.total.cost == bill(given, catalogue()).cost
    assert ledger.total.waste == sum((getattr(ledger.total.parts, name) for name in WASTE), Fraction(0))
    assert (ledger.total.attempts, ledger.total.deliveries, ledger.total.runs) == (4, 5, 1)
    assert (ledger.lines["own"].free, ledger.lines["lost"].unpriced) == (1, 1)
    assert set(WASTE) | {"work", "requests"} == set(FORMULAS) == set(Parts.__struct_fields__)


def test_own_work_elsewhere_is_the_cheapest_that_fits() -> None:
    """A processor and 500 MiB for a second."""
    own = Usage(service="process", duration_ms=1_000.0, vcpus=1.0, peak_memory_mib=500.0)
    found = elsewhere(Delivery(step="s", token="1-1", ended="succeeded", usage=own), catalogue(), "us-east-1")
    assert found is not None and 0 < found < 100
    ledger = Ledger(catalogue(), own_in="us-east-1")
    unknown = Usage(service="process", duration_ms=1.0, gpu_ms=1.0)
    ledger.add(
        [
            Delivery(step="s", token=token, ended="succeeded", usage=one)
            for token, one in (("1-1", own), ("2-1", unknown))
        ],
        lambda delivery: delivery.step,
    )
    assert ledger.total.own_on_demand == found and ledger.total.own_unknown == 1 and ledger.total.cost == 0


def test_fees_beside_deliveries_are_in_the_sum() -> None:
    ledger = Ledger(catalogue())
    (price,) = of(machine("succeeded", 0, HOUR_MS)).prices
    ledger.add_requests("(transitions)", 4, price, 1)
    ledger.add_requests("(transitions)", 3, None, 1)
    assert ledger.total.cost == 4 * V100 and ledger.total.requests == 7 and ledger.total.unpriced == 3


def test_a_container_of_ones_own_machine_sends_no_bill() -> None:
    here = Usage(service="container", instance_type="this-machine", region="local", market="on-demand", duration_ms=5.0)
    ledger = Ledger(catalogue())
    told = msgspec.structs.replace(here, cost_usd_micro=70)
    ledger.add(
        [Delivery(step="s", token=token, ended="succeeded", usage=one) for token, one in (("1", here), ("2", told))],
        lambda delivery: delivery.step,
    )
    assert (ledger.total.free, ledger.total.unpriced, ledger.total.cost) == (1, 0, 70)
