"""The day whose prices count."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date

from skylift.errors import SetupError

_DATE = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?")


class DateInvalid(SetupError):
    """Text that is no date."""

    code = "DATE"


def last_day(text: str, name: str) -> str:
    """Of `2020-12-01`, `2020-12` or `2020`: all that a month or a year has seen counts. `name` is the option's."""
    found = _DATE.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        year, month, day = int(found[1]), int(found[2] or 12), found[3]
        if day is not None:
            return date(year, month, int(day)).isoformat()
        return date(year, month, monthrange(year, month)[1]).isoformat()
    except (ValueError, OverflowError):
        raise DateInvalid(f"{name} {text!r} is no date", hint="write 2020-12-01, 2020-12 or 2020") from None
