"""When schedules are due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from skylift.engine.schedule import InvalidSchedule, latest_due, next_due


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def due(expression: str, after: str, timezone: str = "UTC") -> str | None:
    tick = next_due(expression, ms(after), timezone)
    return None if tick is None else datetime.fromtimestamp(tick / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("rate(5 minutes)", "2026-01-01 00:00:00", "2026-01-01 00:05:00"),
        ("rate(5 minutes)", "2026-01-01 00:04:59", "2026-01-01 00:05:00"),
        ("rate(1 hour)", "2026-01-01 00:04:59", "2026-01-01 01:00:00"),
        ("rate(1 day)", "2026-01-01 00:04:59", "2026-01-02 00:00:00"),
        ("10s", "2026-01-01 00:00:01", "2026-01-01 00:00:10"),
        ("cron(0 9 ? * MON-FRI *)", "2026-01-02 09:00:00", "2026-01-05 09:00:00"),
        ("cron(0 9 ? * 2-6 *)", "2026-01-02 09:00:00", "2026-01-05 09:00:00"),
        ("cron(0/15 * * * ? *)", "2026-01-01 00:16:00", "2026-01-01 00:30:00"),
        ("cron(0 10 1 1 ? 2028-2029)", "2026-05-01 00:00:00", "2028-01-01 10:00:00"),
        ("cron(0 10 1 1 ? 2020)", "2026-05-01 00:00:00", None),
        ("cron(0 8 ? * 2#1 *)", "2026-01-06 00:00:00", "2026-02-02 08:00:00"),
        ("cron(0 8 ? * 6L *)", "2026-01-01 00:00:00", "2026-01-30 08:00:00"),
        ("cron(0 8 L * ? *)", "2026-02-01 00:00:00", "2026-02-28 08:00:00"),
        ("cron(0 8 15W * ? *)", "2026-02-01 00:00:00", "2026-02-16 08:00:00"),
        ("cron(0 8 1W * ? *)", "2026-02-01 00:00:00", "2026-02-02 08:00:00"),
        ("cron(0 8 31W * ? *)", "2026-02-01 00:00:00", "2026-03-31 08:00:00"),
        ("0 9 * * 1-5", "2026-01-02 09:00:00", "2026-01-05 09:00:00"),
        ("*/10 * * * *", "2026-01-01 00:01:00", "2026-01-01 00:10:00"),
    ],
)
def test_next(expression: str, after: str, expected: str | None) -> None:
    assert due(expression, after) == expected


def test_time_zones_and_summer_time() -> None:
    assert due("cron(0 9 * * ? *)", "2026-03-27 12:00:00", "Europe/Berlin") == "2026-03-28 08:00:00"
    assert due("cron(0 9 * * ? *)", "2026-03-28 12:00:00", "Europe/Berlin") == "2026-03-29 07:00:00"


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("soon", "neither a period"),
        ("rate(0 minutes)", "at least 1"),
        ("rate(5 moons)", "a number and a unit"),
        ("cron(0 9 1 * MON *)", "must be ?"),
        ("cron(0 99 ? * MON *)", "hour"),
        ("cron(0 9 ? * 8 *)", "day-of-week 8"),
        ("cron(0 9 ? * MON maybe)", "year"),
    ],
)
def test_nonsense_is_named(expression: str, part: str) -> None:
    with pytest.raises(InvalidSchedule, match=part.replace("?", r"\?")) as caught:
        next_due(expression, 0)
    assert expression in str(caught.value)
    assert caught.value.hint


def test_an_unknown_zone() -> None:
    with pytest.raises(InvalidSchedule, match="Mars/Base"):
        next_due("0 9 * * *", 0, "Mars/Base")


@pytest.mark.parametrize(
    ("expression", "after", "now", "expected"),
    [
        ("rate(1 minute)", "2026-01-01 00:00:00", "2026-01-01 00:00:59", None),
        ("rate(1 minute)", "2026-01-01 00:00:00", "2026-01-01 00:01:00", "2026-01-01 00:01:00"),
        ("rate(1 minute)", "2026-01-01 00:00:00", "2027-03-01 00:00:30", "2027-03-01 00:00:00"),
        ("cron(0 9 1 1 ? *)", "2026-01-01 00:00:00", "2029-06-01 00:00:00", "2029-01-01 09:00:00"),
        ("cron(0 9 1 1 ? 2026)", "2026-01-01 00:00:00", "2049-06-01 00:00:00", "2026-01-01 09:00:00"),
        ("cron(0 9 1 1 ? 2026)", "2026-01-01 09:00:00", "2049-06-01 00:00:00", None),
    ],
)
def test_of_missed_ticks_only_the_latest(expression: str, after: str, now: str, expected: str | None) -> None:
    assert latest_due(expression, ms(after), ms(now)) == (None if expected is None else ms(expected))
