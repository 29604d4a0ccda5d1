"""The least cost of a job with the whole market known: what no policy can beat. Exact, in integers.

Every stay in one mode is a segment of time that pays for all its quanta and makes progress in all but the first
`changeover`. So a schedule is a choice of up-runs that are held on spot, and of the gaps between them in which there
is on-demand; in each of both one segment is best, for a second one only adds a changeover. With S runs held, M gaps
used and P quanta of progress on spot, on-demand makes the other X = work - P, and the cost is

    ratio * (P + changeover * S) + X + changeover * M        where on-demand is needed
    ratio * (work + changeover * S)                          where P >= work: the last run is cut short

A choice is feasible if the time that passes without progress, changeover * (S + M) and the whole of every gap that is
not used, is at most deadline - work. The search goes from run to run (a dynamic programme over the runs of the market
instead of over its quanta) and keeps the choices that no other beats in all of: time lost, what was saved, what was
spent on changeovers. The tests hold it against the plain table over (quantum, mode, progress).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from skylift.pricing.spot.model import Job, Run

_Choice = tuple[int, int, int, int]
"""Quanta lost (without progress), saved, spent on changeovers, and done: quanta of progress on spot. Saved is against
on-demand without any changeover. Money is in quanta of on-demand times the denominator of the ratio."""


def least_cost(job: Job, window: Sequence[Run]) -> Fraction:
    """Over the cost of on-demand only, for the market that the job meets: runs from its start to its deadline."""
    search = _Search(job, _segments(job, window))
    return Fraction(search.least(), search.unit * (job.work + job.changeover))


def _segments(job: Job, window: Sequence[Run]) -> list[Run]:
    """Up-runs that are longer than a changeover, and the gaps between them, until the deadline."""
    found: list[Run] = []
    left = job.deadline
    for available, length in window:
        quanta = min(length, left)
        left -= quanta
        useful = available and quanta > job.changeover
        if found and not useful and not found[-1][0]:
            found[-1] = (False, found[-1][1] + quanta)
        elif quanta:
            found.append((useful, quanta))
    return found


class _Search:
    def __init__(self, job: Job, segments: list[Run]) -> None:
        self.work, self.changeover, self.slack = job.work, job.changeover, job.slack
        self.unit, self.spot = job.ratio.denominator, job.ratio.numerator
        self.segments = segments
        self.known = min(self.unit * (job.work + job.changeover), self._spot_alone())
        self.ahead = self._ahead()

    def least(self) -> int:
        start: _Choice = (0, 0, 0, 0)
        idle, on_demand = [start], self._launch([start])
        for (useful, quanta), ahead in zip(self.segments, self.ahead, strict=True):
            waited = [
                (lost + quanta, saved, spent, done) for lost, saved, spent, done in idle if lost + quanta <= self.slack
            ]
            if not useful:
                idle = waited
                continue
            held = self._hold(idle + on_demand, quanta)
            idle = self._kept(waited + held, *ahead)
            on_demand = self._kept(on_demand + self._launch(held), *ahead)
        return min([self.known, *map(self._cost, idle + on_demand)])

    def _launch(self, choices: list[_Choice]) -> list[_Choice]:
        """On-demand in the gap that begins."""
        price = self.unit * self.changeover
        return [
            (lost + self.changeover, saved - price, spent + price, done)
            for lost, saved, spent, done in choices
            if lost + self.changeover <= self.slack
        ]

    def _hold(self, choices: list[_Choice], quanta: int) -> list[_Choice]:
        """Spot over the whole of an up-run."""
        price, progress = self.spot * self.changeover, quanta - self.changeover
        gain = self._gain(quanta)
        return [
            (lost + self.changeover, saved + gain, spent + price, done + progress)
            for lost, saved, spent, done in choices
            if lost + self.changeover <= self.slack
        ]

    def _gain(self, quanta: int) -> int:
        return (self.unit - self.spot) * (quanta - self.changeover) - self.spot * self.changeover

    def _cost(self, choice: _Choice) -> int:
        _, saved, spent, done = choice
        return self.unit * self.work - saved if done <= self.work else self.spot * self.work + spent

    def _kept(self, choices: list[_Choice], gain: int, progress: int) -> list[_Choice]:
        """Without those that cannot come below what is known, and those that another beats whatever comes: it has lost
        no more, saved no less, and either spent no more or cannot make more progress on spot than there is work (what
        it saved counts in full then). `gain` and `progress` are what the runs ahead can bring at most."""
        floor, least_saved = self.known - self.spot * self.work, self.unit * self.work - gain - self.known
        kept: list[_Choice] = []
        front: list[_Choice] = []
        for choice in sorted(choices, key=_best_first):
            _, saved, spent, _ = choice
            if spent >= floor or saved <= least_saved:
                continue
            if any(one[1] >= saved and (one[2] <= spent or one[3] + progress <= self.work) for one in front):
                continue
            kept.append(choice)
            front = [one for one in front if one[1] > saved or one[2] < spent]
            front.append(choice)
        return kept

    def _spot_alone(self) -> int:
        """With the longest up-runs only; without them, more than anything else."""
        done = 0
        for held, quanta in enumerate(sorted((quanta for useful, quanta in self.segments if useful), reverse=True), 1):
            done += quanta - self.changeover
            if done >= self.work:
                return self.spot * (self.work + self.changeover * held)
        return self.unit * (self.work + self.changeover)

    def _ahead(self) -> list[tuple[int, int]]:
        """After each segment: the most that the later ones can save, and their progress on spot."""
        found, gain, progress = [], 0, 0
        for useful, quanta in reversed(self.segments):
            found.append((gain, progress))
            if useful:
                gain += max(0, self._gain(quanta))
                progress += quanta - self.changeover
        return found[::-1]


def _best_first(choice: _Choice) -> tuple[int, int, int]:
    lost, saved, spent, _ = choice
    return lost, -saved, spent
