"""One job that may run in any of several zones: the same setting, with a market and a price of spot for each.

What is available in each zone is visible at every quantum. A launch costs the changeover in whatever zone, so moving
from one zone to another does too; progress moves along. On-demand costs the same in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import msgspec

from skylift.pricing.spot.market import QUANTUM_H, Belief, Prior, shipped_prior
from skylift.pricing.spot.model import Job, JobInvalid, Mode, Run, View
from skylift.pricing.spot.skylift_policy import SkyliftPolicy, Tables, tables

LOOKED_AGAIN = 5
"""Quanta after which one who is on spot looks for a better zone."""

State = tuple[bool, ...]
"""Whether there is spot, by zone."""


class ZonesView(View):
    """`available` is whether any zone has spot, since `since`."""

    __slots__ = ("since_of", "up", "zone")

    def __init__(self, job: Job, zones: int) -> None:
        super().__init__(job)
        self.up: State = (False,) * zones
        self.since_of = [0] * zones
        """Of each zone, when its market came to be what it is."""
        self.zone: int | None = None
        """Where the job is on spot."""


class ZonesOutcome(msgspec.Struct, frozen=True, kw_only=True):
    spot: tuple[int, ...]
    """Quanta on spot by zone, changeovers included."""
    on_demand: int
    ended: int
    launches: int
    preemptions: int

    def cost(self, job: Job, ratios: Sequence[Fraction]) -> Fraction:
        """Over on-demand only: work and one changeover at price 1."""
        paid = sum((ratio * quanta for ratio, quanta in zip(ratios, self.spot, strict=True)), Fraction(self.on_demand))
        return paid / (job.work + job.changeover)

    def late(self, job: Job) -> bool:
        return self.ended > job.deadline


class ZonesPolicy:
    """Whether to be on spot is decided as in a single market, that of "some zone has spot"; where, by what an hour of
    progress costs there: its price, and the changeover spread over the time that the zone is expected to last."""

    def __init__(self, job: Job, ratios: Sequence[Fraction], known: Tables) -> None:
        self._whether = SkyliftPolicy(known)
        self._beliefs = [Belief(known.markets) for _ in ratios]
        self._hazards = [(market.kind.up, market.kind.down) for market in known.markets]
        self._ratios = [float(ratio) for ratio in ratios]
        self._changeover = job.changeover * QUANTUM_H

    def observe(self, zone: int | None, available: bool, quanta: int) -> None:
        """A run of a zone's market has ended, or of that of all zones together."""
        if zone is None:
            self._whether.observe(available, quanta)
        else:
            self._beliefs[zone].observe(available, quanta * QUANTUM_H)

    def decide(self, view: ZonesView) -> tuple[Mode, int | None]:
        if view.mode == "spot":
            return "spot", self._better(view)
        mode = self._whether.decide(view)
        return mode, self._best(view) if mode == "spot" else None

    def stands_until(self, view: ZonesView, mode: Mode) -> int:
        return view.t + LOOKED_AGAIN if mode == "spot" else self._whether.stands_until(view, mode)

    def _best(self, view: ZonesView) -> int:
        return min((zone for zone, up in enumerate(view.up) if up), key=lambda zone: self._hourly(view, zone))

    def _better(self, view: ZonesView) -> int:
        """Where to be from now on: a zone is left for one that earns the changeover back, if the deadline allows it."""
        assert view.zone is not None
        if view.left < view.remaining + 3 * view.job.changeover + 1:
            return view.zone
        zone = self._best(view)
        return zone if self._hourly(view, zone) < self._ratios[view.zone] else view.zone

    def _hourly(self, view: ZonesView, zone: int) -> float:
        """A changeover costs its price, and slack, which is worth at most the on-demand hour that it spares."""
        lasts = max(QUANTUM_H, min(self._lasts(view, zone), view.remaining * QUANTUM_H))
        ratio = self._ratios[zone]
        return ratio + self._changeover * (ratio + 1.0) / lasts

    def _lasts(self, view: ZonesView, zone: int) -> float:
        """Hours, by the hazard of its present age."""
        age = (view.t - view.since_of[zone]) * QUANTUM_H
        rate = 0.0
        for at, weight, phase in self._beliefs[zone].weights(True, age):
            rows = self._hazards[at][0]
            rate += weight * rows[phase // len(rows[0])][phase % len(rows[0])]
        return 1.0 / max(rate, 1e-6)


def zones_policy(job: Job, ratios: Sequence[Fraction], prior: Prior | None = None) -> ZonesPolicy:
    """`job.ratio` is not used: the cheapest zone's is, for deciding whether to be on spot at all."""
    cheapest = msgspec.structs.replace(job, ratio=min(ratios))
    return ZonesPolicy(job, ratios, tables(cheapest, prior or shipped_prior()))


def simulate_zones(
    job: Job, windows: Sequence[Sequence[Run]], ratios: Sequence[Fraction], policy: ZonesPolicy
) -> ZonesOutcome:
    """`windows` are the runs of each zone from the start of the job, to its deadline at least. Raises JobInvalid where
    there is not one price for each zone."""
    if len(windows) != len(ratios) or not windows:
        raise JobInvalid(
            f"there are {len(windows)} zones and {len(ratios)} prices of spot", hint="give each zone one price"
        )
    return _Simulation(job, len(windows), policy).over(windows)


def together(windows: Sequence[Sequence[Run]], deadline: int) -> Iterator[tuple[State, int]]:
    """Of all zones, and until which quantum that is so."""
    ends = list[list[tuple[int, bool]]]()
    for window in windows:
        at = 0
        ends.append([(at := at + quanta, up) for up, quanta in window])
    numbers = [0] * len(windows)
    now = 0
    while now < deadline:
        state = tuple(zone[number][1] for zone, number in zip(ends, numbers, strict=True))
        now = min(zone[number][0] for zone, number in zip(ends, numbers, strict=True))
        numbers = [number + (zone[number][0] <= now) for zone, number in zip(ends, numbers, strict=True)]
        yield state, min(now, deadline)


class _Simulation:
    def __init__(self, job: Job, zones: int, policy: ZonesPolicy) -> None:
        self.job, self.policy = job, policy
        self.view = ZonesView(job, zones)
        self.spot = [0] * zones
        self.on_demand = self.launches = self.preemptions = 0

    def over(self, windows: Sequence[Sequence[Run]]) -> ZonesOutcome:
        view = self.view
        for number, (state, end) in enumerate(together(windows, self.job.deadline)):
            self._change(state, first=number == 0)
            if self._within(end):
                return self._outcome(view.t)
        if view.mode != "on-demand":
            self._move("on-demand", None)
        more = view.changeover_left + view.remaining
        self.on_demand += more
        return self._outcome(view.t + more)

    def _change(self, state: State, *, first: bool) -> None:
        view = self.view
        for zone, (before, up) in enumerate(zip(view.up, state, strict=True)):
            if before != up and not first:
                self.policy.observe(zone, before, view.t - view.since_of[zone])
                view.since_of[zone] = view.t
        some = any(state)
        if some != view.available and not first:
            self.policy.observe(None, view.available, view.t - view.since)
            view.since = view.t
        view.up, view.available = state, some
        if view.zone is not None and not state[view.zone]:
            view.mode, view.zone, view.changeover_left = "idle", None, 0
            self.preemptions += 1

    def _within(self, end: int) -> bool:
        view, policy = self.view, self.policy
        while view.t < end:
            mode, zone = policy.decide(view)
            if (mode, zone) != (view.mode, view.zone):
                self._move(mode, zone)
            quanta = min(end, max(view.t + 1, policy.stands_until(view, mode))) - view.t
            self._pass(quanta)
            if view.progress == self.job.work:
                return True
        return False

    def _pass(self, quanta: int) -> None:
        view = self.view
        if view.mode == "idle":
            view.t += quanta
            return
        quanta = min(quanta, view.changeover_left + view.remaining)
        starting = min(quanta, view.changeover_left)
        view.changeover_left -= starting
        view.progress += quanta - starting
        view.t += quanta
        if view.zone is None:
            self.on_demand += quanta
        else:
            self.spot[view.zone] += quanta

    def _move(self, mode: Mode, zone: int | None) -> None:
        view = self.view
        view.mode, view.zone = mode, zone
        view.changeover_left = 0 if mode == "idle" else self.job.changeover
        self.launches += mode != "idle"

    def _outcome(self, ended: int) -> ZonesOutcome:
        return ZonesOutcome(
            spot=tuple(self.spot),
            on_demand=self.on_demand,
            ended=ended,
            launches=self.launches,
            preemptions=self.preemptions,
        )
