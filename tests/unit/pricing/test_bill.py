"""Bills, checked by hand to the micro-dollar."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from skylift.asl.events import TaskFailed, TaskRedelivered, TaskSucceeded, TaskTimedOut, TimerFired, Usage
from skylift.ports.journal import Entry
from skylift.pricing.bill import bill, cost_of, usd
from skylift.pricing.catalogue import catalogue
from skylift.pricing.deliveries import Delivery, Ended, deliveries
from skylift.pricing.places import Place, cost, whole_micro

HOUR_MS = 3_600_000


def used(service: str, type: str, startup_ms: float, duration_ms: float, **more: Any) -> Usage:
    return Usage(
        service=service,
        instance_type=type,
        region=more.pop("region", "us-east-1"),
        market=more.pop("market", "on-demand"),
        startup_ms=startup_ms,
        duration_ms=duration_ms,
        **more,
    )


def delivery(ended: Ended, usage: Usage | None, *, step: str = "train", token: str = "t") -> Delivery:
    return Delivery(step=step, token=token, ended=ended, usage=usage)


def test_a_function_is_billed_by_the_millisecond_and_the_request() -> None:
    """1 GiB for 100 + 400.2 ms: 0.501 GB-s at 0.0000166667, and a request at 0.2 a million."""
    usage = used("function", "lambda", 100, 400.2, memory_mib=1024)
    exact = Fraction(Decimal("0.0000166667")) * Fraction(501, 1000) * 1_000_000 + Fraction(Decimal("0.2"))
    assert cost_of(usage, catalogue()) == exact
    assert whole_micro(exact) == 9  # 8.35 + 0.2


def test_a_million_small_calls_cost_what_they_cost() -> None:
    """128 MiB for 1 ms is 0.2020833 micro-dollars, which nothing rounds away."""
    usage = used("function", "lambda", 0, 1, memory_mib=128)
    found = bill([delivery("succeeded", usage, token=str(n)) for n in range(1_000)], catalogue())
    one = Fraction(128, 1024) * Fraction(Decimal("0.0000166667")) / 1000 * 1_000_000 + Fraction(Decimal("0.2"))
    assert found.cost == 1_000 * one
    assert whole_micro(found.cost) == 202


def test_a_container_is_billed_by_the_second_and_a_minute_at_least() -> None:
    """1 vCPU and 2 GiB: 0.04048 + 2 x 0.004445 = 0.04937 an hour."""
    place = Place(service="container", instance_type="fargate", vcpus=1, memory_mib=2048, region="us-east-1")
    hour = Fraction(Decimal("0.04937")) * 1_000_000
    assert cost(place, 12_000, 30_000, catalogue()) == hour * 60 / 3600
    assert cost(place, 12_000, 60_500, catalogue()) == hour * 73 / 3600


def test_a_machine_is_billed_from_its_start_and_a_minute_at_least() -> None:
    place = Place(service="batch", instance_type="p3.2xlarge", vcpus=8, memory_mib=62_464, region="us-east-1")
    assert cost(place, 0, 1_000, catalogue()) == Fraction(3_060_000 * 60, 3600)
    assert cost(place, 120_000, HOUR_MS - 120_000, catalogue()) == 3_060_000
    spot = Place(
        service="batch",
        instance_type="p3.2xlarge",
        vcpus=8,
        memory_mib=62_464,
        region="us-east-1",
        market="spot",
        nodes=4,
    )
    assert cost(spot, 0, HOUR_MS, catalogue()) == 4 * 918_000


def test_managed_training_is_not_billed_while_it_starts() -> None:
    place = Place(
        service="managed-training", instance_type="ml.p3.2xlarge", vcpus=8, memory_mib=62_464, region="us-east-1"
    )
    assert cost(place, 45_000, HOUR_MS, catalogue()) == 3_825_000


def test_lost_deliveries_are_on_the_bill_and_not_in_the_comparison() -> None:
    lost = used("batch", "p3.2xlarge", 60_000, HOUR_MS - 60_000, market="spot")
    last = used("batch", "p3.2xlarge", 60_000, 2 * HOUR_MS - 60_000, market="spot")
    found = bill([delivery("preempted", lost), delivery("succeeded", last)], catalogue())
    [line] = found.lines
    assert (line.attempts, line.deliveries, line.preemptions) == (1, 2, 1)
    assert line.cost == 3 * 918_000
    assert line.on_demand == 2 * 3_060_000
    assert (line.startup_ms, line.run_ms) == (120_000, 3 * HOUR_MS - 120_000)


def test_work_that_a_checkpoint_kept_counts_in_the_comparison() -> None:
    lost = used("batch", "p3.2xlarge", 0, HOUR_MS, market="spot", saved_ms=float(HOUR_MS // 2))
    last = used("batch", "p3.2xlarge", 0, HOUR_MS, market="spot")
    found = bill([delivery("preempted", lost), delivery("succeeded", last)], catalogue())
    assert found.cost == 2 * 918_000
    assert found.on_demand == Fraction(3_060_000 * 3, 2)


def test_what_has_no_price_is_counted_and_not_guessed() -> None:
    unknown = used("batch", "z9.huge", 0, HOUR_MS)
    told = used("batch", "z9.huge", 0, HOUR_MS, cost_usd_micro=77)
    own = Usage(service="process", duration_ms=5.0)
    found = bill(
        [
            delivery("succeeded", unknown, token="a"),
            delivery("failed", told, token="b"),
            delivery("timed-out", own, token="c"),
            delivery("lost", None, token="d"),
        ],
        catalogue(),
    )
    [line] = found.lines
    assert (line.unpriced, line.free, line.failed, line.lost) == (2, 1, 2, 1)
    assert found.cost == 77 and found.unpriced == 2


def test_deliveries_are_folded_from_the_journal() -> None:
    usage = Usage(duration_ms=1.0)
    events = [
        TaskRedelivered(token="a", reason="moved"),  # it had waited for a spot machine: there was no place
        TaskRedelivered(token="a", reason="preempted", usage=usage),
        TaskRedelivered(token="a", reason="moved", usage=usage),
        TaskRedelivered(token="a", reason="out-of-memory", usage=usage, memory_mib=512),
        TimerFired(timer=1),
        TaskSucceeded(token="a", output=1, usage=usage),
        TaskFailed(token="b", error="E"),
        TaskTimedOut(token="c"),
        TaskSucceeded(token="cached", output=1, usage=Usage(cached_from="other")),
        TaskSucceeded(token="stranger", output=1),
    ]
    entries = [Entry(number, number, event) for number, event in enumerate(events, 1)]
    found = deliveries({"a": "A", "b": "B", "c": "C", "cached": "D"}, entries)
    assert [(one.step, one.ended, one.memory_mib) for one in found] == [
        ("A", "preempted", None),
        ("A", "moved", None),
        ("A", "out-of-memory", 512),
        ("A", "succeeded", None),
        ("B", "failed", None),
        ("C", "timed-out", None),
    ]


@pytest.mark.parametrize(
    ("amount", "text"),
    [(Fraction(0), "$0.000000"), (Fraction(1, 2), "$0.000001"), (Fraction(12_345_678), "$12.345678")],
)
def test_amounts_are_shown_to_the_micro_dollar(amount: Fraction, text: str) -> None:
    assert usd(amount) == text
