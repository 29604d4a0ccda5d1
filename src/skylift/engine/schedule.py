"""When a schedule is due: `rate(5 minutes)`, `cron(0 9 ? * MON-FRI *)` as on EventBridge, `0 9 * * 1-5` as on Unix.

Pure: the next tick after a time. A rate's ticks are multiples of its period since 1970 (or since an anchor), so that
they do not depend on when anybody asked.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from skylift.errors import SetupError

_UNITS_MS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "week": 604_800_000}
_RATE = re.compile(r"(\d+) *(second|minute|hour|day|week)s?")
_EVERY = re.compile(r"(\d+) *(s|m|h|d)")
_SHORT = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_YEARS = range(1970, 2200)


class InvalidSchedule(SetupError):
    """An expression or a time zone that cannot be understood."""

    code = "SCHEDULE"


class Rate(msgspec.Struct, frozen=True):
    """Every so often."""

    period_ms: int


class Cron(msgspec.Struct, frozen=True):
    """At certain times. `fields` are five, as Unix writes them; the rest are conditions that Unix has not."""

    fields: str
    years: frozenset[int] | None = None
    weekday_nearest: int | None = None
    """`15W`: the weekday nearest to the 15th."""


Expression = Rate | Cron


def next_due(expression: str, after_ms: int, timezone: str = "UTC", anchor_ms: int = 0) -> int | None:
    """The first tick after a time, in UTC milliseconds; None when there is none any more. Raises InvalidSchedule."""
    parsed = parse(expression)
    if isinstance(parsed, Rate):
        periods = (after_ms - anchor_ms) // parsed.period_ms + 1
        return anchor_ms + periods * parsed.period_ms
    return _next_cron(parsed, after_ms, _zone(timezone), expression)


_LOOK_BACK_MS = (3_600_000, 86_400_000, 31 * 86_400_000, 366 * 86_400_000)
"""Where the last missed tick is looked for, nearest first: frequent ones need not all be counted."""


def latest_due(expression: str, after_ms: int, now_ms: int, timezone: str = "UTC") -> int | None:
    """Of the ticks since a time the last: after a week off nobody wants a run for each minute of it."""
    for window_ms in (*_LOOK_BACK_MS, now_ms - after_ms):
        start = max(after_ms, now_ms - window_ms)
        latest, due = None, next_due(expression, start, timezone)
        while due is not None and due <= now_ms:
            latest, due = due, next_due(expression, due, timezone)
        if latest is not None or start == after_ms:
            return latest
    return None


def check(expression: str, timezone: str = "UTC") -> None:
    """Raises InvalidSchedule unless the schedule can be used; a rate's time zone, too, must be one."""
    _zone(timezone)
    next_due(expression, 0, timezone)


def parse(expression: str) -> Expression:
    """Raises InvalidSchedule."""
    text = expression.strip()
    if text.startswith("rate(") and text.endswith(")"):
        return _rate(_RATE.fullmatch(text[5:-1].strip()), expression)
    spelled = _RATE.fullmatch(text)
    if spelled is not None:
        return _rate(spelled, expression)
    short = _EVERY.fullmatch(text)
    if short is not None:
        return Rate(_positive(int(short[1]), expression) * _UNITS_MS[_SHORT[short[2]]])
    if text.startswith("cron(") and text.endswith(")"):
        text = text[5:-1].strip()
    fields = text.upper().split()
    if len(fields) == 6:
        return _aws_cron(fields, expression)
    if len(fields) == 5:
        return Cron(" ".join(fields))
    raise _invalid(
        expression, "it is neither a period (5 minutes, rate(1 hour)) nor cron with five fields or six (EventBridge)"
    )


def _rate(found: re.Match[str] | None, expression: str) -> Rate:
    if found is None:
        raise _invalid(expression, "rate needs a number and a unit: rate(5 minutes)")
    return Rate(_positive(int(found[1]), expression) * _UNITS_MS[found[2]])


def _positive(number: int, expression: str) -> int:
    if number < 1:
        raise _invalid(expression, "the number must be at least 1")
    return number


