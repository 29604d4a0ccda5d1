"""The lines of an attempt's log: `2026-11-21T09:15:00.123Z stdout what was printed`."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Literal, cast

Stream = Literal["stdout", "stderr", "log", "skylift"]
"""`log`: a record of `logging`, its text begins with level and logger; `skylift`: notes of the worker itself."""

_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (stdout|stderr|log|skylift) (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    time: str
    """UTC, ISO 8601 with milliseconds."""
    stream: Stream
    text: str


def parse_line(line: str) -> LogLine | None:
    """The parts of one line; None for a line that no worker wrote.

    >>> parse_line("2026-11-21T09:15:00.123Z stdout epoch 3").text
    'epoch 3'
    """
    match = _LINE.fullmatch(line.rstrip("\n"))
    if match is None:
        return None
    return LogLine(time=match[1], stream=cast(Stream, match[2]), text=match[3])


def stamp(stream: Stream) -> bytes:
    """What stands before a line written now."""
    now = time.time()
    return f"{_second(int(now))}.{int(now * 1000) % 1000:03d}Z {stream} ".encode()


_last: tuple[int, str] = (0, "")


def _second(second: int) -> str:
    global _last
    if _last[0] != second:
        _last = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
    return _last[1]
