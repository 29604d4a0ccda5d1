"""The day whose prices count."""

from __future__ import annotations

import re
from datetime import date as day

from skylift.pricing.estimate.amounts import EstimateInvalid

_DATE = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?")


def date(text: str, key: str) -> str:
    """`2020-12-01`, `2020-12`, `2020`. A month or a year is its last day: all that it has seen counts."""
    found = _DATE.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        year, month = int(found[1]), int(found[2] or 12)
        if found[3]:
            return day(year, month, int(found[3])).isoformat()
        ends = day(year + (month == 12), month % 12 + 1, 1)
        return day.fromordinal(ends.toordinal() - 1).isoformat()
    except (ValueError, OverflowError):
        raise EstimateInvalid(f"{key} {text!r} is no date", hint="write for example 2020-12-01 or 2020") from None
