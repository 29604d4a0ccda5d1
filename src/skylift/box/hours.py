"""Office hours: `mon-fri 08:00-19:00, sat 10:00-14:00` in a time zone. Pure."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from skylift.errors import SetupError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
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
        """Since when it has been open; None while it is closed. UTC milliseconds."""
        here = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(self.zone))
        minute = here.hour * 60 + here.minute
        begins = [span.begin for span in self.spans if span.day == here.weekday() and span.begin <= minute < span.end]
        return _at(here, min(begins)) if begins else None

    def next_change(self, now_ms: int) -> int:
        """When it opens or closes next."""
        here = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(self.zone))
        is_open = self.opened(now_ms) is not None
        for ahead in range(9):
            day = here + timedelta(days=ahead)
            edges = {edge for span in self.spans if span.day == day.weekday() for edge in (span.begin, span.end)}
            for edge in sorted(_at(day, minute) for minute in edges):
                if edge > now_ms and (self.opened(edge) is not None) != is_open:
                    return edge
        raise AssertionError("every week has a change")  # read_hours refuses spans without an end


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


def _at(day: datetime, minute: int) -> int:
    """A minute of a day by the wall clock, which is not always so many minutes after midnight."""
    date = day.date() + timedelta(days=minute // 1440)
    wall = datetime.combine(date, time(minute % 1440 // 60, minute % 60), tzinfo=day.tzinfo)
    return int(wall.timestamp() * 1000)
