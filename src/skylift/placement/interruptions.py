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
from functools import lru_cache
from random import Random

import msgspec

HOUR_MS = 3_600_000
PLAYED = 1_000
"""Jobs that are played to know how far one may come to more than expected."""
LAUNCHES = 10_000
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

    @property
    def never(self) -> bool:
        """Less than once in a hundred thousand years."""
        return self.per_hour < 1e-9


class Reworked(msgspec.Struct, frozen=True, kw_only=True):
    """Expectations of one step on such a machine."""

    machine_ms: float
    """Start-ups, work, and work done again."""
    preemptions: float
    waiting_ms: float


def reworked(startup_ms: float, work_ms: float, market: Interruptions, checkpoint_ms: float | None) -> Reworked:
    """Infinite where it would hardly ever end."""
    rate = market.per_hour / HOUR_MS
    if market.never:
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


class Timeline:
    """When machines of a market can be had, drawn as it goes: exponential times, up and down by turns. All that runs
    on a market at the same time loses its machines at the same time."""

    def __init__(self, market: Interruptions, random: Random) -> None:
        self._random = random
        self._up_ms = HOUR_MS / market.per_hour
        self._down_ms = market.down_ms or 0.0
        share = market.first_ms / self._down_ms if self._down_ms else 0.0
        first_down = random.expovariate(1 / self._down_ms) if self._down_ms and random.random() < share else 0.0
        self._ups: list[tuple[float, float]] = [(first_down, first_down + random.expovariate(1 / self._up_ms))]

    def next_up(self, at_ms: float) -> tuple[float, float]:
        """From when on, not before that time, a machine can be had, and until when."""
        for begin, end in self._ups:
            if at_ms < end:
                return max(begin, at_ms), end
        while True:
            begin = self._ups[-1][1] + (self._random.expovariate(1 / self._down_ms) if self._down_ms else 0.0)
            self._ups.append((begin, begin + self._random.expovariate(1 / self._up_ms)))
            if at_ms < self._ups[-1][1]:
                return max(begin, at_ms), self._ups[-1][1]


class Run(msgspec.Struct, frozen=True):
    """One job on such machines: how long it took, and the start-up and the run of each machine it had."""

    took_ms: float
    machines: tuple[tuple[float, float], ...]

    @property
    def machine_ms(self) -> float:
        return sum(startup + ran for startup, ran in self.machines)


def play(
    timeline: Timeline, startup_ms: tuple[float, float], work_ms: float, checkpoint_ms: float | None, random: Random
) -> Run:
    """From the beginning of the timeline."""
    now, machines = 0.0, []
    for _ in range(LAUNCHES):
        now, end = timeline.next_up(now)
        startup = random.uniform(*startup_ms)
        if now + startup + work_ms <= end:
            machines.append((startup, work_ms))
            now += startup + work_ms
            break
        ran = max(0.0, end - now - startup)
        machines.append((min(startup, end - now), ran))
        work_ms -= 0.0 if checkpoint_ms is None else ran // checkpoint_ms * checkpoint_ms
        now = end
    return Run(now, tuple(machines))


@lru_cache(maxsize=1024)
def unlucky(
    market: Interruptions,
    startup_ms: tuple[float, float],
    work_ms: float,
    checkpoint_ms: float | None,
    confidence: float,
) -> tuple[float, float]:
    """Time, and machine time, of a job that few take longer than: quantiles of a thousand that were played."""
    random = Random(0)
    runs = [play(Timeline(market, random), startup_ms, work_ms, checkpoint_ms, random) for _ in range(PLAYED)]
    place = min(PLAYED - 1, math.ceil(confidence * PLAYED) - 1)
    return sorted(run.took_ms for run in runs)[place], sorted(run.machine_ms for run in runs)[place]
