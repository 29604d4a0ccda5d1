"""When a box is idle: a decision about signs of use. Pure; what gives the signs is in `signs`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

GAP_FACTOR = 5
"""Looks that lie this much further apart than they should: the machine slept, or was set to another time."""


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """What one source says of the use of the box."""

    source: str
    """`cpu`, `gpu`, `jupyter`, `logins`, `skylift`, `keep-awake`."""
    busy: bool = False
    """Used at this moment."""
    last_ms: int | None = None
    """Last used then, where the source knows more than this moment. UTC."""
    note: str = ""
    """What was seen, for people."""


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """What is known between two looks."""

    quiet_since_ms: int
    """Nothing has used the box since."""
    looked_ms: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to stop, and what keeps the box awake."""

    stop: bool
    quiet_ms: int
    """How long nothing has used it."""
    awake_by: tuple[Sign, ...] = ()
    """What used it within the time that must be quiet, the last one first."""


def begin(now_ms: int) -> Idle:
    """Starting to watch counts as use: whoever started the box has the whole time."""
    return Idle(quiet_since_ms=now_ms, looked_ms=now_ms)


def judge(idle: Idle, signs: Sequence[Sign], *, now_ms: int, after_ms: int, every_ms: int) -> tuple[Idle, Verdict]:
    """What the signs of one look mean after the looks before."""
    gap = now_ms - idle.looked_ms
    woke = gap < 0 or gap > max(GAP_FACTOR * every_ms, 60_000)
    used = [now_ms if sign.busy else min(now_ms, sign.last_ms or 0) for sign in signs]
    quiet_since = now_ms if woke else max([min(idle.quiet_since_ms, now_ms), *used])
    recent = sorted(
        (pair for pair in zip(used, signs, strict=True) if pair[0] > now_ms - after_ms), key=lambda pair: -pair[0]
    )
    quiet_ms = now_ms - quiet_since
    verdict = Verdict(stop=quiet_ms >= after_ms, quiet_ms=quiet_ms, awake_by=tuple(sign for _, sign in recent))
    return Idle(quiet_since_ms=quiet_since, looked_ms=now_ms), verdict
