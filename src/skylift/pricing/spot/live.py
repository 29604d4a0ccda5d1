"""Which market a real step is on: the spot policy, asked by the engine with what it has seen of the market so far.

Where the backend cannot see the market, and for a step that has not kept its work when it should have, the policy comes
down to its safety net: wait for spot until what is left of the time would only just do on machines that nobody takes
away, then stay there. Such a step gains nothing by going early, for it could not come back (decision 0297).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skylift.ports.compute import Market
from skylift.ports.spot import SpotState

if TYPE_CHECKING:
    from skylift.pricing.spot.model import Mode
    from skylift.pricing.spot.steps import Standpoint, TablesOf

_REMEMBERED = 10_000
"""Answers: steps of a map that began together ask the same, and each asks several times within a quantum."""


def safety_net(state: SpotState) -> Market:
    """Spot, until what is left of the time would only just suffice for the work on machines that nobody takes away.
    What is uncertain is how long the work and a changeover really take and how much is done twice, so all are taken as
    measured, and a moment is kept in reserve for asking again. What is on spot leaves it, and saves its work, when that
    would be too late once its machine is gone."""
    if state.deadline_ms is None or state.work_ms is None:
        return "spot"
    left = state.deadline_ms - state.elapsed_ms
    remaining = max(0, state.work_ms - state.done_ms)
    reserve = state.changeover_ms + state.asked_again_ms
    if state.market != "spot":
        reserve += state.changeover_ms + state.repeated_ms
    return "on-demand" if left < remaining + reserve else "spot"


class LivePolicy:
    """The engine's SpotPolicy. Its model is read when the first step needs it. With `waits` the engine may stand still
    for the second that a table takes: where time is virtual and jumps. Else the safety net decides until it is made."""

    def __init__(self, *, waits: bool) -> None:
        self._waits = waits
        self._tables_of: TablesOf | None = None
        self._answers: dict[Standpoint, Mode] = {}

    def __call__(self, state: SpotState) -> Market | None:
        if safety_net(state) == "on-demand":
            return "on-demand"
        if (
            state.market == "spot"
            or not (state.seen and state.keeps)
            or state.work_ms is None
            or state.deadline_ms is None
        ):
            return state.market or "spot"
        return self._weighed(state)

    def _weighed(self, state: SpotState) -> Market | None:
        from skylift.pricing.spot.steps import LaterTables, decide, job_of_step, standpoint, tables_now

        if self._tables_of is None:
            self._tables_of = tables_now if self._waits else LaterTables()
        job = job_of_step(state)
        if job is None:
            return state.market or "spot"
        at = standpoint(job, state)
        mode = self._answers.get(at)
        if mode is None:
            known = self._tables_of(job)
            if known is None:
                return state.market or "spot"
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            mode = self._answers[at] = decide(known, at)
        return None if mode == "idle" else mode
