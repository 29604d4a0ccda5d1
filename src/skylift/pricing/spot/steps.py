"""A real step as the spot policy knows jobs: whole quanta, and the market as the engine has seen it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from fractions import Fraction

from skylift.ports.spot import SpotState
from skylift.pricing.spot.market import shipped_prior
from skylift.pricing.spot.model import QUANTUM_MS, Job, Mode, View
from skylift.pricing.spot.skylift_policy import SkyliftPolicy, Tables, tables

LEAST_WORK = 30
"""Quanta, an hour: the model counts in quanta of 120 s, and markets hardly change within shorter steps."""
_CENT = 100
"""Ratios of prices are rounded to this part of one, so that a change in the last digit is no new job."""
_KEPT = 32
"""Shapes of jobs whose tables are kept."""

_log = logging.getLogger("skylift.spot")

TablesOf = Callable[[Job], Tables | None]
"""The tables of a job, or None while there are none yet."""


def job_of_step(state: SpotState) -> Job | None:
    """The step as the policy knows jobs: in whole quanta, so that no promise grows. None where it does not apply."""
    if not (state.keeps and state.seen) or state.work_ms is None or state.deadline_ms is None or state.ratio is None:
        return None
    ratio = Fraction(round(state.ratio * _CENT), _CENT)
    work, deadline = -(-state.work_ms // QUANTUM_MS), state.deadline_ms // QUANTUM_MS
    changeover = -(-state.changeover_ms // QUANTUM_MS)
    if work < LEAST_WORK or deadline < work + changeover or not 0 < ratio < 1:
        return None
    return Job(work=work, deadline=deadline, changeover=changeover, ratio=ratio)


def decide(job: Job, known: Tables, state: SpotState) -> Mode:
    """Where the policy wants it, which is made anew and shown all that was seen."""
    policy = SkyliftPolicy(known)
    for available, ms in state.seen[:-1]:
        policy.observe(available, round(ms / QUANTUM_MS))
    return policy.decide(_view(job, state))


def _view(job: Job, state: SpotState) -> View:
    assert state.work_ms is not None and state.deadline_ms is not None
    left = (state.deadline_ms - state.elapsed_ms) // QUANTUM_MS
    remaining = -(-max(0, state.work_ms - state.done_ms) // QUANTUM_MS)
    available, since_ms = state.seen[-1]
    view = View(job)
    view.t = job.deadline - left
    view.progress = job.work - remaining
    view.mode = "idle" if state.market is None or state.market == "reserved" else state.market
    view.changeover_left = min(job.changeover, -(-state.launching_ms // QUANTUM_MS))
    view.available = available
    view.since = view.t - round(since_ms / QUANTUM_MS)
    return view


def tables_now(job: Job) -> Tables:
    """Made while the caller waits, about a second for a new shape of job: where time stands still meanwhile."""
    return tables(job, shipped_prior())


class LaterTables:
    """Made one after the other on a thread beside the engine, which goes on meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[Job, Tables] = OrderedDict()
        self._wanted: set[Job] = set()
        """Once asked for, whatever came of it, and not dropped since."""
        self._asked: deque[Job] = deque()
        self._working = False

    def __call__(self, job: Job) -> Tables | None:
        with self._lock:
            found = self._made.get(job)
            if found is not None:
                self._made.move_to_end(job)
            elif job not in self._wanted:
                self._wanted.add(job)
                self._asked.append(job)
                self._begin()
            return found

    def _begin(self) -> None:
        if not self._working:
            self._working = True
            threading.Thread(target=self._work, name="skylift-spot-tables", daemon=True).start()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                made = tables_now(job)
            except Exception:  # noqa: BLE001  # a fault of ours in one step's tables must not leave all others without
                _log.exception("there are no spot tables for %s: its step keeps to the safety net", job)
                continue
            with self._lock:
                self._made[job] = made
                while len(self._made) > _KEPT:
                    self._wanted.discard(self._made.popitem(last=False)[0])

    def _next(self) -> Job | None:
        with self._lock:
            if self._asked:
                return self._asked.popleft()
            self._working = False
            return None