def _aws_cron(fields: list[str], expression: str) -> Cron:
    """Minutes, hours, day of month, month, day of week (1 is Sunday), year."""
    minute, hour, day, month, weekday, year = fields
    if day != "?" and weekday != "?":
        raise _invalid(expression, "one of day-of-month and day-of-week must be ?")
    nearest = None
    if re.fullmatch(r"\d+W", day):
        nearest = int(day[:-1])
        if not 1 <= nearest <= 31:
            raise _invalid(expression, f"there is no day {nearest}")
        day = "*"
    days = "*" if weekday == "?" else _unix_weekdays(weekday, expression)
    return Cron(" ".join([minute, hour, "*" if day == "?" else day, month, days]), _years(year, expression), nearest)


def _unix_weekdays(text: str, expression: str) -> str:
    """Days counted from 1 for Sunday, to those counted from 0; `L` alone is Saturday."""
    if text == "L":
        return "6"

    def shifted(found: re.Match[str]) -> str:
        number = int(found[0])
        if not 1 <= number <= 7:
            raise _invalid(expression, f"day-of-week {number} is not between 1 (Sunday) and 7 (Saturday)")
        return str(number - 1)

    parts = []
    for part in text.split(","):
        head, mark, tail = re.fullmatch(r"([^#/]*)([#/]?)(.*)", part).groups()  # type: ignore[union-attr]
        parts.append(re.sub(r"(?<![A-Z0-9])\d+", shifted, head) + mark + tail)
    return ",".join(parts)


def _years(text: str, expression: str) -> frozenset[int] | None:
    if text == "*":
        return None
    years: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\*|\d{4})(?:-(\d{4}))?(?:/(\d+))?", part)
        if found is None:
            raise _invalid(expression, f"year {part!r} is not understood")
        first = _YEARS.start if found[1] == "*" else int(found[1])
        single = found[2] is None and found[3] is None and found[1] != "*"
        last = first if single else int(found[2] or _YEARS.stop - 1)
        years.update(range(first, last + 1, int(found[3] or 1) or 1))
    return frozenset(years)


def _next_cron(cron: Cron, after_ms: int, zone: tzinfo, expression: str) -> int | None:
    at = datetime.fromtimestamp(after_ms // 1000, UTC).astimezone(zone)
    ticks = _ticks(cron.fields, at, expression)
    while (tick := ticks()) is not None:
        if cron.years is not None and tick.year not in cron.years:
            later = [year for year in cron.years if year > tick.year]
            if not later:
                return None
            ticks = _ticks(cron.fields, datetime(min(later), 1, 1, tzinfo=zone) - timedelta(seconds=1), expression)
            continue
        if cron.weekday_nearest is None or tick.date() == _nearest_weekday(tick.date(), cron.weekday_nearest):
            return int(tick.timestamp()) * 1000
    return None


def _ticks(fields: str, after: datetime, expression: str) -> Callable[[], datetime | None]:
    from cronsim import CronSim, CronSimError  # only schedules need it

    try:
        simulated = CronSim(fields, after)
    except CronSimError as problem:
        raise _invalid(expression, str(problem)) from problem
    return lambda: next(simulated, None)


def _nearest_weekday(month: date, day: int) -> date | None:
    """Within the month; None when the month has no such day."""
    last = calendar.monthrange(month.year, month.month)[1]
    if day > last:
        return None
    wanted = month.replace(day=day)
    if wanted.weekday() == 5:
        return wanted + timedelta(days=2) if day == 1 else wanted - timedelta(days=1)
    if wanted.weekday() == 6:
        return wanted - timedelta(days=2) if day == last else wanted + timedelta(days=1)
    return wanted


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSchedule(
            f"time zone {name!r} is not known", hint="use a name of the IANA database, such as Europe/Moscow"
        ) from None


def _invalid(expression: str, why: str) -> InvalidSchedule:
    return InvalidSchedule(
        f"schedule {expression!r} cannot be understood: {why}",
        hint="write rate(5 minutes), cron(0 9 ? * MON-FRI *) or the five fields of Unix cron",
    )
