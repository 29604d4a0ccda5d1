"""Office hours: `mon-fri 08:00-19:00, sat 10:00-14:00` in a time zone. Pure."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from skylift.errors import SetupError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTE_MS = 60_000
LOOK_DAYS = 16
"""How far is looked for a change: every week has one, unless the clock is set just over it; then the week after."""
_PART = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?\s+(\d\d):(\d\d)-(\d\d):(\d\d)")
_EXAMPLE = 'write them like "mon-fri 08:00-19:00, sat 10:00-14:00"'


class HoursInvalid(SetupError):
    """Office hours, or their time zone, that cannot be understood."""

    code = "OFFICE-HOURS"


class Span(msgspec.Struct, frozen=True):
    """Of one day of the week, 0 for Monday. In minutes since midnight; the end is not part of it."""

    day: int
    begin: int
    end: int


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """When a box shall run, by the clock on the wall of its zone."""

    text: str
    zone: str
    spans: tuple[Span, ...]

    def opened(self, now_ms: int) -> int | None:
        """Since when it has been open, through parts that touch or overlap; None while it is closed. UTC
        milliseconds."""
        if not self._is_open(now_ms):
            return None
        edges = reversed(self._edges(now_ms, range(-LOOK_DAYS, 1)))
        return next(edge for edge in edges if edge <= now_ms and self._is_open(edge) and not self._is_open(edge - 1))

    def next_change(self, now_ms: int) -> int:
        """When it opens or closes next."""
        is_open = self._is_open(now_ms)
        edges = self._edges(now_ms, range(-1, LOOK_DAYS))
        return next(edge for edge in edges if edge > now_ms and self._is_open(edge) != is_open)

    def _is_open(self, now_ms: int) -> bool:
        here = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(self.zone))
        minute, day = here.hour * 60 + here.minute, here.weekday()
        return any(span.day == day and span.begin <= minute < span.end for span in self.spans)

    def _edges(self, now_ms: int, days: range) -> list[int]:
        """Moments at which it may open or close, of the days so far from today: where parts begin and end, each twice
        where the clock is set back over it, and on a day on which it is set all quarters of an hour."""
        today = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(self.zone))
        found: set[int] = set()
        for ahead in days:
            day = today + timedelta(days=ahead)
            for span in self.spans:
                if span.day == day.weekday():
                    found.update(_at(day, edge, fold) for edge in (span.begin, span.end) for fold in (0, 1))
            midnight, next_midnight = _at(day, 0), _at(day, 1440)
            if next_midnight - midnight != 1440 * MINUTE_MS:
                found.update(range(midnight - 60 * MINUTE_MS, next_midnight + 60 * MINUTE_MS, 15 * MINUTE_MS))
        return sorted(found)


def read_hours(text: str, zone: str) -> Hours:
    """Raises HoursInvalid."""
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise HoursInvalid(f"{zone!r} is no time zone", hint="use a name like Europe/Zurich or UTC") from None
    spans = [span for part in text.lower().split(",") for span in _spans(part.strip(), text)]
    if not spans:
        raise HoursInvalid(f"{text!r} names no hours", hint=_EXAMPLE)
    if len({(span.day, minute) for span in spans for minute in range(span.begin, span.end)}) >= 7 * 1440:
        raise HoursInvalid(f"{text!r} is always: a box that is never stopped needs no hours", hint=_EXAMPLE)
    return Hours(text=text, zone=zone, spans=tuple(spans))


def _spans(part: str, text: str) -> list[Span]:
    match = _PART.fullmatch(part)
    if match is None or match[1] not in DAYS or (match[2] or "mon") not in DAYS:
        raise HoursInvalid(f"{part!r} in {text!r} are no hours", hint=_EXAMPLE)
    first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
    begin, end = int(match[3]) * 60 + int(match[4]), int(match[5]) * 60 + int(match[6])
    if max(int(match[4]), int(match[6])) > 59 or end > 1440 or begin >= end:
        raise HoursInvalid(f"{part!r}: the hours end before they begin", hint=f"a night is two parts; {_EXAMPLE}")
    days = range(first, last + 1) if first <= last else (*range(first, 7), *range(last + 1))
    return [Span(day, begin, end) for day in days]


def _at(day: datetime, minute: int, fold: int = 0) -> int:
    """A minute of a day by the wall clock, which is not always so many minutes after midnight."""
    date = day.date() + timedelta(days=minute // 1440)
    wall = datetime.combine(date, time(minute % 1440 // 60, minute % 60), tzinfo=day.tzinfo).replace(fold=fold)
    return int(wall.timestamp() * 1000)
