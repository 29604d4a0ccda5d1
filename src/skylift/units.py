"""Amounts as people write them: memory, lengths of time and money."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skylift.errors import AuthorError

if TYPE_CHECKING:
    from decimal import Decimal

_MONEY = re.compile(r"\s*(?:USD|US\$|\$)?\s*(\d+(?:\.\d+)?)\s*(?:USD|\$)?\s*", re.IGNORECASE)
_MEMORY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|[KMGT]i?B?|bytes)?\s*", re.IGNORECASE)
_MIB = {"": 1.0, "m": 1.0, "k": 1 / 1024, "g": 1024.0, "t": 1024.0 * 1024}
TIMES_MS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1000),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60_000),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600_000),
    **dict.fromkeys(("d", "day", "days"), 86_400_000),
}
"""Units of time, in lower case."""
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(TIMES_MS)})(?![a-z])", re.IGNORECASE)
_LONGEST_MS = 1_000_000 * 366 * 86_400_000
_MOST_MIB = 1024.0**4
"""A yobibyte."""


class InvalidAmount(AuthorError):
    """A memory size or a length of time that cannot be understood."""

    code = "AMOUNT"


def parse_memory_mib(memory: str | int, name: str = "memory") -> int:
    """`"1 GiB"`, `"512 MiB"`, `"2G"`, or a number of MiB. Raises InvalidAmount, which names `name`.

    >>> parse_memory_mib("1.5 GiB")
    1536
    """
    if isinstance(memory, int) and not isinstance(memory, bool):
        mib = float(min(memory, 2**64))
    else:
        match = _MEMORY.fullmatch(str(memory))
        if match is None:
            raise InvalidAmount(f"{name}={memory!r} is not an amount", hint='write for example "512 MiB" or "2 GiB"')
        unit = (match[2] or "").lower()
        mib = float(match[1]) * (1 / 1024**2 if unit in ("b", "bytes") else _MIB[unit[:1]])
    if mib > _MOST_MIB:
        raise InvalidAmount(f"{name}={_short(memory)} is more memory than there is")
    if mib < 1:
        raise InvalidAmount(f"{name}={memory!r} is less than 1 MiB", hint='write for example "512 MiB" or "2 GiB"')
    return int(mib)


def parse_usd(amount: str | float | Decimal, name: str = "amount") -> str:
    """`"5 USD"`, `"$5"`, `"0.25"`, or a number of US dollars; as decimal text, exactly as it was written. Raises
    InvalidAmount, which names `name`.

    >>> parse_usd("5 USD"), parse_usd(2.5)
    ('5', '2.5')
    """
    from decimal import Decimal

    text = str(amount) if not isinstance(amount, float) else f"{Decimal(repr(amount)):f}"
    match = None if isinstance(amount, bool) else _MONEY.fullmatch(text)
    if match is None:
        raise InvalidAmount(f"{name}={amount!r} is no amount of US dollars", hint='write for example "5 USD" or 0.25')
    if not float(match[1]):
        raise InvalidAmount(f"{name}={amount!r}: must be more than 0")
    return match[1]


def dollars(micro: int) -> str:
    """Micro-dollars: `$5.00`, `$0.000123`; cents at least, and as many digits as it takes.

    >>> dollars(5_000_000), dollars(123)
    ('$5.00', '$0.000123')
    """
    sign, rest = ("-", -micro) if micro < 0 else ("", micro)
    cents, small = divmod(rest % 1_000_000, 10_000)
    return f"{sign}${rest // 1_000_000}.{cents:02d}" + (f"{small:04d}".rstrip("0") if small else "")


def parse_bytes(amount: str | int, name: str = "size") -> int:
    """`"128 MiB"`, `"64 KiB"`, `"1G"`, or a number of bytes. K, M, G and T are powers of 1024, as for memory. Raises
    InvalidAmount, which names `name`.

    >>> parse_bytes("1.5 KiB")
    1536
    """
    if isinstance(amount, int) and not isinstance(amount, bool):
        size = amount
    else:
        match = _MEMORY.fullmatch(str(amount))
        if match is None or (match[2] is None and "." in match[1]):
            raise InvalidAmount(f"{name}={amount!r} is not an amount", hint='write for example "128 MiB" or "64 KiB"')
        unit = (match[2] or "").lower()
        size = int(float(match[1]) * (1 if unit in ("", "b", "bytes") else _MIB[unit[:1]] * 1024**2))
    if size < 1:
        raise InvalidAmount(f"{name}={amount!r} is less than 1 byte", hint='write for example "128 MiB" or "64 KiB"')
    return size


def parse_duration_ms(duration: str | float, name: str = "duration") -> int:
    """`"2h"`, `"1h 30m"`, `"90s"`, `"2 hours"`, or a number of seconds. Raises InvalidAmount, which names `name`.

    >>> parse_duration_ms("1h 30m")
    5400000
    """
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        ms = duration * 1000
    else:
        text = str(duration).strip()
        parts = _DURATION.findall(text)
        if not parts or _DURATION.sub("", text).strip():
            raise InvalidAmount(f"{name}={duration!r} is not a time", hint='write for example "90s", "15m" or "1h 30m"')
        ms = sum(float(number) * TIMES_MS[unit.lower()] for number, unit in parts)
    if not ms > 0:
        raise InvalidAmount(f"{name}={duration!r}: must be more than 0")
    if ms > _LONGEST_MS:
        raise InvalidAmount(f"{name}={_short(duration)} is longer than a million years")
    return int(ms)


def _short(amount: str | float) -> str:
    text = repr(amount)
    return text if len(text) <= 40 else f"{text[:20]}…{text[-10:]}"
