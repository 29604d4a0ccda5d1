"""Amounts as people write them, read exactly: lengths of time, memory, data, counts; and written out again.

Everything is a Fraction: `0.1` is a tenth, and a million small amounts add up to what they are.
"""

from __future__ import annotations

import re
from fractions import Fraction

from skylift.errors import SetupError
from skylift.units import TIMES_MS

HOUR_MS = 3_600_000
MONTH_HOURS = 730
"""The month of the providers' own calculators: 8,760 hours a year over 12."""

TIMES = "\N{MULTIPLICATION SIGN}"
_NUMBER = r"(?:\d{1,3}(?:[,_]\d{3})+|\d+)(?:\.\d+)?(?:[eE]\+?\d{1,3})?"
"""A comma stands between thousands: `2,5` is no number, and surely not 25."""
_LONGEST = 60
_TIME = re.compile(rf"({_NUMBER})\s*({'|'.join(TIMES_MS)})(?![a-z])", re.IGNORECASE)
_SIZE = re.compile(rf"({_NUMBER})\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_COUNT = re.compile(rf"({_NUMBER})\s*(k|M|bn)?")
_SCALES = {None: 1, "k": 1000, "M": 10**6, "bn": 10**9}
_SHOWN = 12
"""Digits behind the point that are written out; what has more ends in `…`."""
_MOST = {
    "ms": (Fraction(10**9 * HOUR_MS), "1,000,000,000 h"),  # all requests together: a million for 40 days each
    "GiB": (Fraction(1024 * 10**9), "1,000,000,000 TB"),  # a zettabyte
    "": (Fraction(10**9), "1,000,000,000"),
    "months": (Fraction(1200), "1,200, a hundred years"),
    "requests": (Fraction(10**15), "1,000,000,000,000,000"),
}
"""What is more is a slip: a key that stuck, a wrong unit."""


class EstimateInvalid(SetupError):
    """A use that cannot be priced as it is written; the message names the place, the value seen and the mend."""

    code = "ESTIMATE"


def time_ms(text: str, key: str) -> Fraction:
    """`1h 30m`, `338ms`, `0.5 s`, `2 hours`, in milliseconds."""
    _check_length(text, key)
    rest = _TIME.sub("", text).strip()
    parts = _TIME.findall(text)
    if rest or not parts:
        raise _not_an(text, key, "a length of time", "338ms, 90s, 15m or 1h 30m")
    return _amount(sum(_exact(number) * TIMES_MS[unit.lower()] for number, unit in parts), text, key, "ms")


def memory_mib(text: str, key: str) -> Fraction:
    """`3 GiB`, `512MB`, or a number of MiB. K, M, G and T are powers of 1024, as providers count memory."""
    return _size(text, key, "M", "512 MiB or 3 GiB") * 1024


def data_gib(text: str, key: str) -> Fraction:
    """`500 GB`, `10 TiB`, or a number of GB. Powers of 1024: what price lists call a GB of data are 2^30 bytes."""
    return _size(text, key, "G", "500 GB or 10 TB")


def _size(text: str, key: str, unit: str, example: str) -> Fraction:
    """In GiB."""
    _check_length(text, key)
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise _not_an(text, key, "an amount", example)
    exponent = {"k": -2, "m": -1, "g": 0, "t": 1}[(found[2] or unit).lower()]
    return _amount(_exact(found[1]) * Fraction(1024) ** exponent, text, key, "GiB")


def hours(text: str, key: str) -> Fraction:
    """More than nothing."""
    return _amount(_plain(text, key, "0.5 or 730") * HOUR_MS, text, key, "ms") / HOUR_MS


def number(text: str, key: str) -> Fraction:
    """More than nothing: processors."""
    return _amount(_plain(text, key, "0.5 or 2"), text, key, "")


def months(text: str, key: str) -> Fraction:
    """More than nothing."""
    return _amount(_plain(text, key, "1 or 12"), text, key, "months")


def _plain(text: str, key: str, example: str) -> Fraction:
    _check_length(text, key)
    found = re.fullmatch(_NUMBER, text.strip())
    if found is None:
        raise _not_an(text, key, "a number", example)
    return _exact(found[0])


def machines(text: str, key: str) -> Fraction:
    """How many of something that is rented: at least one."""
    found = count(text, key)
    if not found:
        raise EstimateInvalid(f"{key} is 0: there is nothing to pay")
    return _amount(found, text, key, "")


def count(text: str, key: str) -> Fraction:
    """`1000000`, `1,000,000`, `1M`, `10k`, `1e6`: whole, and 0 is one."""
    _check_length(text, key)
    found = _COUNT.fullmatch(text.strip())
    if found is None:
        raise _not_an(text, key, "a count", "1000000, 1M or 10k")
    whole = _exact(found[1]) * _SCALES[found[2]]
    if whole.denominator != 1:
        raise EstimateInvalid(f"{key} {text!r} is not a whole number", hint="write for example 1000000, 1M or 10k")
    return _amount(whole, text, key, "requests") if whole else whole


def _exact(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").replace("_", ""))


def _check_length(text: str, key: str) -> None:
    if len(text) > _LONGEST:
        raise EstimateInvalid(
            f"{key} {text[:_LONGEST]!r}… has {len(text)} characters", hint="an amount is a number and a unit"
        )


def _not_an(text: str, key: str, what: str, example: str) -> EstimateInvalid:
    if text.strip().startswith("-"):
        return EstimateInvalid(f"{key} {text!r} is negative", hint=f"write for example {example}")
    if re.fullmatch(r"\d+,\d+", text.strip()):
        hint = f"write {text.strip().replace(',', '.')} with a point; commas stand between thousands"
        return EstimateInvalid(f"{key} {text!r} is not {what}", hint=hint)
    return EstimateInvalid(f"{key} {text!r} is not {what}", hint=f"write for example {example}")


def _amount(found: Fraction | int, text: str, key: str, unit: str) -> Fraction:
    """Neither nothing nor more than anybody uses."""
    if found <= 0:
        raise EstimateInvalid(f"{key} {text!r} is nothing: it must be more than 0")
    most, words = _MOST[unit]
    if found > most:
        raise EstimateInvalid(
            f"{key} {text!r} is more than anything that is rented: at most {words}", hint="check number and unit"
        )
    return Fraction(found)


def written(amount: Fraction) -> str:
    """`10,800`, `0.338`, `0.333333333333…`."""
    shown = round(amount, _SHOWN)
    whole, tail = divmod(abs(shown), 1)
    digits = f"{int(tail * 10**_SHOWN):0{_SHOWN}d}".rstrip("0")
    text = f"{int(whole):,}" + (f".{digits}" if digits else "")
    return ("-" if amount < 0 else "") + text + ("" if shown == amount else "…")


def exactly(amount: Fraction) -> str:
    """`0.18000036`, or `1/3` where no decimal is exact: for programs."""
    text = written(amount).replace(",", "")
    return str(amount) if "…" in text else text


def dollars(amount: Fraction) -> str:
    """`$24.2725`, `-$0.20`, `$0.00`: at least cents, and as many digits as it takes."""
    text = written(abs(amount))
    whole, _, tail = text.partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{tail.ljust(2, '0')}"


def memory_words(mib: Fraction) -> str:
    return f"{written(mib / 1024)} GiB" if mib >= 1024 else f"{written(mib)} MiB"


def time_words(ms: Fraction) -> str:
    """In the largest unit of which it is so many and at most tenths: 1.5 h, and 61.5 s rather than 1.025 min."""
    for unit, length in (("h", HOUR_MS), ("min", 60_000), ("s", 1000)):
        if ms >= length and (unit == "s" or (ms * 10 / length).denominator == 1):
            return f"{written(ms / length)} {unit}"
    return f"{written(ms)} ms"
