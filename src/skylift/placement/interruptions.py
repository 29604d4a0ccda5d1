"""How often a spot machine is taken away, and what that costs: a renewal process with a constant rate.

With `rate` a millisecond, start-up `s`, work `w` and a checkpoint every `tau` (none: tau = w):

    E(whole try)   F(x) = (exp(rate x (s + x)) - 1) / rate     expected machine time until s + x in a row succeed
    first piece    F(tau)
    later pieces   E(x) = (1 - exp(-rate x)) / rate + (1 - exp(-rate x)) x F(x)
    time           F(first) + sum of E over the other pieces
    preemptions    rate x time
    rework         time - (s + w)

(the expectation of a geometric number of failed tries with exponential times between failures; the same as Young's and
Daly's models of checkpointing without the cost of writing one). After each preemption a new machine comes after `down`
on average; waiting costs nothing but time.
"""

from __future__ import annotations

import math

import msgspec

HOUR_MS = 3_600_000
MONTH_H = 730.0
_MOST = 600.0
"""Exponents beyond that are never finished."""


class Interruptions(msgspec.Struct, frozen=True, kw_only=True):
    """Of one market."""

    per_hour: float
    down_ms: float | None = None
    """How long it is gone then on average; None where nobody says."""
    first_ms: float = 0.0
    """How long one waits on average for the first machine."""
    why: str = ""


class Reworked(msgspec.Struct, frozen=True, kw_only=True):
    """Expectations of one step on such a machine."""

    machine_ms: float
    """Start-ups, work, and work done again."""
    preemptions: float
    waiting_ms: float


def reworked(startup_ms: float, work_ms: float, market: Interruptions, checkpoint_ms: float | None) -> Reworked:
    """Infinite where it would hardly ever end."""
    rate = market.per_hour / HOUR_MS
    if rate <= 0:
        return Reworked(machine_ms=startup_ms + work_ms, preemptions=0.0, waiting_ms=market.first_ms)
    piece = work_ms if checkpoint_ms is None else min(checkpoint_ms, work_ms)
    whole, rest = (1, 0.0) if piece <= 0 else divmod(work_ms, piece)
    time = _whole_try(rate, startup_ms, piece)
    time += (whole - 1) * _later(rate, startup_ms, piece)
    if rest > 0:
        time += _later(rate, startup_ms, rest)
    preemptions = rate * time
    return Reworked(
        machine_ms=time, preemptions=preemptions, waiting_ms=market.first_ms + preemptions * (market.down_ms or 0.0)
    )


def _whole_try(rate: float, startup_ms: float, piece_ms: float) -> float:
    exponent = rate * (startup_ms + piece_ms)
    return math.inf if exponent > _MOST else math.expm1(exponent) / rate


def _later(rate: float, startup_ms: float, piece_ms: float) -> float:
    failing = -math.expm1(-rate * piece_ms)
    return failing / rate + failing * _whole_try(rate, startup_ms, piece_ms)


def monthly(bucket: str) -> float | None:
    """Interruptions an hour of a provider's bucket (`<5%`, `5-10%`, … of machines in a month), by its upper end:
    -ln(1 - share) / 730 h. None for a bucket without one."""
    text = bucket.strip().replace(" ", "").rstrip("%").replace("%", "")
    if text.startswith(">"):
        return None
    upper = text.removeprefix("<").rpartition("-")[2]
    try:
        share = float(upper) / 100
    except ValueError:
        return None
    return -math.log1p(-share) / MONTH_H if 0 <= share < 1 else None
