"""The setting of "Can't Be Late" (NSDI 2024): one job, one market, time in quanta, and what a policy may know.

All times are whole quanta of 120 s. Idle is free, on-demand costs 1 a quantum and is always there, spot costs `ratio`.
Every launch costs the changeover: quanta without progress, at the price of what is launched. Progress is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Literal

import msgspec

from skylift.errors import InternalError, SetupError
from skylift.units import parse_duration_ms

QUANTUM_MS = 120_000
"""The step of the paper's simulator."""

LONGEST_H = 8_784
"""Of a deadline: a leap year. Beyond it markets cannot be played through in reasonable time."""
LEAST_RATIO = Fraction(1, 1_000_000)
"""Below it spot is as good as free, and nothing can be compared with the optimum, which costs nothing then."""
_ZERO = re.compile(r"0+(\.0*)?\s*(ms|s|m|min|h|d)?", re.IGNORECASE)
_NUMBER = re.compile(r"[^eE]{1,60}([eE][+-]?\d{1,3})?")
"""What may be made a fraction: one of 1e99999999 has so many digits."""

Mode = Literal["idle", "spot", "on-demand"]
Run = tuple[bool, int]
"""Whether spot is available, and for how many quanta."""


class JobInvalid(SetupError):
    """A job that cannot be simulated: its times contradict each other."""

    code = "SPOT-JOB"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    work: int
    """Quanta of computing."""
    deadline: int
    """Quanta from its start."""
    changeover: int
    """Quanta without progress after each launch."""
    ratio: Fraction
    """The price of spot over that of on-demand."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def slack(self) -> int:
        """Quanta that may pass without progress."""
        return self.deadline - self.work

    def cost(self, spot: int, on_demand: int) -> Fraction:
        """Of so many quanta, over what the job costs on on-demand only, which is work + changeover."""
        return (on_demand + self.ratio * spot) / (self.work + self.changeover)


class View:
    """What a policy sees: now, and what has passed since the job's start. The same object is shown again with new
    values, so a policy does not keep it."""

    __slots__ = ("available", "changeover_left", "job", "mode", "progress", "since", "t")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.t = 0
        """Quanta since the start of the job."""
        self.mode: Mode = "idle"
        """Where the job is. Who was on spot when spot went away is idle already."""
        self.progress = 0
        """Quanta of work done."""
        self.changeover_left = 0
        """Quanta that the current launch still takes before there is progress."""
        self.available = False
        """Whether spot can be had now."""
        self.since = 0
        """The quantum at which `available` came to be what it is; 0 also if it was so before the job began."""

    @property
    def left(self) -> int:
        """Quanta until the deadline."""
        return self.job.deadline - self.t

    @property
    def remaining(self) -> int:
        """Quanta of work that are not done."""
        return self.job.work - self.progress


class Policy:
    """Decides for one job; made anew for each. Subclasses answer `decide`, and may keep what they observe."""

    def decide(self, view: View) -> Mode:
        """Where the job shall be in the coming quantum: "spot" only where it is available. Asked at the start, at
        every change of the market, and at each quantum that `stands_until` names."""
        raise NotImplementedError

    def stands_until(self, view: View, mode: Mode) -> int:
        """Until which quantum the answer `mode`, just given, stands if the market does not change. Answering more than
        the next quantum only saves time: `decide` must give the same answer at every quantum before it."""
        return view.t + 1

    def observe(self, available: bool, quanta: int) -> None:
        """A run of the market has ended: spot was (not) available for so many quanta. The first run is what was left
        of it when the job began."""


PolicyMaker = Callable[[Job], Policy]


class PolicyWrong(InternalError):
    """A policy has asked for what there is not: a bug in it."""

    code = "SPOT-POLICY-BUG"


def job_of(work: str, deadline: str, restart: str, ratio: str | float) -> tuple[Job, list[str]]:
    """A job from times as people write them, and what was rounded: to whole quanta, so that no promise grows. Work and
    changeover go up, the deadline goes down. Raises JobInvalid."""
    notes: list[str] = []
    job = Job(
        work=_quanta("work", work, up=True, notes=notes),
        deadline=_quanta("deadline", deadline, up=False, notes=notes),
        changeover=_quanta("restart", restart, up=True, notes=notes),
        ratio=ratio_of(ratio),
    )
    if job.deadline * QUANTUM_MS > LONGEST_H * 3_600_000:
        raise JobInvalid(
            f"deadline {deadline} is too far away: markets are played through for a year at most",
            hint="ask for a part of the job: what an hour of it costs hardly depends on how many there are",
        )
    return job, notes


def ratio_of(value: str | float) -> Fraction:
    """The price of spot over that of on-demand, from what a person wrote: 0.3, 1/3. Raises JobInvalid."""
    try:
        text = str(value).strip()
        ratio = Fraction(text) if _NUMBER.fullmatch(text) else None
    except (ValueError, ZeroDivisionError):
        ratio = None
    if ratio is None:
        raise JobInvalid(f"spot-ratio is {value!r}, not a number", hint="spot at 30 % of on-demand is 0.3")
    if not 0 < ratio <= 1:
        raise JobInvalid(
            f"spot-ratio is {value}: it must be above 0 and at most 1",
            hint="it is the price of spot over that of on-demand: spot at 30 % of on-demand is 0.3",
        )
    if ratio < LEAST_RATIO:
        raise JobInvalid(
            f"spot-ratio is {value}: below a millionth of on-demand it is as good as free, with nothing to compare",
            hint="it is the price of spot over that of on-demand: spot at 30 % of on-demand is 0.3",
        )
    return ratio


def _quanta(name: str, text: str, *, up: bool, notes: list[str]) -> int:
    if text.strip().startswith("-"):
        raise JobInvalid(f"{name} is {text}: a length of time is not negative", hint='write for example "48h" or "6m"')
    ms = 0 if _ZERO.fullmatch(text.strip()) else parse_duration_ms(text, name)
    whole, rest = divmod(ms, QUANTUM_MS)
    if not rest:
        return whole
    rounded = whole + 1 if up else whole
    direction = "up" if up else "down"
    notes.append(f"{name} {text} is rounded {direction} to {hours(rounded)}: time passes in steps of 120 s")
    return rounded


def _check(job: Job) -> None:
    if job.work < 1:
        raise JobInvalid(f"work is {job.work} quanta: there must be some", hint='write for example --work "48h"')
    if job.changeover < 0:
        raise JobInvalid(f"restart is {job.changeover} quanta: a length of time is not negative")
    if job.deadline < job.work + job.changeover:
        least = (job.work + job.changeover) * QUANTUM_MS / 3_600_000
        raise JobInvalid(
            f"a deadline of {hours(job.deadline)} cannot be met: {hours(job.work)} of work and one start of"
            f" {hours(job.changeover)} take longer, even on on-demand",
            hint=f"the shortest deadline that can be met is {least:g} h",
        )


def hours(quanta: int) -> str:
    return f"{quanta * QUANTUM_MS / 3_600_000:g} h"
