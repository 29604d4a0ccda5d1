"""Waste of a persistent machine: computed by hand from a small log; logs that lie."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest

from skylift.pricing.catalogue import catalogue
from skylift.pricing.use_log import UseLogInvalid, read_log, read_logs
from skylift.pricing.waste import WasteInvalid, machine, over_time, small_machine, waste

START = datetime(2026, 11, 16, tzinfo=UTC)
V100 = 3_060_000
MEDIUM = 41_600


def line(minute: int, cpu: float, **more: float) -> str:
    said = {"at": f'"{(START + timedelta(minutes=minute)).isoformat()}"', "cpu": cpu, **more}
    return "{" + ", ".join(f'"{key}": {value}' for key, value in said.items()) + "}"


def day(busy: range, minutes: int = 1_440) -> list[str]:
    return [line(minute, 80 if minute in busy else 1) for minute in range(1, minutes + 1)]


def test_a_day_by_hand() -> None:
    """24 hours of which two are used: $3.06 x 22 are idle. As a step: 150 s to start and two hours, beside a t3.medium
    that stays all day."""
    log = read_log(day(range(601, 721)))
    place, small = machine("p3.2xlarge", "us-east-1", catalogue()), machine("t3.medium", "us-east-1", catalogue())
    found = waste(log, place, small, catalogue())
    assert (log.interval_ms, found.covered_ms, found.busy_ms) == (60_000, 86_400_000, 7_200_000)
    assert found.paid == 24 * V100 and found.idle == 22 * V100
    (stretch,) = found.stretches
    assert stretch.length_ms == 7_200_000
    assert found.steps == stretch.cost == Fraction(V100 * (7_200 + 150), 3_600)
    assert found.small_cost == 24 * MEDIUM
    assert found.saved == found.paid - found.steps - 24 * MEDIUM > 0
    as_is, beside = over_time(log, found).values()
    assert as_is[-1] == (pytest.approx(1.0), pytest.approx(24 * 3.06))
    assert beside[-1][1] == pytest.approx(float(found.ephemeral) / 1e6)


def test_pauses_that_are_short_belong_to_a_stretch() -> None:
    lines = [line(minute, 80 if minute in (10, 20, 40) else 0) for minute in range(1, 61)]
    place, small = machine("p3.2xlarge", "us-east-1", catalogue()), machine("t3.medium", "us-east-1", catalogue())
    found = waste(read_log(lines), place, small, catalogue(), join_ms=10 * 60_000)
    assert [one.length_ms // 60_000 for one in found.stretches] == [11, 1]
    apart = waste(read_log(lines), place, small, catalogue(), join_ms=0)
    assert len(apart.stretches) == 3 and apart.busy_ms == found.busy_ms == 3 * 60_000


def test_a_machine_that_is_always_busy_is_best_kept() -> None:
    place, small = machine("c5.large", "us-east-1", catalogue()), machine("t3.medium", "us-east-1", catalogue())
    found = waste(read_log(day(range(1, 1_441))), place, small, catalogue())
    assert found.idle == 0 and found.saved < 0


def test_a_gpu_is_use_too() -> None:
    log = read_log([line(minute, 0, gpu=90 if minute > 30 else 0) for minute in range(1, 61)])
    place, small = machine("p3.2xlarge", "us-east-1", catalogue()), machine("t3.medium", "us-east-1", catalogue())
    assert waste(log, place, small, catalogue()).busy_ms == 30 * 60_000


def test_a_gap_is_neither_idle_nor_busy() -> None:
    lines = [line(minute, 0) for minute in range(1, 601) if not 100 < minute < 400]
    log = read_log(lines)
    assert log.covered_ms == 301 * 60_000
    assert [length // 60_000 for _, length in log.gaps_ms] == [299]


def test_a_step_is_not_charged_for_a_gap_that_was_not_paid_for() -> None:
    """Busy from 1 to 100 and from 400 to 600, off between, and a pause of six hours belongs to a stretch: 301 minutes
    of work and one start-up."""
    lines = [line(minute, 80) for minute in range(1, 601) if not 100 < minute < 400]
    place, small = machine("p3.2xlarge", "us-east-1", catalogue()), machine("t3.medium", "us-east-1", catalogue())
    found = waste(read_log(lines), place, small, catalogue(), join_ms=6 * 3_600_000)
    (stretch,) = found.stretches
    assert (stretch.length_ms, stretch.gaps_ms) == (301 * 60_000, 299 * 60_000)
    assert found.steps - found.paid == Fraction(V100 * 150, 3_600)
    apart = waste(read_log(lines), place, small, catalogue(), join_ms=0)
    assert [one.length_ms // 60_000 for one in apart.stretches] == [100, 201]


def test_lines_that_lie_are_named_and_left_out() -> None:
    lines = [
        line(3, 1),
        line(1, 1),  # out of order
        line(2, 1),
        line(2, 50),  # the same moment again
        '{"at": "2026-11-16T00:0',
        '{"at": "2026-11-16T00:05:00Z", "cpu": 300}',
        '{"at": "2026-11-16T00:05:00Z", "cpu": NaN}',
        '{"at": "2026-11-16T00:05:00Z"}',
        '{"at": "yesterday", "cpu": 1}',
        '{"at": true, "cpu": 1}',
        "[1, 2]",
        "",
        "# a comment",
        line(4, 1),
    ]
    log = read_log(lines)
    assert [sample.cpu for sample in log.samples] == [1, 50, 1, 1]
    assert (log.bad_count, log.unordered, log.repeated, len(log.bad)) == (7, 1, 1, 5)
    assert log.bad[0].startswith("line 5: ") and "cpu is 300" in log.bad[1]


def test_a_csv_of_somebody_elses() -> None:
    log = read_log(["Time,CPU,GPU,Memory_MiB", "1763251200,1,,2000", "1763251260000,50%,90,3000", "1763251320,1"])
    assert [(one.cpu, one.gpu, one.memory_mib) for one in log.samples] == [(1, None, 2000), (50, 90, 3000)]
    assert log.bad == ("line 4: 2 cells under a head of 4",)


@pytest.mark.parametrize("lines", [[], ["nonsense"], ["{}"], ["time,cpu"]])
def test_a_log_of_which_nothing_can_be_used(lines: list[str]) -> None:
    with pytest.raises(UseLogInvalid, match="has no line that can be used") as refused:
        read_log(lines, "use.log")
    assert "skylift waste record" in (refused.value.hint or "")


def test_machines_that_are_not_known_or_have_no_price() -> None:
    with pytest.raises(WasteInvalid, match=r"knows no machine 'p3\.2xlarg'") as unknown:
        machine("p3.2xlarg", "us-east-1", catalogue())
    assert "p3.2xlarge" in (unknown.value.hint or "")
    with pytest.raises(WasteInvalid, match=r"no price: p3\.2xlarge on demand in nowhere") as priceless:
        machine("p3.2xlarge", "nowhere", catalogue())
    assert "it has one in" in (priceless.value.hint or "")


def test_the_machine_that_stays_is_the_cheapest_that_runs_the_same_programs() -> None:
    place = machine("p3.2xlarge", "us-east-1", catalogue())
    small = small_machine(place, catalogue())
    known = catalogue().machine(small.instance_type)
    assert known is not None and known.architecture == "x86_64" and not known.gpus
    assert small.vcpus >= 2 and small.memory_mib >= 4096


# Logs that lie in ways of their own ----------------------------------------------------------------------------------


def test_a_pause_in_a_short_log_is_a_gap_and_no_month_of_use() -> None:
    """Two minutes and one more a month later: three minutes are known."""
    log = read_log(
        ["time,cpu", "2026-11-16T09:00:00Z,1", "2026-11-16T09:01:00Z,90", "2026-12-16T09:00:00Z,90"],
    )
    assert log.interval_ms == 60_000 and log.covered_ms == 180_000 and len(log.gaps_ms) == 1


def test_who_wrote_the_log_says_how_often_there_is_a_line() -> None:
    said = ['{"at": "2026-11-16T09:00:00Z", "cpu": 1, "every_s": 60}', '{"at": "2026-11-17T09:00:00Z", "cpu": 90}']
    log = read_log(said)
    assert log.interval_ms == 60_000 and log.covered_ms == 120_000
    assert read_log([said[0].replace("60}", '"x"}')]).interval_ms == 60_000
    assert read_log([said[0].replace("60}", "-1}")]).interval_ms == 60_000


def test_times_of_many_zones_are_the_moments_they_are() -> None:
    said = ["2026-11-16T09:00:00Z", "2026-11-16T10:01:00+01:00", "2026-11-16T04:02:00-05:00", "2026-11-16 09:03:00"]
    log = read_log(["time,cpu", *(f"{one},1" for one in said), "1794819840,1"])
    assert {b.at_ms - a.at_ms for a, b in pairwise(log.samples)} == {60_000}
    assert log.no_zone == 1 and log.bad_count == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0001-01-01T00:00:00+23:00,1", "no time of a log"),
        ("9999-12-31T23:59:59-23:00,1", "the time is"),
        ("1e400,1", "the time is"),
        ("-5,1", "the time is"),
        ("2026-11-16T09:00:00Z,1,2", "3 cells under a head of 2"),
        ("2026-11-16T09:00:00Z," + "9" * 200_000, "longer than 100000"),
    ],
)
def test_a_line_that_no_machine_has_written(text: str, said: str) -> None:
    log = read_log(["time,cpu", "2026-11-16T09:00:00Z,1", text])
    assert len(log.samples) == 1 and log.bad_count == 1 and said in log.bad[0]


def test_a_head_that_names_a_column_twice_is_none() -> None:
    with pytest.raises(UseLogInvalid, match="the head names 'cpu' twice"):
        read_log(["time,cpu,cpu", "2026-11-16T09:00:00Z,1,99"])


@pytest.mark.parametrize("sign", [";", "\t"])
def test_cells_may_be_parted_otherwise(sign: str) -> None:
    log = read_log([f"time{sign}cpu{sign}gpu", f"2026-11-16T09:00:00Z{sign}12{sign}90"])
    assert [(one.cpu, one.gpu) for one in log.samples] == [(12, 90)]


def test_several_logs_have_heads_and_line_numbers_of_their_own() -> None:
    log = read_logs(
        [("a.csv", ["time,cpu", "2026-11-16T09:00:00Z,1", "x,1"]), ("b.csv", ["cpu,time", "2,2026-11-16T09:01:00Z"])]
    )
    assert [one.cpu for one in log.samples] == [1, 2] and log.bad[0].startswith("a.csv, line 3: ")


def test_shares_of_one_are_asked_about() -> None:
    assert read_log(["time,cpu", "1794819600,0.9", "1794819660,1.0"]).looks_like_shares
    assert not read_log(["time,cpu", "1794819600,0", "1794819660,0"]).looks_like_shares
    assert not read_log(["time,cpu", "1794819600,0.9", "1794819660,1.1"]).looks_like_shares
