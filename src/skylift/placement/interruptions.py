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

A step with a deadline (`Net`) is moved between spot and on-demand: then there is no such formula, and the means of jobs
that are played stand for it. One that keeps its work is played as Uniform Progress of "Can't Be Late" would move it
(NSDI 2024), which knows no prices and so is the same for all places; the engine's policy pays a tenth less. One that
keeps nothing, or is over within an hour, leaves spot for good when the time left would only just suffice, as it does.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from random import Random

import msgspec

from skylift.pricing.spot.model import QUANTUM_MS, Job
from skylift.pricing.spot.model import Run as Step
from skylift.pricing.spot.policies import UniformProgress
from skylift.pricing.spot.simulate import simulate

HOUR_MS = 3_600_000
PLAYED = 1_000
"""Jobs that are played to know how far one may come to more than expected."""
LAUNCHES = 10_000
LEAST_WORK_MS = 3_600_000.0
"""Of a step that is moved to and fro."""
ASKED_MS = 30_000.0
"""How often the engine asks whether a step should go on waiting for spot (`EngineLimits.market_ms`)."""
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


class Net(msgspec.Struct, frozen=True, kw_only=True):
    """What a step with a deadline may do: leave spot in time."""

    deadline_ms: float
    """From when it is first given out."""
    dearer: float
    """The price of on-demand over that of spot."""

    def leave_ms(self, work_ms: float, startup_ms: tuple[float, float]) -> float:
        """The last moment to wait for a spot machine, as the engine's safety net has it: two launches at their longest,
        and the pause in which nobody asks."""
        return self.deadline_ms - work_ms - 2 * startup_ms[1] - ASKED_MS


class Reworked(msgspec.Struct, frozen=True, kw_only=True):
    """Expectations of one step on such a machine."""

    machine_ms: float
    """Start-ups, work, and work done again, on any machine."""
    preemptions: float
    waiting_ms: float
    steady_ms: float = 0.0
    """Of the machine time, on on-demand."""


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

    def window(self, quanta: int) -> list[Step]:
        """The market from the beginning, as the simulator of jobs takes it."""
        found: list[Step] = []
        at_ms, done = 0.0, 0
        while done < quanta:
            begin, end = self.next_up(at_ms)
            for available, until_ms in ((False, begin), (True, end)):
                until = min(quanta, round(until_ms / QUANTUM_MS))
                if until > done:
                    found.append((available, until - done))
                    done = until
            at_ms = end
        return found


class Run(msgspec.Struct, frozen=True):
    """One job on such machines: how long it took, and the start-up and the run of each machine it had."""

    took_ms: float
    machines: tuple[tuple[float, float], ...]
    steady: tuple[float, float] | None = None
    """The same of its time on on-demand, where it had to go there."""
    preemptions: int = 0

    @property
    def machine_ms(self) -> float:
        """On spot."""
        return sum(startup + ran for startup, ran in self.machines)

    @property
    def steady_ms(self) -> float:
        return 0.0 if self.steady is None else sum(self.steady)


def play(
    timeline: Timeline,
    startup_ms: tuple[float, float],
    work_ms: float,
    checkpoint_ms: float | None,
    random: Random,
    net: Net | None = None,
) -> Run:
    """From the beginning of the timeline."""
    if net is not None and checkpoint_ms is not None and work_ms >= LEAST_WORK_MS:
        return _moved(timeline, sum(startup_ms) / 2, work_ms, checkpoint_ms, net)
    now = 0.0
    machines: list[tuple[float, float]] = []
    for _ in range(LAUNCHES):
        begin, end = timeline.next_up(now)
        startup = random.uniform(*startup_ms)
        if net is not None and begin > (leave := net.leave_ms(work_ms, startup_ms)):
            return Run(max(now, leave) + startup + work_ms, tuple(machines), (startup, work_ms), len(machines))
        now = begin
        if now + startup + work_ms <= end:
            machines.append((startup, work_ms))
            now += startup + work_ms
            break
        ran = max(0.0, end - now - startup)
        machines.append((min(startup, end - now), ran))
        work_ms -= 0.0 if checkpoint_ms is None else ran // checkpoint_ms * checkpoint_ms
        now = end
    return Run(now, tuple(machines), preemptions=len(machines) - 1)


def _moved(timeline: Timeline, startup_ms: float, work_ms: float, checkpoint_ms: float, net: Net) -> Run:
    """To and fro, in the simulator's steps. Each preemption loses half of what lies between two checkpoints."""
    work, deadline = math.ceil(work_ms / QUANTUM_MS), int(net.deadline_ms // QUANTUM_MS)
    changeover = max(1, round(startup_ms / QUANTUM_MS))
    if deadline < work + changeover:
        return Run(startup_ms + work_ms, (), (startup_ms, work_ms))
    job = Job(work=work, deadline=deadline, changeover=changeover, ratio=Fraction(1))
    done = simulate(job, timeline.window(deadline), UniformProgress())
    lost = done.preemptions * min(checkpoint_ms, work_ms) / 2
    took = min(done.ended * QUANTUM_MS + lost, max(done.ended * QUANTUM_MS, net.deadline_ms))
    launches = max(1, done.launches - (done.on_demand > 0))
    spot = (done.spot * QUANTUM_MS + lost) / launches if done.spot else 0.0
    machines = ((min(startup_ms, spot), max(0.0, spot - startup_ms)),) * launches if spot else ()
    steady = (0.0, float(done.on_demand * QUANTUM_MS)) if done.on_demand else None
    return Run(took, machines, steady, done.preemptions)


@lru_cache(maxsize=1024)
def unlucky(
    market: Interruptions,
    startup_ms: tuple[float, float],
    work_ms: float,
    checkpoint_ms: float | None,
    confidence: float,
    net: Net | None = None,
) -> tuple[float, float]:
    """Time, and machine time at the price of spot, that few jobs need more of: quantiles of a thousand played."""
    runs = _many(market, startup_ms, work_ms, checkpoint_ms, None if net is None else net.deadline_ms)
    place = min(PLAYED - 1, math.ceil(confidence * PLAYED) - 1)
    dearer = 1.0 if net is None else net.dearer
    paid = sorted(run.machine_ms + dearer * run.steady_ms for run in runs)
    return sorted(run.took_ms for run in runs)[place], paid[place]


@lru_cache(maxsize=1024)
def caught(
    market: Interruptions,
    startup_ms: tuple[float, float],
    work_ms: float,
    checkpoint_ms: float | None,
    deadline_ms: float,
) -> Reworked:
    """Expectations of a step with a deadline: means of a thousand that were played."""
    runs = _many(market, startup_ms, work_ms, checkpoint_ms, deadline_ms)
    machine = math.fsum(run.machine_ms + run.steady_ms for run in runs) / PLAYED
    return Reworked(
        machine_ms=machine,
        preemptions=sum(run.preemptions for run in runs) / PLAYED,
        waiting_ms=math.fsum(run.took_ms for run in runs) / PLAYED - machine,
        steady_ms=math.fsum(run.steady_ms for run in runs) / PLAYED,
    )


@lru_cache(maxsize=64)
def _many(
    market: Interruptions,
    startup_ms: tuple[float, float],
    work_ms: float,
    checkpoint_ms: float | None,
    deadline_ms: float | None,
) -> list[Run]:
    """The same jobs whatever on-demand costs: places differ in that, and seldom in anything else."""
    random = Random(0)
    net = None if deadline_ms is None else Net(deadline_ms=deadline_ms, dearer=1.0)
    return [play(Timeline(market, random), startup_ms, work_ms, checkpoint_ms, random, net) for _ in range(PLAYED)]
