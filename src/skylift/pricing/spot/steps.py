"""A real step as the spot policy knows jobs: whole quanta, and the market as the engine has seen it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from skylift.ports.spot import SpotState
from skylift.pricing.spot.market import shipped_prior
from skylift.pricing.spot.model import QUANTUM_MS, Job, Mode, Run, View
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


class Standpoint(NamedTuple):
    """All of a state that the policy goes by, in quanta: the steps of a wide map mostly stand at a few of these."""

    job: Job
    seen: tuple[Run, ...]
    left: int
    remaining: int
    mode: Mode
    launching: int


def standpoint(job: Job, state: SpotState) -> Standpoint:
    assert state.work_ms is not None and state.deadline_ms is not None
    return Standpoint(
        job,
        seen=tuple([(available, round(ms / QUANTUM_MS)) for available, ms in state.seen]),
        left=(state.deadline_ms - state.elapsed_ms) // QUANTUM_MS,
        remaining=-(-max(0, state.work_ms - state.done_ms) // QUANTUM_MS),
        mode="idle" if state.market is None or state.market == "reserved" else state.market,
        launching=min(job.changeover, -(-state.launching_ms // QUANTUM_MS)),
    )


def decide(known: Tables, at: Standpoint) -> Mode:
    """Where the policy wants it, which is made anew and shown all that was seen."""
    policy = SkyliftPolicy(known)
    for available, quanta in at.seen[:-1]:
        policy.observe(available, quanta)
    return policy.decide(_view(at))


def _view(at: Standpoint) -> View:
    available, since = at.seen[-1]
    view = View(at.job)
    view.t = at.job.deadline - at.left
    view.progress = at.job.work - at.remaining
    view.mode = at.mode
    view.changeover_left = at.launching
    view.available = available
    view.since = view.t - since
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
