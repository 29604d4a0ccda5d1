"""Amounts in the answers as people write them: sizes of data, lengths of time, speeds of lines, sums of money.

Each keeps its text, so that a saved answer is the one that was given. Data is decimal here, as clouds and lines count
it: a TB is 1,000 GB; TiB and GiB are the binary ones.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, ClassVar, Self

from skylift.advice.told import told

_NUMBER = r"\d+(?:[ ,_]\d{3})*(?:\.\d+)?"


class Amount:
    """A number with a unit. Compares by its value; prints as it was written."""

    kind: ClassVar[str]
    example: ClassVar[str]
    units: ClassVar[dict[str, Fraction]]
    default_unit: ClassVar[str | None] = None
    most: ClassVar[str]
    """More is a slip: a key that stuck, a wrong unit."""
    above_zero: ClassVar[bool] = False
    """Whether nothing at all is no answer."""

    __slots__ = ("text", "value")

    def __init__(self, text: str, value: Fraction) -> None:
        self.text = text
        self.value = value

    @classmethod
    def parse(cls, given: Any) -> Self:
        """From what a file or a person gives. Raises ValueError, which says what is allowed."""
        text = str(given).strip()
        if isinstance(given, bool) or not isinstance(given, (str, int, float)):
            raise ValueError(cls._refusal(given))
        if text.startswith("-"):
            raise ValueError(f"{told(given)} is less than nothing: {cls._wanted()}")
        match = re.fullmatch(rf"({_NUMBER})\s*([^\d\s.,].*)?", text, re.IGNORECASE)
        unit = (match[2] or "").strip().lower() if match else ""
        if match is not None and not unit and cls.default_unit is not None:
            unit = cls.default_unit
        if match is None or unit not in cls.units or len(text) > 40:
            raise ValueError(cls._refusal(given))
        value = Fraction(re.sub(r"[ ,_]", "", match[1])) * cls.units[unit]
        if not value and cls.above_zero:
            raise ValueError(f"{told(given)} is nothing: {cls._wanted()}, or leave it open")
        if value > cls._most():
            raise ValueError(f"{told(given)} is more than the {cls.most} that any project has: check number and unit")
        return cls(text, value)

    @classmethod
    def _most(cls) -> Fraction:
        number, _, unit = cls.most.partition(" ")
        return Fraction(number.replace(",", "")) * cls.units[unit.lower()]

    @classmethod
    def _refusal(cls, given: Any) -> str:
        return f"{told(given)} is no {cls.kind}: {cls._wanted()}"

    @classmethod
    def _wanted(cls) -> str:
        return f"write for example {cls.example}"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Amount) and other.value == self.value

    def __hash__(self) -> int:
        return hash((type(self), self.value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def __str__(self) -> str:
        return self.text


class DataSize(Amount):
    """`value` is in GB (10^9 bytes)."""

    kind = "size of data"
    example = '"2 TB" or "350 GB"'
    most = "1,000 PB"
    units: ClassVar[dict[str, Fraction]] = {
        **{f"{prefix}b": Fraction(1000) ** power for power, prefix in enumerate(["k", "m", "g", "t", "p"], start=-2)},
        **{
            f"{prefix}ib": Fraction(1024) ** power / 10**9
            for power, prefix in enumerate(["k", "m", "g", "t", "p"], start=1)
        },
        "b": Fraction(1, 10**9),
        "bytes": Fraction(1, 10**9),
    }
    __slots__ = ()


class Span(Amount):
    """`value` is in seconds."""

    kind = "length of time"
    example = '"200 ms", "4 h", "6 weeks" or "3 years"'
    most = "100 years"
    units: ClassVar[dict[str, Fraction]] = {
        **dict.fromkeys(("ms", "millisecond", "milliseconds"), Fraction(1, 1000)),
        **dict.fromkeys(("s", "sec", "second", "seconds"), Fraction(1)),
        **dict.fromkeys(("m", "min", "minute", "minutes"), Fraction(60)),
        **dict.fromkeys(("h", "hour", "hours"), Fraction(3600)),
        **dict.fromkeys(("d", "day", "days"), Fraction(86_400)),
        **dict.fromkeys(("w", "week", "weeks"), Fraction(604_800)),
        # 730 h and 8,760 h, the months and years of price lists
        **dict.fromkeys(("month", "months"), Fraction(2_628_000)),
        **dict.fromkeys(("y", "year", "years"), Fraction(31_536_000)),
    }
    __slots__ = ()


class Lasting(Span):
    """A length of time that is none if it is nothing: of a use, an answer, a step."""

    above_zero = True
    __slots__ = ()


class Speed(Amount):
    """`value` is in bits a second."""

    kind = "speed of a line"
    example = '"1 Gbit/s" or "200 Mbit/s"'
    most = "100 Tbit/s"
    above_zero = True
    units: ClassVar[dict[str, Fraction]] = {
        **{
            f"{prefix}{name}": Fraction(1000) ** power
            for power, prefix in enumerate(["", "k", "m", "g", "t"])
            for name in ("bit/s", "bps", "bits/s")
        },
        **{
            f"{prefix}b/s": 8 * Fraction(1000) ** power  # bytes, as programs that copy show it
            for power, prefix in enumerate(["k", "m", "g"], start=1)
        },
    }
    __slots__ = ()


class Money(Amount):
    """`value` is in US dollars."""

    kind = "sum of money in US dollars"
    example = '"500 USD" or 12000'
    most = "1,000,000,000,000 USD"
    units: ClassVar[dict[str, Fraction]] = dict.fromkeys(("usd", "$", "dollars", "us dollars"), Fraction(1))
    default_unit = "usd"
    __slots__ = ()

    @classmethod
    def parse(cls, given: Any) -> Self:
        if isinstance(given, str) and given.strip().startswith("$"):
            found = super().parse(given.strip()[1:])
            return cls(given.strip(), found.value)
        return super().parse(given)


class Memory(Amount):
    """`value` is in GiB. GB is GiB here, as functions are sold."""

    kind = "amount of memory"
    example = '"3 GiB" or "512 MiB"'
    most = "1,024 TiB"
    above_zero = True
    units: ClassVar[dict[str, Fraction]] = {
        **dict.fromkeys(("mib", "mb", "m"), Fraction(1, 1024)),
        **dict.fromkeys(("gib", "gb", "g"), Fraction(1)),
        **dict.fromkeys(("tib", "tb", "t"), Fraction(1024)),
    }
    __slots__ = ()


AMOUNTS: tuple[type[Amount], ...] = (DataSize, Span, Lasting, Speed, Money, Memory)
