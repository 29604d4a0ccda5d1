"""The published policies, as "Can't Be Late" (NSDI 2024) states them. They share the safety net: with less time left
than the remaining work and two changeovers, whoever is not on spot goes to on-demand and stays there."""

from __future__ import annotations

from skylift.pricing.spot.model import Job, Mode, Policy, View

FROM = (7, 10)
"""Remaining work over time left from which `uniform_progress_from_0.7` spreads its progress."""


class OnDemand(Policy):
    """On-demand from the start: never late, and the price that others are measured against."""

    def decide(self, view: View) -> Mode:
        return "on-demand"

    def stands_until(self, view: View, mode: Mode) -> int:
        return view.job.deadline


class _Published(Policy):
    """Stays on spot while it lasts, and keeps the safety net."""

    def decide(self, view: View) -> Mode:
        if view.mode == "spot":
            return "spot"
        if is_tight(view):
            return "on-demand"
        return self.from_idle(view) if view.mode == "idle" else self.from_on_demand(view)

    def stands_until(self, view: View, mode: Mode) -> int:
        if mode == "spot" or is_tight(view):
            return view.job.deadline
        if mode == "idle":
            return min(tight_at(view), self.idle_until(view))
        return self.on_demand_until(view)

    def from_idle(self, view: View) -> Mode:
        return "spot" if view.available else "idle"

    def from_on_demand(self, view: View) -> Mode:
        return "on-demand"

    def idle_until(self, view: View) -> int:
        """The quantum at which being idle without spot is reconsidered; the safety net aside."""
        return view.job.deadline

    def on_demand_until(self, view: View) -> int:
        return view.job.deadline


def is_tight(view: View) -> bool:
    """Whether the safety net holds: left < remaining + 2 changeovers."""
    job = view.job
    return job.deadline - view.t < job.work - view.progress + _reserve(job)


def tight_at(view: View) -> int:
    """The quantum from which the safety net holds if there is no progress until then."""
    job = view.job
    return job.deadline - (job.work - view.progress) - _reserve(job) + 1


def _reserve(job: Job) -> int:
    """Two changeovers; without any, one quantum, for who idles in it must still be in time."""
    return max(1, 2 * job.changeover)


class Greedy(_Published):
    """Spot when there is some, else idle."""


class UniformProgress(_Published):
    """Keeps progress at least in proportion to the time that has passed, and goes back to spot once it is ahead by
    two changeovers. Both are counted from `start`, a (quantum, progress)."""

    def __init__(self, start: tuple[int, int] = (0, 0)) -> None:
        self._start = start

    def from_idle(self, view: View) -> Mode:
        if view.available:
            return "spot"
        behind, time, work = self._line(view)
        return "on-demand" if behind * time < (view.t - self._start[0]) * work else "idle"

    def from_on_demand(self, view: View) -> Mode:
        done, time, work = self._line(view)
        passed = view.t - self._start[0] + 2 * view.job.changeover
        return "spot" if view.available and done * time >= passed * work else "on-demand"

    def idle_until(self, view: View) -> int:
        done, time, work = self._line(view)
        return self._start[0] + done * time // work + 1

    def on_demand_until(self, view: View) -> int:
        if not view.available:
            return view.job.deadline
        done, time, work = self._line(view)
        if time == work:
            return view.job.deadline
        passed = view.t + view.changeover_left - self._start[0] + 2 * view.job.changeover
        more = -(-(passed * work - done * time) // (time - work))  # quanta of progress until it is ahead
        return view.t + view.changeover_left + max(1, more)

    def _line(self, view: View) -> tuple[int, int, int]:
        """Progress since the start of the line, and the line: so much time for so much work."""
        at, progress = self._start
        return view.progress - progress, view.job.deadline - at, view.job.work - progress


class UniformProgressFrom(Policy):
    """Greedy until the remaining work is a given share of the time left; Uniform Progress over what is left then."""

    def __init__(self) -> None:
        self._now: _Published = Greedy()

    def decide(self, view: View) -> Mode:
        if isinstance(self._now, Greedy) and self._is_dense(view):
            self._now = UniformProgress((view.t, view.progress))
        return self._now.decide(view)

    def stands_until(self, view: View, mode: Mode) -> int:
        until = self._now.stands_until(view, mode)
        if not isinstance(self._now, Greedy):
            return until
        # Without progress the share grows; with progress it only falls, so it is met while idle or in a changeover.
        dense_at = view.job.deadline - view.remaining * FROM[1] // FROM[0]
        if mode == "spot" and dense_at > view.t + view.changeover_left:
            return until
        return min(until, dense_at)

    @staticmethod
    def _is_dense(view: View) -> bool:
        return view.remaining * FROM[1] >= view.left * FROM[0]


class TimeSliced(_Published):
    """The time in equal slices, each with its share of the work and a safety net of its own. On-demand is held until
    the share of the slice is done; whether it is needed is asked again at the first quantum of a slice. `stays` says
    what leaving on-demand means while there is no spot: staying there, or idling."""

    def __init__(self, slices: int, *, stays: bool) -> None:
        self._slices = slices
        self._stays = stays

    def from_idle(self, view: View) -> Mode:
        if self._is_slice_tight(view):
            return "on-demand"
        return "spot" if view.available else "idle"

    def from_on_demand(self, view: View) -> Mode:
        if self._share_left(view) > 0 and (self._is_slice_tight(view) or view.t != self._slice_starts(view)):
            return "on-demand"
        if view.available:
            return "spot"
        return "on-demand" if self._stays else "idle"

    def idle_until(self, view: View) -> int:
        ends = self._slice(view) * view.job.deadline - self._share_left(view)
        tight_at = (ends - 2 * view.job.changeover * self._slices) // self._slices + 1
        return min(self._next_slice(view), tight_at)

    def on_demand_until(self, view: View) -> int:
        share = self._share_left(view)
        if share <= 0:
            return self._next_slice(view) if self._stays and not view.available else view.t + 1
        done_at = view.t + view.changeover_left - (-share // self._slices)
        return min(self._next_slice(view), done_at)

    def _slice(self, view: View) -> int:
        """Counted from 1."""
        return view.t * self._slices // view.job.deadline + 1

    def _slice_starts(self, view: View) -> int:
        return -((1 - self._slice(view)) * view.job.deadline // self._slices)

    def _next_slice(self, view: View) -> int:
        return -(-self._slice(view) * view.job.deadline // self._slices)

    def _share_left(self, view: View) -> int:
        """Of the work due at the end of the slice, times the number of slices."""
        return self._slice(view) * view.job.work - view.progress * self._slices

    def _is_slice_tight(self, view: View) -> bool:
        left = self._slice(view) * view.job.deadline - view.t * self._slices
        return left < self._share_left(view) + 2 * view.job.changeover * self._slices


SLICES = (2, 4, 6, 8, 12, 16, 24)


def on_demand(job: Job) -> Policy:
    return OnDemand()


def greedy(job: Job) -> Policy:
    return Greedy()


def uniform_progress(job: Job) -> Policy:
    return UniformProgress()


def uniform_progress_from(job: Job) -> Policy:
    return UniformProgressFrom()
